package core

import (
	"context"

	"github.com/goprocessing/goprocessing/core/internal/arena"
	"golang.org/x/sys/unix"
)

// RLock is a lock that its owner may take several times, and has to release as
// often.
type RLock struct{ member }

// NewRLock makes a lock that is free.
func (a *Arena) NewRLock() (*RLock, error) {
	offset, err := a.NewSlot(KindRLock, 0, 0)
	if err != nil {
		return nil, err
	}
	return a.RLock(offset)
}

// RLock returns the RLock at offset.
func (a *Arena) RLock(offset uint64) (*RLock, error) {
	if err := a.CheckSlot(offset, KindRLock); err != nil {
		return nil, err
	}
	return &RLock{memberOf(a, offset)}, nil
}

func (k *RLock) at() *arena.RLock { return (*arena.RLock)(k.slot()) }

func (k *RLock) takes() []string { return nil }

func (k *RLock) inherit(fds []int, note string) error {
	return k.inheritAs(KindRLock, fds, note)
}

func (k *RLock) openNamed(name string, mode Mode, o *options) error {
	return k.member.openNamed(name, mode, o, KindRLock, 0, 0)
}

// Lock takes the lock for owner, waiting while another has it. Errors: the cause of ctx's
// end; unix.EINVAL, if owner is not of this process.
func (k *RLock) Lock(ctx context.Context, owner Owner) error {
	if err := k.closed(); err != nil {
		return err
	}
	return k.lock(owner, within(ctx))
}

// TryLock takes the lock for owner, who has to be of this process, unless another has it.
func (k *RLock) TryLock(owner Owner) bool { return k.lock(owner, atOnce()) == nil }

func (k *RLock) lock(owner Owner, l *Limit) error {
	if !owner.isHere() {
		return unix.EINVAL
	}
	return k.at().Acquire(uint64(owner), l)
}

// Unlock undoes one Lock; ErrNotOwner: owner has not got the lock, or is not of this
// process.
func (k *RLock) Unlock(owner Owner) error {
	if err := k.closed(); err != nil {
		return err
	}
	if !owner.isHere() {
		return ErrNotOwner
	}
	err := k.at().Release(uint64(owner))
	if err == unix.EPERM {
		return ErrNotOwner
	}
	return err
}

// Owner returns who has the lock, whatever the process, and how often; 0 if nobody.
func (k *RLock) Owner() (owner Owner, depth int) {
	if owner = Owner(k.at().Owner()); owner != 0 {
		depth = k.at().Depth()
	}
	return owner, depth
}
