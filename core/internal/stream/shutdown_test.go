package stream

import (
	"bytes"
	"fmt"
	"os/exec"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func shutdown(t testing.TB, q *Stream, s *shm.Segment, immediate bool) {
	t.Helper()
	if err := q.Shutdown(s, nil, immediate, now); err != nil {
		t.Fatalf("shutting down: %v", err)
	}
}

// leaveLocked makes a lock look as if a process had been killed with it.
func leaveLocked(t testing.TB, locks ...*futex.Mutex) {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	for _, m := range locks {
		(*atomic.Uint64)(unsafe.Pointer(m)).Store(uint64(cmd.Process.Pid) | 1<<32)
	}
}

// Against CPython's queue.Queue, in words: what is in it, unfinished tasks, and
// whether it was shut down.
func TestShutdownAgainstReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maxItems := rapid.SampledFrom([]uint64{0, 3}).Draw(t, "maxItems")
		s := new(shm.Segment)
		if err := s.Create("test", shm.KindQueue, FirstAllocation); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		Init(s, 0, 1, maxItems, 0)
		q := Of(s, 0)
		var items [][]byte
		unfinished, down := 0, false
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				item := pattern(len(items), rapid.IntRange(0, 2*chunkSize).Draw(t, "size"))
				var want error
				switch {
				case down:
					want = ErrShut
				case maxItems > 0 && uint64(len(items)) == maxItems:
					want = ErrFull
				default:
					items = append(items, item)
					unfinished++
				}
				if err := q.TryPut(s, nil, record(item), now); err != want {
					t.Fatalf("put: %v, not %v", err, want)
				}
			},
			"get": func(t *rapid.T) {
				var want error
				var item []byte
				switch {
				case len(items) > 0:
					item, items = items[0], items[1:]
				case down:
					want = ErrShut
				default:
					want = ErrEmpty
				}
				buf := make([]byte, len(item))
				n, err := q.TryGet(s, buf, now)
				if err != want || !bytes.Equal(buf[:n], item) {
					t.Fatalf("got %d bytes, %v, not %d, %v", n, err, len(item), want)
				}
			},
			"done": func(t *rapid.T) {
				var want error
				if unfinished > 0 {
					unfinished--
				} else {
					want = ErrDone
				}
				if err := q.Done(s, now); err != want {
					t.Fatalf("done: %v, not %v", err, want)
				}
			},
			"shutdown": func(t *rapid.T) {
				// Rarely: it is all over then.
				if rapid.IntRange(0, 9).Draw(t, "rarely") > 0 {
					return
				}
				down = true
				immediate := rapid.Bool().Draw(t, "immediate")
				if immediate {
					unfinished = max(0, unfinished-len(items))
					items = nil
				}
				if err := q.Shutdown(s, nil, immediate, now); err != nil {
					t.Fatal(err)
				}
			},
			"": func(t *rapid.T) {
				if q.Len() != uint64(len(items)) || q.Unfinished() != uint64(unfinished) {
					t.Fatalf("%d items, not %d; %d unfinished, not %d", q.Len(), len(items), q.Unfinished(), unfinished)
				}
				if q.Ready() != (down || len(items) > 0) {
					t.Fatalf("ready: %v", q.Ready())
				}
				want := error(nil)
				if unfinished > 0 {
					want = unix.EAGAIN
				}
				if err := q.Join(s, nil, now); err != want {
					t.Fatalf("join: %v, not %v", err, want)
				}
			},
		})
	})
}

// The structure is sound afterwards, whatever the number of items, and the memory
// given back.
func TestShutdownDiscards(t *testing.T) {
	for items := range 5 {
		t.Run(fmt.Sprint(items), func(t *testing.T) {
			q, s := newStream(t, 0)
			put(t, q, s, nil)
			get(t, q, s)
			for range items {
				put(t, q, s, pattern(0, 5<<20))
			}
			shutdown(t, q, s, true)
			if m := memory(t, s); m > (warmChunks+3)*chunkSize {
				t.Errorf("a drained stream keeps %d bytes", m)
			}
		})
	}
}

func TestShutdownDiscardsExtents(t *testing.T) {
	q, s := newStream(t, 0)
	const items, size = 20, 5 << 20
	for range items {
		if err := q.Put(s, nil, record(make([]byte, size)), now); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, q, s)
	shutdown(t, q, s, true)
	if owned := checkExtents(t, s); owned != 0 {
		t.Errorf("%d extents have owners", owned)
	}
	if m := memory(t, s); m > minKept+1<<20 {
		t.Errorf("a drained stream keeps %d bytes", m)
	}
}

// No number of an item keeps an extent where no item is got any more.
func TestShutdownFindsLostExtents(t *testing.T) {
	q, s := newStream(t, 0)
	x := ExtentsOf(s)
	for _, owner := range []uint64{queued, deadProcess(t)} {
		ref, err := x.Take(largeItem, now)
		if err != nil {
			t.Fatal(err)
		}
		// Killed before it committed its item.
		if err := x.enqueue([]Ref{ref}, q.puts.Load()); err != nil {
			t.Fatal(err)
		}
		e, err := x.find(ref)
		if err != nil {
			t.Fatal(err)
		}
		e.owner.Store(owner)
	}
	x.RecoverLost()
	if owned := checkExtents(t, s); owned != 2 {
		t.Errorf("%d extents have owners, want 2", owned)
	}
	shutdown(t, q, s, true)
	if owned := checkExtents(t, s); owned != 0 {
		t.Errorf("%d extents have owners after an immediate shutdown", owned)
	}
}

func TestShutdownWakes(t *testing.T) {
	for _, immediate := range []bool{false, true} {
		t.Run(fmt.Sprint("immediate=", immediate), func(t *testing.T) {
			full, s := newStream(t, 1)
			put(t, full, s, nil)
			empty, s2 := newStream(t, 0)
			block := &futex.Limit{How: futex.Sleep, Deadline: futex.Forever}
			results := make(chan error)
			for range 3 {
				go func() { results <- full.Put(s, nil, record(nil), block) }()
				go func() {
					_, err := empty.Get(s2, nil, block)
					results <- err
				}()
			}
			joined := make(chan error, 1)
			if immediate {
				go func() { joined <- full.Join(s, nil, block) }()
			}
			shutdown(t, full, s, immediate)
			shutdown(t, empty, s2, immediate)
			for range 6 {
				if err := <-results; err != ErrShut {
					t.Errorf("woken with %v", err)
				}
			}
			if immediate {
				if err := <-joined; err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A process is killed inside Shutdown. Each of the states that it may leave is
// either the one before or the one after for everybody else, and another Shutdown
// completes it.
func TestKilledInShutdown(t *testing.T) {
	const before, taken, done = 6, 2, 1
	for step, name := range []string{"counted", "in force", "known to consumers", "half discarded"} {
		t.Run(name, func(t *testing.T) {
			q, s := newStream(t, 0)
			for i := range before {
				put(t, q, s, pattern(i, 50_000))
			}
			for range taken {
				get(t, q, s)
			}
			for range done {
				if err := q.Done(s, now); err != nil {
					t.Fatal(err)
				}
			}
			q.countDropped()
			if step >= 1 {
				q.putFlags.Or(shut | gone)
			}
			if step >= 2 {
				q.getFlags.Or(gone)
			}
			if step >= 3 {
				st := q.current()
				next := &q.get[(q.gets.Load()+1)&1]
				next.head.Store(uint64(st.tail))
				next.bytes.Store(st.bytes)
				q.gets.Add(1)
			}
			leaveLocked(t, &q.putLock, &q.getLock)
			if step == 0 {
				if q.Len() != before-taken || q.Unfinished() != before-done {
					t.Fatalf("%d items, %d unfinished", q.Len(), q.Unfinished())
				}
				if !bytes.Equal(get(t, q, s), pattern(taken, 50_000)) {
					t.Error("another item")
				}
				put(t, q, s, nil)
				shutdown(t, q, s, true)
			} else {
				if _, err := q.TryGet(s, make([]byte, 100_000), now); err != ErrShut {
					t.Errorf("get: %v", err)
				}
				if err := q.TryPut(s, nil, record(nil), now); err != ErrShut {
					t.Errorf("put: %v", err)
				}
			}
			for range 2 {
				if q.Len() != 0 || !q.Ready() {
					t.Errorf("%d items", q.Len())
				}
				want := uint64(taken - done)
				if step == 0 {
					want++
				}
				if q.Unfinished() != want {
					t.Errorf("%d unfinished, not %d", q.Unfinished(), want)
				}
				shutdown(t, q, s, true)
			}
		})
	}
}
