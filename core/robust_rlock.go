package core

import (
	"context"

	"github.com/goprocessing/goprocessing/core/internal/arena"
)

// RobustRLock is a RobustLock that its owner may take several times, and has to
// release as often. For what an owner is see RLock.
type RobustRLock struct{ member }

// NewRobustRLock makes a lock that is free.
func (a *Arena) NewRobustRLock() (*RobustRLock, error) {
	offset, err := a.NewSlot(KindRobustRLock, 0, 0)
	if err != nil {
		return nil, err
	}
	return a.RobustRLock(offset)
}

// RobustRLock returns the robust RLock at offset.
func (a *Arena) RobustRLock(offset uint64) (*RobustRLock, error) {
	if err := a.CheckSlot(offset, KindRobustRLock); err != nil {
		return nil, err
	}
	return &RobustRLock{memberOf(a, offset)}, nil
}

func (k *RobustRLock) at() *arena.RobustRLock { return (*arena.RobustRLock)(k.slot()) }

func (k *RobustRLock) takes() []string { return nil }

func (k *RobustRLock) inherit(fds []int, note string) error {
	return k.inheritAs(KindRobustRLock, fds, note)
}

func (k *RobustRLock) openNamed(name string, mode Mode, o *options) error {
	return k.member.openNamed(name, mode, o, KindRobustRLock, 0, 0)
}

// Lock takes the lock for owner, waiting while another has it. Errors: ErrOwnerDied,
// with the lock held; else the cause of ctx's end.
func (k *RobustRLock) Lock(ctx context.Context, owner uint64) error {
	return robustError(k.at().Acquire(owner, within(ctx)))
}

// TryLock takes the lock for owner unless another has it. The error is nil or
// ErrOwnerDied.
func (k *RobustRLock) TryLock(owner uint64) (taken bool, err error) {
	return robustTry(k.at().Acquire(owner, atOnce()))
}

// Unlock undoes one Lock; ErrNotHolder: owner has not got the lock.
func (k *RobustRLock) Unlock(owner uint64) error { return robustError(k.at().Release(owner, false)) }

// Abandon is Unlock for one who was told ErrOwnerDied and has not repaired what the
// lock guards: if this frees the lock, the next to take it is told, too.
func (k *RobustRLock) Abandon(owner uint64) error { return robustError(k.at().Release(owner, true)) }

// Owner returns who has the lock and how often, 0 if nobody.
func (k *RobustRLock) Owner() (owner uint64, depth int) {
	if owner = k.at().Owner(); owner != 0 {
		depth = k.at().Depth()
	}
	return owner, depth
}
