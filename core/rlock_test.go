package core

import (
	"context"
	"testing"
	"time"
)

func TestRLock(t *testing.T) {
	a := newArena(t)
	k, err := a.NewRLock()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Unlock(1); err != ErrNotOwner {
		t.Errorf("released when free: %v", err)
	}
	for range 3 {
		if err := k.Lock(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	if owner, depth := k.Owner(); owner != 1 || depth != 3 {
		t.Errorf("owner %d, %d times", owner, depth)
	}
	if k.TryLock(2) {
		t.Error("two owners")
	}
	if err := k.Unlock(2); err != ErrNotOwner {
		t.Errorf("released by another: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := k.Lock(ctx, 2); err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	done := make(chan error)
	go func() { done <- k.Lock(t.Context(), 2) }()
	for range 3 {
		if err := k.Unlock(1); err != nil {
			t.Error(err)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if owner, depth := k.Owner(); owner != 2 || depth != 1 {
		t.Errorf("owner %d, %d times", owner, depth)
	}
	if err := k.Unlock(2); err != nil {
		t.Error(err)
	}
	if owner, depth := k.Owner(); owner != 0 || depth != 0 {
		t.Errorf("owner %d, %d times", owner, depth)
	}
	if _, err := a.Semaphore(k.Offset()); err == nil {
		t.Error("an RLock as a semaphore")
	}
}
