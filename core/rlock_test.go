package core

import (
	"context"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/arena"
	"golang.org/x/sys/unix"
)

func TestRLock(t *testing.T) {
	a := newArena(t)
	k, err := a.NewRLock()
	if err != nil {
		t.Fatal(err)
	}
	me, other := NewOwner(), NewOwner()
	if err := k.Unlock(me); err != ErrNotOwner {
		t.Errorf("released when free: %v", err)
	}
	for range 3 {
		if err := k.Lock(t.Context(), me); err != nil {
			t.Fatal(err)
		}
	}
	if owner, depth := k.Owner(); owner != me || depth != 3 {
		t.Errorf("owner %d, %d times", owner, depth)
	}
	if k.TryLock(other) {
		t.Error("two owners")
	}
	if err := k.Unlock(other); err != ErrNotOwner {
		t.Errorf("released by another: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := k.Lock(ctx, other); err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	done := make(chan error)
	go func() { done <- k.Lock(t.Context(), other) }()
	for range 3 {
		if err := k.Unlock(me); err != nil {
			t.Error(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if owner, depth := k.Owner(); owner != other || depth != 1 {
		t.Errorf("owner %d, %d times", owner, depth)
	}
	if err := k.Unlock(other); err != nil {
		t.Error(err)
	}
	if owner, depth := k.Owner(); owner != 0 || depth != 0 {
		t.Errorf("owner %d, %d times", owner, depth)
	}
	if _, err := a.Semaphore(k.Offset()); err == nil {
		t.Error("an RLock as a semaphore")
	}
}

// Nobody gets a lock as an owner that is not of this process, also if that has the lock.
func TestForeignOwner(t *testing.T) {
	a := newArena(t)
	k, err := a.NewRLock()
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.NewRobustRLock()
	if err != nil {
		t.Fatal(err)
	}
	me := NewOwner()
	pid := Owner(unix.Getpid()) << 32
	for _, owner := range []Owner{0, 1, ofGo | 1, pid, pid | 1, me + 1<<32} {
		refused := func() {
			t.Helper()
			if err := k.Lock(t.Context(), owner); err != unix.EINVAL || k.TryLock(owner) {
				t.Errorf("RLock taken for %x: %v", owner, err)
			}
			if err := k.Unlock(owner); err != ErrNotOwner {
				t.Errorf("RLock released for %x: %v", owner, err)
			}
			if err := r.Lock(t.Context(), owner); err != unix.EINVAL {
				t.Errorf("RobustRLock taken for %x: %v", owner, err)
			}
			if taken, err := r.TryLock(owner); taken || err != unix.EINVAL {
				t.Errorf("RobustRLock taken for %x: %v, %v", owner, taken, err)
			}
			if r.Unlock(owner) != ErrNotHolder || r.Abandon(owner) != ErrNotHolder {
				t.Errorf("RobustRLock released for %x", owner)
			}
		}
		refused()
		if owner == 0 {
			continue
		}
		if err := (*arena.RLock)(k.slot()).Acquire(uint64(owner), atOnce()); err != nil {
			t.Fatal(err)
		}
		if err := (*arena.RobustRLock)(r.slot()).Acquire(uint64(owner), atOnce()); err != nil {
			t.Fatal(err)
		}
		refused()
		if has, depth := k.Owner(); has != owner || depth != 1 {
			t.Errorf("owner %x, %d times", has, depth)
		}
		if err := (*arena.RLock)(k.slot()).Release(uint64(owner)); err != nil {
			t.Error(err)
		}
		if err := (*arena.RobustRLock)(r.slot()).Release(uint64(owner), false); err != nil {
			t.Error(err)
		}
	}
	if !k.TryLock(me) {
		t.Error("the RLock is not free")
	}
}

func TestOwner(t *testing.T) {
	a, b := NewOwner(), NewOwner()
	if a == b || a.PID() != unix.Getpid() || a.TID() != 0 || !a.isHere() {
		t.Errorf("%x, %x", a, b)
	}
	thread := Owner(7<<32 | 8)
	if thread.PID() != 7 || thread.TID() != 8 {
		t.Errorf("%x is thread %d of %d", thread, thread.TID(), thread.PID())
	}
	if n := testing.AllocsPerRun(100, func() { _ = NewOwner() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
