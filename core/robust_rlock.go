package core

import (
	"context"

	"github.com/goprocessing/goprocessing/core/internal/arena"
	"golang.org/x/sys/unix"
)

// RobustRLock is a RobustLock that its owner may take several times, and has to
// release as often.
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
// with the lock held; else the cause of ctx's end, or unix.EINVAL, if owner is not of
// this process.
func (k *RobustRLock) Lock(ctx context.Context, owner Owner) error {
	return robustError(k.lock(owner, within(ctx)))
}

// TryLock takes the lock for owner unless another has it. The error is nil, ErrOwnerDied
// or unix.EINVAL.
func (k *RobustRLock) TryLock(owner Owner) (taken bool, err error) {
	return robustTry(k.lock(owner, atOnce()))
}

func (k *RobustRLock) lock(owner Owner, l *Limit) error {
	if err := k.closed(); err != nil {
		return err
	}
	if !owner.isHere() {
		return unix.EINVAL
	}
	return k.at().Acquire(uint64(owner), l)
}

// Unlock undoes one Lock; ErrNotHolder: owner has not got the lock, or is not of this
// process.
func (k *RobustRLock) Unlock(owner Owner) error { return k.unlock(owner, false) }

// Abandon is Unlock for one who was told ErrOwnerDied and has not repaired what the
// lock guards: if this frees the lock, the next to take it is told, too.
func (k *RobustRLock) Abandon(owner Owner) error { return k.unlock(owner, true) }

func (k *RobustRLock) unlock(owner Owner, keep bool) error {
	if err := k.closed(); err != nil {
		return err
	}
	if !owner.isHere() {
		return ErrNotHolder
	}
	return robustError(k.at().Release(uint64(owner), keep))
}

// Owner returns who has the lock, whatever the process, and how often; 0 if nobody.
func (k *RobustRLock) Owner() (owner Owner, depth int) {
	if owner = Owner(k.at().Owner()); owner != 0 {
		depth = k.at().Depth()
	}
	return owner, depth
}
