package core

import (
	"context"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/arena"
	"github.com/goprocessing/goprocessing/core/internal/fault"
)

// Waiter is one who waits for a Condition or a Barrier, an entry in shared memory that is
// handed from call to call, for language bindings.
type Waiter = arena.Waiter

// Condition is a condition variable. It goes with a lock, which those who wait and
// those who notify hold.
type Condition struct{ member }

// NewCondition makes a condition that nobody waits for.
func (a *Arena) NewCondition() (*Condition, error) {
	offset, err := a.NewSlot(KindCondition, 0, 0)
	if err != nil {
		return nil, err
	}
	return a.Condition(offset)
}

// Condition returns the condition at offset.
func (a *Arena) Condition(offset uint64) (*Condition, error) {
	if err := a.CheckSlot(offset, KindCondition); err != nil {
		return nil, err
	}
	c := ConditionOn(a.s, offset)
	return &c, nil
}

// ConditionOn returns the condition at offset, which passed CheckSlot, in s, which
// stays the caller's: for language bindings.
func ConditionOn(s *Segment, offset uint64) Condition {
	return Condition{memberOf(&Arena{s}, offset)}
}

func (c *Condition) at() *arena.Condition { return (*arena.Condition)(unsafe.Pointer(c.slot())) }

func (c *Condition) takes() []string { return nil }

func (c *Condition) inherit(fds []int, note string) error {
	return c.inheritAs(KindCondition, fds, note)
}

func (c *Condition) openNamed(name string, mode Mode, o *options) error {
	return c.member.openNamed(name, mode, o, KindCondition, 0, 0)
}

// Locker is a lock for Condition.Wait: a Lock or a RobustLock.
type Locker interface {
	Lock(ctx context.Context) error
	Unlock() error
}

// Wait releases lock, waits until it is notified, and takes the lock again, however
// the wait ended. Errors: the cause of ctx's end; that there is no memory; or
// ErrOwnerDied, when a process died that had taken a robust lock meanwhile. Then the
// caller has the lock as always, and the notification, if there was one, has gone on
// to the next.
func (c *Condition) Wait(ctx context.Context, lock Locker) error {
	w, err := c.EnterWithin(0, within(context.Background()))
	if err != nil {
		return err
	}
	if err := lock.Unlock(); err != nil {
		_, _ = c.Leave(w, true)
		return err
	}
	fault.Here("lock of the condition released")
	failed := c.WaitWithin(w, within(ctx))
	notified := failed == nil
	if !notified {
		if notified, err = c.Quit(w); err != nil {
			failed = err
		}
		fault.Here("wait given up")
	}
	died := lock.Lock(context.Background()) // has no end
	if !notified {
		if died != nil {
			return died
		}
		return failed
	}
	fault.Here("lock of the condition taken again")
	_, err = c.Leave(w, died != nil)
	if died != nil {
		return died
	}
	return err
}

// Notify wakes n of those who wait, in the order in which they came, or all if
// there are fewer, and returns how many it has woken. Errors: ErrCorrupt, ErrClosed.
func (c *Condition) Notify(n int) (int, error) { return c.NotifyWithin(n, atOnce()) }

// NotifyAll wakes all who wait. Errors: as Notify.
func (c *Condition) NotifyAll() (int, error) { return c.Notify(int(^uint(0) >> 1)) }

// Waiting returns how many wait that were not notified. Errors: ErrCorrupt, ErrClosed.
func (c *Condition) Waiting() (int, error) {
	if err := c.closed(); err != nil {
		return 0, err
	}
	return c.at().Waiting(c.s)
}

// EnterWithin makes the calling thread wait for a notification from now on, for
// language bindings, which then release the lock, call WaitWithin, take the lock
// again and call Leave. tid is the thread's, if the caller keeps to one.
func (c *Condition) EnterWithin(tid uint32, l *Limit) (*Waiter, error) {
	if err := c.closed(); err != nil {
		return nil, err
	}
	return c.at().Enter(c.s, tid, l)
}

// WaitWithin waits for the notification of w within the limit l.
func (c *Condition) WaitWithin(w *Waiter, l *Limit) error { return c.at().Wait(c.s, w, l) }

// Quit ends the wait of w, which has failed, unless w was notified meanwhile, which it
// reports: then the lock is to be taken, and Leave to follow, all the same.
func (c *Condition) Quit(w *Waiter) (notified bool, err error) { return c.at().Quit(w) }

// Leave ends a wait and reports whether w was notified. If it was, but the wait
// fails all the same, pass gives the notification to the next.
func (c *Condition) Leave(w *Waiter, pass bool) (notified bool, err error) {
	return c.at().Leave(c.s, w, pass)
}

// NotifyWithin is Notify within the limit l, for language bindings.
func (c *Condition) NotifyWithin(n int, l *Limit) (int, error) {
	if err := c.closed(); err != nil {
		return 0, err
	}
	return c.at().Notify(c.s, n, l)
}
