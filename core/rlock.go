package core

import (
	"context"

	"github.com/goprocessing/goprocessing/core/internal/arena"
	"golang.org/x/sys/unix"
)

// RLock is a lock that its owner may take several times, and has to release as
// often. The owner is a number that the caller chooses, since goroutines have no
// identity; it is not 0 and not used by anybody else. Python's threads are
// pid<<32 | tid.
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

// Lock takes the lock for owner, waiting while another has it. Error: the cause of
// ctx's end.
func (k *RLock) Lock(ctx context.Context, owner uint64) error {
	return k.at().Acquire(owner, within(ctx))
}

// TryLock takes the lock for owner unless another has it.
func (k *RLock) TryLock(owner uint64) bool { return k.at().Acquire(owner, atOnce()) == nil }

// Unlock undoes one Lock; ErrNotOwner: owner has not got the lock.
func (k *RLock) Unlock(owner uint64) error {
	err := k.at().Release(owner)
	if err == unix.EPERM {
		return ErrNotOwner
	}
	return err
}

// Owner returns who has the lock and how often, 0 if nobody.
func (k *RLock) Owner() (owner uint64, depth int) {
	if owner = k.at().Owner(); owner != 0 {
		depth = k.at().Depth()
	}
	return owner, depth
}
