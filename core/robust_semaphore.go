package core

import (
	"context"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/arena"
)

// MaxPermits is how many permits a robust semaphore can have.
const MaxPermits = arena.MaxPermits

// RobustSemaphore is a semaphore whose permits come back when a process dies that
// holds some. Only a process that holds a permit may release one. What RobustLock
// says of the lock is true of each permit; but whoever comes finds out at once only if
// nobody has looked within as many milliseconds as there are permits, at most half a
// second.
type RobustSemaphore struct{ member }

// NewRobustSemaphore makes a semaphore with so many permits, from 1 to MaxPermits,
// all of them free; else the error is unix.EINVAL.
func (a *Arena) NewRobustSemaphore(permits uint32) (*RobustSemaphore, error) {
	offset, err := a.NewSlot(KindRobustSemaphore, 0, permits)
	if err != nil {
		return nil, err
	}
	return a.RobustSemaphore(offset)
}

// RobustSemaphore returns the robust semaphore at offset.
func (a *Arena) RobustSemaphore(offset uint64) (*RobustSemaphore, error) {
	if err := a.CheckSlot(offset, KindRobustSemaphore); err != nil {
		return nil, err
	}
	m := RobustSemaphoreOn(a.s, offset)
	return &m, nil
}

// RobustSemaphoreOn returns the robust semaphore at offset, which passed CheckSlot,
// in s, which stays the caller's: for language bindings.
func RobustSemaphoreOn(s *Segment, offset uint64) RobustSemaphore {
	return RobustSemaphore{memberOf(&Arena{s}, offset)}
}

func (m *RobustSemaphore) at() *arena.RobustSemaphore {
	return (*arena.RobustSemaphore)(unsafe.Pointer(m.slot()))
}

func (m *RobustSemaphore) takes() []string { return []string{"Value"} }

func (m *RobustSemaphore) inherit(fds []int, note string) error {
	return m.inheritAs(KindRobustSemaphore, fds, note)
}

func (m *RobustSemaphore) openNamed(name string, mode Mode, o *options) error {
	return m.member.openNamed(name, mode, o, KindRobustSemaphore, 0, o.value)
}

// Acquire takes a permit, waiting until one is free. Errors: ErrOwnerDied, with the
// permit held; else the cause of ctx's end.
func (m *RobustSemaphore) Acquire(ctx context.Context) error { return m.AcquireWithin(within(ctx)) }

// TryAcquire takes a permit if one is free. The error may be ErrOwnerDied.
func (m *RobustSemaphore) TryAcquire() (taken bool, err error) {
	if err := m.closed(); err != nil {
		return false, err
	}
	return robustTry(m.at().Acquire(m.s, atOnce()))
}

// Release gives back a permit; ErrNotHolder: this process holds none.
func (m *RobustSemaphore) Release() error { return m.release(false) }

// Abandon is Release for one who was told ErrOwnerDied and has not repaired anything:
// the next to take the permit is told, too.
func (m *RobustSemaphore) Abandon() error { return m.release(true) }

func (m *RobustSemaphore) release(keep bool) error {
	if err := m.closed(); err != nil {
		return err
	}
	return robustError(m.at().Release(m.s, keep))
}

// Value returns how many permits are free. Errors: ErrCorrupt, ErrClosed.
func (m *RobustSemaphore) Value() (int, error) {
	if err := m.closed(); err != nil {
		return 0, err
	}
	return m.at().Value(m.s)
}

// Held returns how many permits this process holds. Errors: as Value.
func (m *RobustSemaphore) Held() (int, error) {
	if err := m.closed(); err != nil {
		return 0, err
	}
	return m.at().Held(m.s)
}

// AcquireWithin is Acquire within the limit l, for language bindings.
func (m *RobustSemaphore) AcquireWithin(l *Limit) error {
	if err := m.closed(); err != nil {
		return err
	}
	return robustError(m.at().Acquire(m.s, l))
}
