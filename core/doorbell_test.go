package core

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// watched returns a function that tells whether poll(2) finds q readable.
func watched(t testing.TB, q *JoinableQueue) func() bool {
	t.Helper()
	fd, err := q.Watch()
	if err != nil {
		t.Fatal(err)
	}
	return func() bool {
		t.Helper()
		return pollIn(t, int32(fd))
	}
}

// another opens q once more, as another process would, with its bell or without.
func another(t testing.TB, q *JoinableQueue, bell bool) *JoinableQueue {
	t.Helper()
	files := shareQueues(t, q)
	if !bell {
		files[1] = nil
	}
	opened, err := OpenJoinableQueue(files[0], files[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	return opened
}

func TestQueueIsReadableAsLongAsItemsWait(t *testing.T) {
	q := newQueue(t, 0)
	other := another(t, q, true)
	if err := q.TryPut(nil); err != nil {
		t.Fatal(err)
	}
	first, second := watched(t, q), watched(t, other)
	agree := func(want bool) {
		t.Helper()
		if first() != want || second() != want {
			t.Errorf("readable: %v and %v", first(), second())
		}
	}
	agree(true)
	for range 3 {
		if _, err := other.TryGet(); err != nil {
			t.Fatal(err)
		}
		agree(false)
		for range 2 {
			if err := q.TryPut([]byte("item")); err != nil {
				t.Fatal(err)
			}
			agree(true)
			if err := other.PollWithin(atOnce()); err != nil {
				t.Error(err)
			}
		}
		if _, err := q.TryGet(); err != nil {
			t.Fatal(err)
		}
		agree(true)
	}
	if _, err := q.TryGet(); err != nil {
		t.Fatal(err)
	}
	agree(false)
	if err := q.PollWithin(atOnce()); err != unix.EAGAIN {
		t.Errorf("poll of an empty queue: %v", err)
	}
	if err := other.Shutdown(false); err != nil {
		t.Fatal(err)
	}
	agree(true)
	if err := q.PollWithin(atOnce()); err != nil {
		t.Errorf("poll of a queue that was shut down: %v", err)
	}
}

func TestPollWaits(t *testing.T) {
	q := newQueue(t, 0)
	polled := make(chan error)
	for range 2 {
		go func() { polled <- q.PollWithin(within(t.Context())) }()
	}
	if err := q.TryPut(nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-polled; err != nil {
			t.Error(err)
		}
	}
	if _, err := q.TryGet(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := q.PollWithin(within(ctx)); err != context.DeadlineExceeded {
		t.Errorf("poll of an empty queue: %v", err)
	}
}

func TestQueueWithoutBell(t *testing.T) {
	q := newQueue(t, 0)
	readable := watched(t, q)
	without := another(t, q, false)
	if _, err := without.Watch(); err != ErrNoBell {
		t.Errorf("watched without a bell: %v", err)
	}
	if segment, bell, err := without.Files(); err != nil || bell != nil {
		t.Error(bell, err)
	} else if err := segment.Close(); err != nil {
		t.Error(err)
	}
	if err := without.TryPut([]byte("silent")); err != nil {
		t.Error(err)
	}
	if err := q.TryPut([]byte("heard")); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"silent", "heard"} {
		if !readable() {
			t.Errorf("not readable with %q", want)
		}
		if item, err := q.TryGet(); err != nil || string(item) != want {
			t.Errorf("%q, %v", item, err)
		}
	}
	if readable() {
		t.Error("readable without an item")
	}
}

// A program closed its descriptors, and the numbers are other files' now.
func TestBellOfClosedDescriptors(t *testing.T) {
	q := newQueue(t, 0)
	_ = watched(t, q)
	// Afterwards there is memory for another item.
	if err := q.TryPut(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := q.TryGet(); err != nil {
		t.Fatal(err)
	}
	lost := another(t, q, true)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	stolen := []int{int(lost.s.FD), int(lost.bell)}
	for _, fd := range stolen {
		if err := unix.Dup3(int(w.Fd()), fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	if err := lost.TryPut(nil); err != nil {
		t.Error(err)
	}
	if n, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ); err != nil || n != 0 {
		t.Errorf("%d bytes were written into another file, %v", n, err)
	}
	if fd, err := lost.Watch(); Errno(err) != unix.EBADF {
		t.Errorf("watched %d, %v", fd, err)
	}
	if err := lost.Close(); err != nil {
		t.Error(err)
	}
	for _, fd := range stolen {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			t.Errorf("another file was closed: %v", err)
		}
	}
}

// However producers, consumers and those who begin to watch overlap: when all are
// done, the queue is readable if it has items.
func TestQueueBellUnderLoad(t *testing.T) {
	for round := range 1000 {
		q := newQueue(t, uint64(round%3))
		n := 1 + round%4
		var group sync.WaitGroup
		for range 2 {
			group.Go(func() {
				for range n {
					if err := q.Put(t.Context(), nil); err != nil {
						t.Error(err)
					}
				}
			})
			group.Go(func() {
				for range n {
					if _, err := q.Get(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		readable := watched(t, q)
		group.Wait()
		if readable() {
			t.Fatalf("round %d: readable without an item", round)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Producers and consumers of a watched queue are killed all the time. It may be
// readable in vain until somebody looks, but never silent with an item.
func TestQueueBellOfKilledProcesses(t *testing.T) {
	kills := 60
	if testing.Short() {
		kills = 10
	}
	q, back := newQueue(t, 0), newQueue(t, 0)
	readable := watched(t, q)
	heard := watched(t, back)
	for i := range kills {
		victims := []interface{ Kill() error }{
			startChild(t, "produce", shareQueues(t, q)...).Process,
			startChild(t, "forward", shareQueues(t, q, back)...).Process,
		}
		for range i % 50 {
			if _, err := back.Get(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, victim := range victims {
			if err := victim.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range victims {
			_, _ = p.(*os.Process).Wait()
		}
		for _, rest := range []struct {
			q        *JoinableQueue
			readable func() bool
		}{{q, readable}, {back, heard}} {
			for rest.q.Len() > 0 {
				if !rest.readable() {
					t.Fatalf("%d items, but not readable", rest.q.Len())
				}
				if _, err := rest.q.TryGet(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := rest.q.TryGet(); err != ErrEmpty {
				t.Fatal(err)
			}
			if rest.readable() {
				t.Fatal("readable without an item")
			}
		}
	}
}

func TestBellMakesNoGarbage(t *testing.T) {
	q := newQueue(t, 1)
	_ = watched(t, q)
	item, buf := make([]byte, 64), make([]byte, 64)
	if n := testing.AllocsPerRun(100, func() {
		l := Limit{How: Block, Deadline: 1}
		if Errno(q.PutWithin(item, &l)) != 0 || Errno(q.PutWithin(item, &l)) != unix.ETIMEDOUT {
			t.Error("put")
		}
		if _, err := q.WatchWithin(&l); Errno(err) != 0 || Errno(q.PollWithin(&l)) != 0 {
			t.Error("watch")
		}
		if _, err := q.GetWithin(buf, &l); Errno(err) != 0 || Errno(q.PollWithin(&l)) != unix.ETIMEDOUT {
			t.Error("get")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		if Errno(q.Shutdown(true)) != 0 || Errno(q.TryPut(item)) != unix.ESHUTDOWN {
			t.Error("shutdown")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
