package arena

import (
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"golang.org/x/sys/unix"
)

// RLock is a slot that holds a recursive lock: a semaphore of at most 1, whose
// owner is a number that the caller gives, different for each thread and not 0.
//
// Who has taken the semaphore writes owner and then, alone, depth; and owner
// becomes 0 before the semaphore is free again. So nobody else ever writes a
// thread's number, and a thread that reads its own owns the lock.
//
// Killed anywhere in between, the owner leaves the semaphore taken, as a killed
// holder of any lock does.
type RLock Slot

func (k *RLock) semaphore() *Semaphore { return (*Semaphore)(unsafe.Pointer(k)) }

// Acquire takes the lock, once more if owner has it, or waits as l allows while
// another has it.
func (k *RLock) Acquire(owner uint64, l *futex.Limit) error {
	if k.owner.Load() == owner {
		k.depth.Add(1)
		return nil
	}
	if err := k.semaphore().Acquire(l); err != nil {
		return err
	}
	fault.Here("rlock's semaphore acquired")
	k.owner.Store(owner)
	fault.Here("rlock owned")
	k.depth.Store(1)
	return nil
}

// Release undoes one Acquire; unix.EPERM: owner has not got the lock.
func (k *RLock) Release(owner uint64) error {
	if k.owner.Load() != owner {
		return unix.EPERM
	}
	if k.depth.Add(^uint32(0)) > 0 {
		return nil
	}
	fault.Here("rlock's depth cleared")
	return k.semaphore().Release()
}

// Owner returns who has the lock, 0 if nobody.
func (k *RLock) Owner() uint64 { return k.owner.Load() }

// Depth returns how often its owner has taken the lock.
func (k *RLock) Depth() int { return int(k.depth.Load()) }
