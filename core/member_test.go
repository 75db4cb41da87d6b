package core

import (
	"os/exec"
	"testing"
)

// A handle that was closed, or whose arena was, is not memory that is no longer there.
func TestClosedMember(t *testing.T) {
	a, err := NewArena()
	if err != nil {
		t.Fatal(err)
	}
	inArena := func(object any, err error) any {
		if err != nil {
			t.Fatal(err)
		}
		return object
	}
	// Other objects of the arena, beyond the first page, would be at valid addresses.
	for range 100 {
		inArena(a.NewEvent())
	}
	semaphore := inArena(a.NewSemaphore(1)).(*Semaphore)
	lock := inArena(a.NewLock()).(*Lock)
	rlock := inArena(a.NewRLock()).(*RLock)
	event := inArena(a.NewEvent()).(*Event)
	condition := inArena(a.NewCondition()).(*Condition)
	barrier := inArena(a.NewBarrier(2)).(*Barrier)
	robust := inArena(a.NewRobustLock()).(*RobustLock)
	robustRLock := inArena(a.NewRobustRLock()).(*RobustRLock)
	permits := inArena(a.NewRobustSemaphore(2)).(*RobustSemaphore)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	named, err := Create[Lock](newName(t), UnlinkOnClose())
	if err != nil {
		t.Fatal(err)
	}
	if err := named.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, me := t.Context(), NewOwner()
	second := func(_ any, err error) error { return err }
	for what, err := range map[string]error{
		"NewLock":                 second(a.NewLock()),
		"Arena.Lock":              second(a.Lock(lock.Offset())),
		"Arena.File":              second(a.File()),
		"FreeSlot":                a.FreeSlot(lock.Offset()),
		"Semaphore.Acquire":       semaphore.Acquire(ctx),
		"Semaphore.Release":       semaphore.Release(),
		"Lock.Lock":               lock.Lock(ctx),
		"Lock.Unlock":             lock.Unlock(),
		"Lock.Lock, named":        named.Lock(ctx),
		"Lock.Unlock, named":      named.Unlock(),
		"Pass":                    Pass(exec.Command("true"), "lock", lock),
		"Pass, named":             Pass(exec.Command("true"), "lock", named),
		"RLock.Lock":              rlock.Lock(ctx, me),
		"RLock.Unlock":            rlock.Unlock(me),
		"Event.Wait":              event.Wait(ctx),
		"Condition.Wait":          condition.Wait(ctx, lock),
		"Condition.Notify":        second(condition.Notify(1)),
		"Condition.Waiting":       second(condition.Waiting()),
		"Barrier.Wait":            second(barrier.Wait(ctx)),
		"Barrier.Reset":           barrier.Reset(ctx),
		"Barrier.Abort":           barrier.Abort(ctx),
		"Barrier.Waiting":         second(barrier.Waiting()),
		"RobustLock.Lock":         robust.Lock(ctx),
		"RobustLock.TryLock":      second(robust.TryLock()),
		"RobustLock.Unlock":       robust.Unlock(),
		"RobustLock.Abandon":      robust.Abandon(),
		"RobustRLock.Lock":        robustRLock.Lock(ctx, me),
		"RobustRLock.TryLock":     second(robustRLock.TryLock(me)),
		"RobustRLock.Unlock":      robustRLock.Unlock(me),
		"RobustRLock.Abandon":     robustRLock.Abandon(me),
		"RobustSemaphore.Acquire": permits.Acquire(ctx),
		"RobustSemaphore.Try":     second(permits.TryAcquire()),
		"RobustSemaphore.Release": permits.Release(),
		"RobustSemaphore.Abandon": permits.Abandon(),
		"RobustSemaphore.Value":   second(permits.Value()),
		"RobustSemaphore.Held":    second(permits.Held()),
	} {
		if err != ErrClosed {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, call := range map[string]func(){
		"Semaphore.TryAcquire": func() { semaphore.TryAcquire() },
		"Semaphore.Value":      func() { semaphore.Value() },
		"Lock.TryLock":         func() { lock.TryLock() },
		"Lock.TryLock, named":  func() { named.TryLock() },
		"RLock.TryLock":        func() { rlock.TryLock(me) },
		"RLock.Owner":          func() { rlock.Owner() },
		"Event.IsSet":          func() { event.IsSet() },
		"Event.Set":            event.Set,
		"Event.Clear":          event.Clear,
		"Barrier.Broken":       func() { barrier.Broken() },
		"Barrier.Parties":      func() { barrier.Parties() },
		"RobustRLock.Owner":    func() { robustRLock.Owner() },
	} {
		func() {
			defer func() {
				if r := recover(); r != ErrClosed {
					t.Errorf("%s: %v", what, r)
				}
			}()
			call()
		}()
	}
}
