package core

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newConditionWith makes a condition and its lock: at offset 64 KiB and at 1 KiB of
// a new arena. When the test ends nobody waits any more.
func newConditionWith(t testing.TB) (*Arena, *Condition, *Lock) {
	t.Helper()
	a := newArena(t)
	c, err := a.NewCondition()
	if err != nil {
		t.Fatal(err)
	}
	lock, err := a.NewLock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n, err := c.Waiting(); n != 0 || err != nil {
			t.Errorf("%d still wait, %v", n, err)
		}
		if !lock.TryLock() {
			t.Error("the lock is taken")
		}
	})
	return a, c, lock
}

// openCondition opens in a child what newConditionWith made.
func openCondition(file *os.File) (*Condition, *Lock, error) {
	a, err := OpenArena(file)
	if err != nil {
		return nil, nil, err
	}
	lock, err := a.Lock(1024)
	if err != nil {
		return nil, nil, err
	}
	c, err := a.Condition(64 << 10)
	return c, lock, err
}

func (c *Condition) awaitWaiting(t testing.TB, n int) {
	t.Helper()
	await(t, "all wait", func() bool {
		got, err := c.Waiting()
		return got == n || err != nil
	})
}

func TestConditionWakesExactly(t *testing.T) {
	_, c, lock := newConditionWith(t)
	const waiters = 200
	var woken atomic.Int32
	var group sync.WaitGroup
	for range waiters {
		group.Go(func() {
			if err := lock.Lock(t.Context()); err != nil {
				t.Error(err)
				return
			}
			if err := c.Wait(t.Context(), lock); err != nil {
				t.Error(err)
			}
			woken.Add(1)
			if err := lock.Unlock(); err != nil {
				t.Error(err)
			}
		})
	}
	c.awaitWaiting(t, waiters)
	left := waiters
	for n := 1; left > 0; n *= 2 {
		want := min(n, left)
		if got, err := c.Notify(n); got != want || err != nil {
			t.Errorf("notified %d, not %d, %v", got, want, err)
		}
		left -= want
		await(t, "they wake", func() bool { return int(woken.Load()) >= waiters-left })
		if got := int(woken.Load()); got != waiters-left {
			t.Errorf("%d woke, not %d", got, waiters-left)
		}
	}
	group.Wait()
}

func TestConditionEnds(t *testing.T) {
	_, c, lock := newConditionWith(t)
	if err := c.Wait(t.Context(), lock); err != ErrReleased {
		t.Errorf("without the lock: %v", err)
	}
	if !lock.TryLock() {
		t.Fatal("taken")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.Wait(ctx, lock); err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	if lock.TryLock() {
		t.Error("the lock was not taken again")
	}
	if n, err := c.NotifyAll(); n != 0 || err != nil {
		t.Errorf("notified %d, %v", n, err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
}

func init() {
	children["wait once"] = func(files []*os.File) error {
		c, lock, err := openCondition(files[0])
		if err != nil {
			return err
		}
		if err := lock.Lock(context.Background()); err != nil {
			return err
		}
		if err := c.Wait(context.Background(), lock); err != nil {
			return err
		}
		return lock.Unlock()
	}
	// Without the lock, so that it may be killed anywhere; the engine does not
	// need it.
	children["use condition"] = func(files []*os.File) error {
		c, _, err := openCondition(files[0])
		if err != nil {
			return err
		}
		for {
			w, err := c.EnterWithin(uint32(os.Getpid()), atOnce())
			if err != nil {
				return err
			}
			if rand.N(4) == 0 {
				if _, err := c.Notify(rand.N(4)); err != nil {
					return err
				}
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.N(100_000)))
			err = c.WaitWithin(w, within(ctx))
			cancel()
			if _, err := c.Leave(w, err != nil); err != nil {
				return err
			}
		}
	}
}

// Whoever was killed while waiting takes no notification along, be it before or
// after it was notified.
func TestKilledWaiters(t *testing.T) {
	a, c, lock := newConditionWith(t)
	var waiters []*exec.Cmd
	for range 4 {
		waiters = append(waiters, startChild(t, "wait once", share(t, a)))
		c.awaitWaiting(t, len(waiters))
	}
	if err := waiters[0].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = waiters[0].Wait()
	if err := lock.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Notify(1); n != 1 || err != nil {
		t.Errorf("notified %d, %v", n, err)
	}
	// The second is notified, and killed before it has the lock.
	c.awaitWaiting(t, 2)
	if err := waiters[1].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = waiters[1].Wait()
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := waiters[2].Wait(); err != nil {
		t.Error(err)
	}
	c.awaitWaiting(t, 1)
	if n, err := c.NotifyAll(); n != 1 || err != nil {
		t.Errorf("notified %d, %v", n, err)
	}
	if err := waiters[3].Wait(); err != nil {
		t.Error(err)
	}
}

// Processes killed at any instruction leave a condition that works.
func TestConditionSurvives(t *testing.T) {
	a, c, lock := newConditionWith(t)
	killAtRandom(t, 3, "use condition", a)
	if _, err := c.NotifyAll(); err != nil {
		t.Fatal(err)
	}
	woken := make(chan error)
	for range 100 {
		go func() {
			err := lock.Lock(t.Context())
			if err == nil {
				err = c.Wait(t.Context(), lock)
				_ = lock.Unlock()
			}
			woken <- err
		}()
	}
	c.awaitWaiting(t, 100)
	for n := range 100 {
		if got, err := c.Notify(1); got != 1 || err != nil {
			t.Errorf("%d: notified %d, %v", n, got, err)
		}
		if err := <-woken; err != nil {
			t.Error(err)
		}
	}
}

func TestConditionLeavesNoGarbage(t *testing.T) {
	a, c, lock := newConditionWith(t)
	k, err := a.NewRLock()
	if err != nil {
		t.Fatal(err)
	}
	if !lock.TryLock() {
		t.Fatal("taken")
	}
	me := NewOwner()
	if n := testing.AllocsPerRun(100, func() {
		l := Limit{How: Block, Deadline: 1}
		w, err := c.EnterWithin(0, &l)
		if err != nil || Errno(c.WaitWithin(w, &l)) != unix.ETIMEDOUT {
			t.Error("wait")
		}
		if n, err := c.NotifyWithin(1, &l); n != 1 || err != nil || c.WaitWithin(w, &l) != nil {
			t.Error("notify")
		}
		if notified, err := c.Leave(w, true); !notified || err != nil {
			t.Error("leave")
		}
		if !k.TryLock(me) || k.Unlock(me) != nil {
			t.Error("RLock")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
}
