package arena

import (
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"golang.org/x/sys/unix"
)

// RobustLock is a slot that holds a lock which outlives its holder: the next to take
// it is told. For its word see holder. Only the lower half is slept on, which changes
// with every transfer.
//
// A sleeper sets bit 31 while the lock is held. Whoever frees the lock clears it and
// wakes one, who sets it again when it takes the lock, for those that may sleep on.
// Killed after it was woken, or before it could wake: the others look by themselves
// (futex.Look), and whoever is the first to find the lock free takes it. They look
// for a dead holder as often; and so does everybody who comes, unless somebody has
// looked a moment before (looked).
//
// owner is the thread that has the lock, in C and Python pid<<32 | tid; it is written
// by that thread after it has taken the lock, and cleared before the lock is free.
// That of a dead process must be cleared, too, before another has the lock: its
// number may be that of a thread of the next process, which would think it had the
// lock when it was another thread that took it. So a lock goes from a dead process to
// the one that has looked, with bit 29, by which nobody takes it to be held; from
// there, when owner is cleared, to marked and free. Killed in between, that one is
// a dead process with the lock in its turn.
type RobustLock Slot

// Acquire takes the lock, waiting as l allows. With unix.EOWNERDEAD the lock is
// taken, too: a process had it that died, and nobody has repaired since what it left.
func (k *RobustLock) Acquire(l *futex.Limit) error {
	if k.try(0) || k.look() && k.try(0) {
		return told(k.holder.word.Load())
	}
	if _, err := futex.Await(l, k.futex(), &k.spin, robustWait{k}); err != nil {
		return err
	}
	return told(k.holder.word.Load())
}

// AcquireFor is Acquire for a thread, owner, whose number is noted.
func (k *RobustLock) AcquireFor(owner uint64, l *futex.Limit) error {
	err := k.Acquire(l)
	if err == nil || err == unix.EOWNERDEAD {
		k.owner.Store(owner)
		k.depth.Store(1)
	}
	return err
}

// robustWait is a futex.Condition.
type robustWait struct{ k *RobustLock }

func (w robustWait) Try(slept bool) bool {
	if slept {
		return w.k.try(holderWaiters) || w.k.look() && w.k.try(holderWaiters)
	}
	return w.k.try(0)
}

func (w robustWait) Flag() (bits uint32, ready bool) {
	for {
		v := w.k.holder.word.Load()
		if !held(v) {
			return 0, true
		}
		if v&holderWaiters != 0 || w.k.holder.word.CompareAndSwap(v, v|holderWaiters) {
			return uint32(v) | holderWaiters, false
		}
	}
}

func (k *RobustLock) try(flag uint64) bool {
	for {
		w := k.holder.word.Load()
		if held(w) {
			return false
		}
		if k.holder.take(w, flag) {
			return true
		}
	}
}

// look frees the lock if its holder has died.
func (k *RobustLock) look() bool {
	seen := k.holder.word.Load()
	if !held(seen) || !k.looked.again(1) || !heldByDead(seen) {
		return false
	}
	mine := futex.Self | holderFreeing | holderMarked
	for w := seen; !k.holder.word.CompareAndSwap(w, mine|w&holderWaiters); {
		if w = k.holder.word.Load(); (w^seen)&^holderWaiters != 0 {
			return false // another one was first
		}
	}
	fault.Here("robust lock inherited")
	k.owner.Store(0)
	fault.Here("robust lock's owner cleared")
	k.free(mine, holderMarked)
	return true
}

// free makes the lock, whose word is w but for bit 31, free, with the mark or
// without.
func (k *RobustLock) free(w, mark uint64) {
	for {
		now := k.holder.word.Load()
		if now&^holderWaiters != w {
			return // by another thread of this process, against the rules
		}
		if k.holder.word.CompareAndSwap(now, mark) {
			fault.Here("robust lock freed")
			if now&holderWaiters != 0 {
				futex.Wake(k.futex(), 1)
			}
			return
		}
	}
}

// Release frees the lock; unix.EPERM: this process has not got it. If `keep`, the
// mark stays, if there is one, and the next to take the lock is told again.
func (k *RobustLock) Release(keep bool) error {
	w := k.holder.word.Load()
	if !holds(w) {
		return unix.EPERM
	}
	mark := uint64(0)
	if keep {
		mark = w & holderMarked
	}
	k.owner.Store(0)
	fault.Here("robust lock about to be freed")
	k.free(w&^holderWaiters, mark)
	return nil
}

// Held reports whether some process has the lock, a dead one included.
func (k *RobustLock) Held() bool { return held(k.holder.word.Load()) }

// Waiters reports whether somebody may sleep.
func (k *RobustLock) Waiters() bool { return k.holder.word.Load()&holderWaiters != 0 }

// futex is the lower half of the word; both supported machines are little-endian.
func (k *RobustLock) futex() *uint32 { return (*uint32)(unsafe.Pointer(&k.holder)) }
