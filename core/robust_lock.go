package core

import (
	"context"

	"github.com/goprocessing/goprocessing/core/internal/arena"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"golang.org/x/sys/unix"
)

// RobustLock is a mutual exclusion lock that outlives the process which holds it.
// Only that process may unlock it.
//
// When the holder dies, the next to take the lock gets it together with ErrOwnerDied.
// Whatever the lock guards may be as that process left it; the caller repairs it and
// unlocks. A caller that cannot, and calls Abandon, or dies, leaves this to the next,
// who is told again.
//
// A taker that waits finds out within about a second; one that comes later finds out
// at once, unless somebody has looked less than a millisecond before.
type RobustLock struct{ member }

// NewRobustLock makes a lock that is free.
func (a *Arena) NewRobustLock() (*RobustLock, error) {
	offset, err := a.NewSlot(KindRobustLock, 0, 0)
	if err != nil {
		return nil, err
	}
	return a.RobustLock(offset)
}

// RobustLock returns the robust lock at offset.
func (a *Arena) RobustLock(offset uint64) (*RobustLock, error) {
	if err := a.CheckSlot(offset, KindRobustLock); err != nil {
		return nil, err
	}
	return &RobustLock{memberOf(a, offset)}, nil
}

func (k *RobustLock) at() *arena.RobustLock { return (*arena.RobustLock)(k.slot()) }

func (k *RobustLock) takes() []string { return nil }

func (k *RobustLock) inherit(fds []int, note string) error {
	return k.inheritAs(KindRobustLock, fds, note)
}

func (k *RobustLock) openNamed(name string, mode Mode, o *options) error {
	return k.member.openNamed(name, mode, o, KindRobustLock, 0, 0)
}

// Lock takes the lock, waiting until it is free. Errors: ErrOwnerDied, with the lock
// held; else the cause of ctx's end.
func (k *RobustLock) Lock(ctx context.Context) error {
	if err := k.closed(); err != nil {
		return err
	}
	return robustError(k.at().Acquire(within(ctx)))
}

// TryLock takes the lock if it is free. The error is nil or ErrOwnerDied.
func (k *RobustLock) TryLock() (taken bool, err error) {
	if err := k.closed(); err != nil {
		return false, err
	}
	return robustTry(k.at().Acquire(atOnce()))
}

// Unlock frees the lock; ErrNotHolder: this process does not hold it.
func (k *RobustLock) Unlock() error { return k.unlock(false) }

// Abandon is Unlock for one who was told ErrOwnerDied and has not repaired what the
// lock guards: the next to take the lock is told, too.
func (k *RobustLock) Abandon() error { return k.unlock(true) }

func (k *RobustLock) unlock(keep bool) error {
	if err := k.closed(); err != nil {
		return err
	}
	return robustError(k.at().Release(keep))
}

// robustError returns the error of this package for that of a robust object.
func robustError(err error) error {
	switch err {
	case unix.EOWNERDEAD:
		return ErrOwnerDied
	case unix.EPERM:
		return ErrNotHolder
	}
	return err
}

// robustTry returns what a try does that ended with err.
func robustTry(err error) (taken bool, _ error) {
	if err == unix.EAGAIN {
		return false, nil
	}
	return err == nil || err == unix.EOWNERDEAD, robustError(err)
}

// Self is this process as the holder of robust locks, for language bindings.
func Self() uint64 { return futex.Self }
