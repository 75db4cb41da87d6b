package futex

import (
	"sync/atomic"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/process"
	"golang.org/x/sys/unix"
)

// Mutex excludes processes from each other for short critical sections of the
// engine, and outlives its owner: whoever waits looks after a while whether the
// owner still lives, and takes the lock over if not.
//
//	bits  0..30  pid of the owner, 0: free
//	bit   31     somebody may sleep
//	bits 32..63  start time of the owner (process.ID)
//
// Owner and lock are one word, so there is no instant at which the lock is taken
// but its owner unknown. Only the lower half, which changes with every transfer,
// is slept on. A free lock is all zeros.
//
// The owner is the process: its threads die together. A fork does not copy
// ownership, since the child has another pid; and no thread forks while it is
// inside the engine.
//
// Killed between unlocking and waking: the sleepers look again by themselves.
type Mutex struct{ word atomic.Uint64 }

const (
	mutexWaiters = 1 << 31

	tryRounds  = 64 // spins of about 30 ns before TryLock gives up
	lockRounds = 512
	yieldEvery = 32

	firstLook = int64(10e6)
)

func free(w uint64) bool { return uint32(w)&^mutexWaiters == 0 }

func owner(w uint64) process.ID {
	return process.ID{PID: uint32(w) &^ mutexWaiters, Start: uint32(w >> 32)}
}

// Self is this process as the owner of what it has, in the form of a Mutex.
var Self = uint64(process.Self.PID) | uint64(process.Self.Start)<<32

// TryLock takes the lock if it is free this instant.
func (m *Mutex) TryLock() bool { return m.word.CompareAndSwap(0, Self) }

// Lock takes the lock. Since critical sections are short it waits even if l
// does not allow to wait for anything else (NoWait whatever the deadline), except
// that Try gives up with unix.EBUSY after a few microseconds. inherited tells that the
// last owner died within its critical section: the caller repairs what that one left
// behind.
func (m *Mutex) Lock(l *Limit) (inherited bool, err error) {
	if m.TryLock() {
		return false, nil
	}
	return m.lockSlow(l)
}

func (m *Mutex) lockSlow(l *Limit) (inherited bool, err error) {
	rounds := lockRounds
	if l.How == Try {
		rounds = tryRounds
	}
	for i := range rounds {
		if w := m.word.Load(); free(w) && m.word.CompareAndSwap(w, Self|w&mutexWaiters) {
			return false, nil
		}
		if i%yieldEvery == yieldEvery-1 {
			yield() // the owner may be waiting for this CPU
		}
		procyield(8)
	}
	if l.How == Try {
		return false, unix.EBUSY
	}
	bounds := *l
	if l.How == NoWait {
		bounds.Deadline = Forever
	}
	release := bounds.onCancel(m.futex())
	defer release()
	look := firstLook
	for {
		w := m.word.Load()
		if free(w) {
			// Whoever slept keeps bit 31 set: others may sleep on.
			if m.word.CompareAndSwap(w, Self|mutexWaiters) {
				return false, nil
			}
			continue
		}
		if w&mutexWaiters == 0 {
			if !m.word.CompareAndSwap(w, w|mutexWaiters) {
				continue
			}
			w |= mutexWaiters
		}
		fault.Here("mutex marked wanted")
		_, err := bounds.sleep(m.futex(), uint32(w), look)
		if err != nil && err != unix.ETIMEDOUT {
			return false, err
		}
		if m.word.Load() == w && !owner(w).Alive() && m.word.CompareAndSwap(w, Self|mutexWaiters) {
			fault.Here("mutex inherited")
			return true, nil
		}
		if err != nil {
			return false, err
		}
		look = min(2*look, Look)
	}
}

// Unlock releases the lock.
func (m *Mutex) Unlock() {
	if w := m.word.Swap(0); w&mutexWaiters != 0 {
		fault.Here("mutex unlocked")
		Wake(m.futex(), 1)
	}
}

// futex is the lower half of the word; both supported machines are little-endian.
func (m *Mutex) futex() *uint32 { return (*uint32)(unsafe.Pointer(m)) }

// Held reports whether anybody holds the lock.
func (m *Mutex) Held() bool { return !free(m.word.Load()) }

// Abandoned reports whether the owner has died, and who that was.
func (m *Mutex) Abandoned() (process.ID, bool) {
	owner := m.Owner()
	return owner, owner.PID != 0 && !owner.Alive()
}

// Awaited reports whether somebody may sleep until it is free.
func (m *Mutex) Awaited() bool { return m.word.Load()&mutexWaiters != 0 }

// Owner returns who holds the lock, a zero ID if nobody.
func (m *Mutex) Owner() process.ID { return owner(m.word.Load()) }
