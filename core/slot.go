package core

import (
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/arena"
)

// Slot is a small object by its address, for language bindings: they do what does
// not block by themselves and come here to wait.
type Slot struct{ p unsafe.Pointer }

// SlotAt returns the object at p, which is mapped memory of an arena.
func SlotAt(p unsafe.Pointer) Slot { return Slot{p} }

func (o Slot) semaphore() *arena.Semaphore { return (*arena.Semaphore)(o.p) }
func (o Slot) event() *arena.Event         { return (*arena.Event)(o.p) }
func (o Slot) rlock() *arena.RLock         { return (*arena.RLock)(o.p) }

// AcquireSemaphore decrements a semaphore within the limit l.
func (o Slot) AcquireSemaphore(l *Limit) error { return o.semaphore().Acquire(l) }

// WaitEvent waits, within the limit l, until an event is set or was set since its
// word was seen.
func (o Slot) WaitEvent(seen uint32, l *Limit) error { return o.event().Wait(seen, l) }

// AcquireRLock takes an RLock for owner within the limit l.
func (o Slot) AcquireRLock(owner uint64, l *Limit) error { return o.rlock().Acquire(owner, l) }

// AcquireRobust takes a robust lock for the thread owner within the limit l. With
// ErrOwnerDied the caller has it, too: see RobustLock. The lock may be a RobustRLock
// that owner has not got already.
func (o Slot) AcquireRobust(owner uint64, l *Limit) error {
	return robustError((*arena.RobustLock)(o.p).AcquireFor(owner, l))
}
