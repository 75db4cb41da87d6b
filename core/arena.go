package core

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/goprocessing/goprocessing/core/internal/arena"
	"github.com/goprocessing/goprocessing/core/internal/process"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

// Arena keeps many small objects, locks, events and the like, in one segment. Only
// the process that made it makes objects in it.
type Arena struct{ s *Segment }

// What NewSlot makes, for language bindings.
const (
	KindSemaphore       = arena.KindSemaphore       // a Semaphore; or a Lock, if its limit is 1
	KindEvent           = arena.KindEvent           // an Event
	KindRLock           = arena.KindRLock           // an RLock
	KindCondition       = arena.KindCondition       // a Condition
	KindBarrier         = arena.KindBarrier         // a Barrier
	KindRobustLock      = arena.KindRobustLock      // a RobustLock
	KindRobustRLock     = arena.KindRobustRLock     // a RobustRLock
	KindRobustSemaphore = arena.KindRobustSemaphore // a RobustSemaphore
)

// MaxValue is the greatest value of a semaphore.
const MaxValue = arena.MaxValue

// NewArena makes an empty arena.
func NewArena() (*Arena, error) {
	a := &Arena{new(Segment)}
	if err := a.Create(); err != nil {
		return nil, err
	}
	return a, nil
}

// Create makes a new, empty arena in the segment that ArenaOn was given: NewArena for
// language bindings.
func (a *Arena) Create() error { return arena.Create(a.s) }

// OpenArena opens an arena that another process made, of a file that File
// returned there. It does not close the file.
func OpenArena(f *os.File) (*Arena, error) {
	a := &Arena{new(Segment)}
	if err := openFile(a.s, f, shm.KindArena); err != nil {
		return nil, err
	}
	return a, nil
}

// ArenaOn returns the arena in s, which stays the caller's.
func ArenaOn(s *Segment) Arena { return Arena{s} }

// File returns a duplicate of the arena's descriptor, by which another process
// opens it.
func (a *Arena) File() (*os.File, error) { return file(int(a.s.FD), "goprocessing-arena") }

func (a *Arena) pass() ([]*os.File, string, error) {
	f, err := a.File()
	return []*os.File{f}, "", err
}

func (a *Arena) inherit(fds []int, _ string) error {
	a.s = new(Segment)
	if err := a.s.Open(fds[0], shm.KindArena); err != nil {
		return errors.Join(err, closeAll(fds))
	}
	return nil
}

// Close releases this handle, and with it the objects of the arena in this process.
func (a *Arena) Close() error { return a.s.Close() }

// NewSlot allocates an object and returns its offset. value and limit are a
// semaphore's; limit is also the number of a barrier's parties, and of a robust
// semaphore's permits. For language bindings; NewLock and its kin have the same errors:
// unix.ENOSPC, if the arena is full for this kind; unix.EINVAL, if value or limit is none.
func (a *Arena) NewSlot(kind, value, limit uint32) (offset uint64, err error) {
	if err := closed(a.s); err != nil {
		return 0, err
	}
	value, limit, err = attributes(kind, value, limit)
	if err != nil {
		return 0, err
	}
	return arena.Alloc(a.s, kind, value, limit)
}

// attributes returns what of value and limit means something to an object of that kind.
func attributes(kind, value, limit uint32) (_, _ uint32, err error) {
	invalid := false
	switch kind {
	case KindSemaphore:
		invalid = limit > MaxValue || value > limit
	case KindRLock:
		value, limit = 1, 1
	case KindBarrier:
		value = 0
		invalid = limit < 1 || limit > MaxValue
	case KindRobustSemaphore:
		value = 0
		invalid = limit < 1 || limit > MaxPermits
	case KindEvent, KindCondition, KindRobustLock, KindRobustRLock:
		value, limit = 0, 0
	default:
		invalid = true
	}
	if invalid {
		return 0, 0, unix.EINVAL
	}
	return value, limit, nil
}

// FreeSlot frees an object that no other process has ever had access to.
func (a *Arena) FreeSlot(offset uint64) error {
	if err := closed(a.s); err != nil {
		return err
	}
	return arena.Release(a.s, offset)
}

// CheckSlot makes sure that there is an object of that kind at offset.
func (a *Arena) CheckSlot(offset uint64, kind uint32) error {
	if err := closed(a.s); err != nil {
		return err
	}
	return arena.Check(a.s, offset, kind)
}

func (a *Arena) newSemaphore(value, limit uint32) (*Semaphore, error) {
	offset, err := a.NewSlot(KindSemaphore, value, limit)
	if err != nil {
		return nil, err
	}
	return a.Semaphore(offset)
}

// NewSemaphore makes a semaphore with that value. unix.EINVAL: it exceeds MaxValue.
func (a *Arena) NewSemaphore(value uint32) (*Semaphore, error) {
	return a.newSemaphore(value, MaxValue)
}

// NewBoundedSemaphore makes a semaphore whose value never exceeds that which it
// begins with. unix.EINVAL: that exceeds MaxValue.
func (a *Arena) NewBoundedSemaphore(value uint32) (*Semaphore, error) {
	return a.newSemaphore(value, value)
}

// NewLock makes a lock that is free.
func (a *Arena) NewLock() (*Lock, error) {
	m, err := a.newSemaphore(1, 1)
	if err != nil {
		return nil, err
	}
	return &Lock{m.member}, nil
}

// NewEvent makes an event that is not set.
func (a *Arena) NewEvent() (*Event, error) {
	offset, err := a.NewSlot(KindEvent, 0, 0)
	if err != nil {
		return nil, err
	}
	return &Event{memberOf(a, offset)}, nil
}

// Semaphore returns the semaphore at offset.
func (a *Arena) Semaphore(offset uint64) (*Semaphore, error) {
	if err := a.CheckSlot(offset, KindSemaphore); err != nil {
		return nil, err
	}
	return &Semaphore{memberOf(a, offset)}, nil
}

// Lock returns the lock at offset, or the semaphore, if its greatest value is 1.
func (a *Arena) Lock(offset uint64) (*Lock, error) {
	m, err := a.Semaphore(offset)
	if err != nil {
		return nil, err
	}
	if m.slot().Limit() != 1 {
		return nil, ErrKind
	}
	return &Lock{m.member}, nil
}

// Event returns the event at offset.
func (a *Arena) Event(offset uint64) (*Event, error) {
	if err := a.CheckSlot(offset, KindEvent); err != nil {
		return nil, err
	}
	return &Event{memberOf(a, offset)}, nil
}

// Semaphore is a counting semaphore, bounded or not.
type Semaphore struct{ member }

func (m *Semaphore) at() *arena.Semaphore { return (*arena.Semaphore)(m.slot()) }

func (m *Semaphore) takes() []string { return []string{"Value", "Bounded"} }

func (m *Semaphore) inherit(fds []int, note string) error {
	return m.inheritAs(KindSemaphore, fds, note)
}

func (m *Semaphore) openNamed(name string, mode Mode, o *options) error {
	limit := uint32(MaxValue)
	if o.bounded {
		limit = o.value
	}
	return m.member.openNamed(name, mode, o, KindSemaphore, o.value, limit)
}

// Acquire decrements the value, waiting while it is 0. Error: the cause of ctx's
// end.
func (m *Semaphore) Acquire(ctx context.Context) error {
	if err := m.closed(); err != nil {
		return err
	}
	return m.at().Acquire(within(ctx))
}

// TryAcquire decrements the value unless it is 0.
func (m *Semaphore) TryAcquire() bool { return m.at().Acquire(atOnce()) == nil }

// Release increments the value; ErrReleased: it is the greatest allowed.
func (m *Semaphore) Release() error {
	if err := m.closed(); err != nil {
		return err
	}
	return release(m.at())
}

func release(m *arena.Semaphore) error {
	if m.Release() != nil {
		return ErrReleased
	}
	return nil
}

// Value returns the value.
func (m *Semaphore) Value() int { return m.at().Value() }

// Lock is a mutual exclusion lock. Any process may unlock it.
type Lock struct{ member }

func (k *Lock) at() *arena.Semaphore { return (*arena.Semaphore)(k.slot()) }

func (k *Lock) takes() []string { return nil }

func (k *Lock) inherit(fds []int, note string) error {
	if err := k.inheritAs(KindSemaphore, fds, note); err != nil {
		return err
	}
	return k.check()
}

func (k *Lock) openNamed(name string, mode Mode, o *options) error {
	if err := k.member.openNamed(name, mode, o, KindSemaphore, 1, 1); err != nil {
		return err
	}
	if err := k.check(); err != nil {
		return fmt.Errorf("opening %q: %w", name, err)
	}
	return nil
}

// check closes what is a semaphore, but no lock.
func (k *Lock) check() error {
	if k.slot().Limit() == 1 {
		return nil
	}
	return errors.Join(ErrKind, k.Close())
}

// Lock takes the lock, waiting until it is free. Error: the cause of ctx's end.
func (k *Lock) Lock(ctx context.Context) error {
	if err := k.closed(); err != nil {
		return err
	}
	return k.lock(within(ctx))
}

// TryLock takes the lock if it is free.
func (k *Lock) TryLock() bool { return k.lock(atOnce()) == nil }

// lock says whose the lock is besides, for those who inspect it.
func (k *Lock) lock(l *Limit) error {
	err := k.at().Acquire(l)
	if err == nil {
		k.at().Note(process.Self)
	}
	return err
}

// Unlock frees the lock; ErrReleased: it was free.
func (k *Lock) Unlock() error {
	if err := k.closed(); err != nil {
		return err
	}
	return release(k.at())
}

// Event is a flag that can be waited for.
type Event struct{ member }

func (e *Event) at() *arena.Event { return (*arena.Event)(e.slot()) }

func (e *Event) takes() []string { return nil }

func (e *Event) inherit(fds []int, note string) error {
	return e.inheritAs(KindEvent, fds, note)
}

func (e *Event) openNamed(name string, mode Mode, o *options) error {
	return e.member.openNamed(name, mode, o, KindEvent, 0, 0)
}

// IsSet reports whether the event is set.
func (e *Event) IsSet() bool { return e.at().IsSet() }

// Set sets the event and wakes all who wait for it.
func (e *Event) Set() { e.at().Set() }

// Clear clears the event.
func (e *Event) Clear() { e.at().Clear() }

// Wait waits until the event is set. Error: the cause of ctx's end.
func (e *Event) Wait(ctx context.Context) error {
	if err := e.closed(); err != nil {
		return err
	}
	return e.at().Wait(e.at().Word(), within(ctx))
}
