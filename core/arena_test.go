package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newArena(t testing.TB) *Arena {
	t.Helper()
	a, err := NewArena()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func TestSlotsAreUsedAgain(t *testing.T) {
	a := newArena(t)
	first, err := a.NewSlot(KindSemaphore, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.FreeSlot(first); err != nil {
		t.Fatal(err)
	}
	if err := a.FreeSlot(first); !errors.Is(err, ErrKind) {
		t.Errorf("freed twice: %v", err)
	}
	again, err := a.NewSlot(KindEvent, 0, 0)
	if err != nil || again != first {
		t.Errorf("%d, then %d, %v", first, again, err)
	}
	seen := map[uint64]bool{again: true}
	for {
		offset, err := a.NewSlot(KindSemaphore, 0, 5)
		if err == unix.ENOSPC {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if seen[offset] {
			t.Fatalf("slot %d given twice", offset)
		}
		seen[offset] = true
	}
	if len(seen) < 1000 {
		t.Errorf("an arena of %d slots", len(seen))
	}
	for offset := range seen {
		if err := a.FreeSlot(offset); err != nil {
			t.Error(err)
		}
	}
}

func TestCheckSlot(t *testing.T) {
	a := newArena(t)
	m, err := a.NewLock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Lock(m.Offset()); err != nil {
		t.Error(err)
	}
	if _, err := a.Event(m.Offset()); !errors.Is(err, ErrKind) {
		t.Errorf("a lock as an event: %v", err)
	}
	two, err := a.NewBoundedSemaphore(2)
	if err != nil {
		t.Fatal(err)
	}
	if k, err := a.Lock(two.Offset()); k != nil || !errors.Is(err, ErrKind) {
		t.Errorf("a semaphore as a lock: %v", err)
	}
	if m, err := a.NewSemaphore(MaxValue + 1); m != nil || err != unix.EINVAL {
		t.Errorf("a semaphore with too great a value: %v, %v", m, err)
	}
	if m, err := a.NewBoundedSemaphore(MaxValue + 1); m != nil || err != unix.EINVAL {
		t.Errorf("a semaphore with too great a value: %v, %v", m, err)
	}
	if b, err := a.NewBarrier(0); b != nil || err != unix.EINVAL {
		t.Errorf("a barrier for nobody: %v, %v", b, err)
	}
	for _, offset := range []uint64{0, 1, m.Offset() + 1, m.Offset() + 128, 1 << 40, ^uint64(0)} {
		if _, err := a.Semaphore(offset); err == nil {
			t.Errorf("a semaphore at %d", offset)
		}
	}
}

func TestSemaphore(t *testing.T) {
	a := newArena(t)
	m, err := a.NewBoundedSemaphore(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Release(); err != ErrReleased {
		t.Errorf("released too often: %v", err)
	}
	for _, want := range []bool{true, true, false} {
		if got := m.TryAcquire(); got != want {
			t.Errorf("acquired %v", got)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := m.Acquire(ctx); err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	if err := m.Release(); err != nil || m.Value() != 1 {
		t.Errorf("%v, value %d", err, m.Value())
	}
}

// Counts with a file, which no two processes may do at once.
func init() {
	children["count"] = func(files []*os.File) error {
		a, err := OpenArena(files[0])
		if err != nil {
			return err
		}
		lock, err := a.Lock(1024)
		if err != nil {
			return err
		}
		for range lockRounds {
			if err := lock.Lock(context.Background()); err != nil {
				return err
			}
			if err := increment(files[1]); err != nil {
				return err
			}
			if err := lock.Unlock(); err != nil {
				return err
			}
		}
		return nil
	}
}

const lockRounds = 5000

func count(f *os.File) (n int, err error) {
	buf := make([]byte, 20)
	if _, err := f.ReadAt(buf, 0); err != nil {
		return 0, err
	}
	_, err = fmt.Sscan(string(buf), &n)
	return n, err
}

func increment(f *os.File) error {
	n, err := count(f)
	if err != nil && err != io.EOF {
		return err
	}
	_, err = f.WriteAt(fmt.Appendf(nil, "%20d", n+1), 0)
	return err
}

func TestLockBetweenProcesses(t *testing.T) {
	a := newArena(t)
	lock, err := a.NewLock()
	if err != nil {
		t.Fatal(err)
	}
	if lock.Offset() != 1024 {
		t.Fatalf("offset %d", lock.Offset())
	}
	f, err := os.Create(t.TempDir() + "/count")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const processes = 3
	var commands []*exec.Cmd
	for range processes {
		commands = append(commands, startChild(t, "count", share(t, a), f))
	}
	for _, cmd := range commands {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
	if n, err := count(f); err != nil || n != processes*lockRounds {
		t.Errorf("counted to %d, %v", n, err)
	}
}

// No wake-up is lost among many who wait: the test would take futex.Look for each.
func TestSemaphoreHandsOver(t *testing.T) {
	a := newArena(t)
	m, err := a.NewSemaphore(0)
	if err != nil {
		t.Fatal(err)
	}
	const waiters, rounds = 8, 3000
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var group sync.WaitGroup
	for range waiters {
		group.Go(func() {
			for range rounds {
				if err := m.Acquire(ctx); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range waiters * rounds {
		if err := m.Release(); err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
	if m.Value() != 0 {
		t.Errorf("value %d", m.Value())
	}
}

// Several releases at once wake several sleepers: if only the first were woken,
// the others would sleep for futex.Look in each round.
func TestReleasesAtOnce(t *testing.T) {
	a := newArena(t)
	m, err := a.NewSemaphore(0)
	if err != nil {
		t.Fatal(err)
	}
	const waiters, rounds = 3, 40
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	for range rounds {
		var group sync.WaitGroup
		for range waiters {
			group.Go(func() {
				if err := m.Acquire(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		await(t, "somebody sleeps", func() bool { return m.at().Waiters() })
		for range waiters {
			if err := m.Release(); err != nil {
				t.Fatal(err)
			}
		}
		group.Wait()
	}
}

func TestEvent(t *testing.T) {
	a := newArena(t)
	e, err := a.NewEvent()
	if err != nil {
		t.Fatal(err)
	}
	if e.IsSet() {
		t.Error("set at first")
	}
	var woken atomic.Int32
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			if err := e.Wait(t.Context()); err != nil {
				t.Error(err)
			}
			woken.Add(1)
		})
	}
	await(t, "somebody sleeps", func() bool { return e.at().Word() != 0 })
	e.Set()
	group.Wait()
	e.Clear()
	if e.IsSet() {
		t.Error("set after Clear")
	}
	// Set and cleared before the sleeper runs: it was set all the same.
	seen := e.at().Word()
	e.Set()
	e.Clear()
	if err := e.at().Wait(seen, atOnce()); err != nil {
		t.Errorf("missed a set: %v", err)
	}
}
