package arena

import (
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"golang.org/x/sys/unix"
)

// RobustRLock is a recursive RobustLock: its owner, a number that the caller gives,
// may take it again. A thread has it if its process holds the lock and owner is the
// thread's number; depth is written by that thread alone.
type RobustRLock Slot

func (k *RobustRLock) lock() *RobustLock { return (*RobustLock)(unsafe.Pointer(k)) }

func (k *RobustRLock) owned(owner uint64) bool {
	return holds(k.holder.word.Load()) && k.owner.Load() == owner
}

// Acquire takes the lock, once more if owner has it. With unix.EOWNERDEAD it is
// taken, too: see RobustLock. One who takes it once more is not told again.
func (k *RobustRLock) Acquire(owner uint64, l *futex.Limit) error {
	if k.owned(owner) {
		k.depth.Add(1)
		return nil
	}
	return k.lock().AcquireFor(owner, l)
}

// Release undoes one Acquire; unix.EPERM: owner has not got the lock. For `keep` see
// RobustLock; it counts when the lock becomes free.
func (k *RobustRLock) Release(owner uint64, keep bool) error {
	if !k.owned(owner) {
		return unix.EPERM
	}
	if k.depth.Add(^uint32(0)) > 0 {
		return nil
	}
	return k.lock().Release(keep)
}

// Owner returns who has the lock, 0 if nobody; a dead one included.
func (k *RobustRLock) Owner() uint64 { return k.owner.Load() }

// Depth returns how often its owner has taken the lock.
func (k *RobustRLock) Depth() int { return int(k.depth.Load()) }

// Waiters reports whether somebody may sleep.
func (k *RobustRLock) Waiters() bool { return k.lock().Waiters() }
