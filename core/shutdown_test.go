package core

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
)

func init() {
	// Puts into the first queue until that is shut down, then the number of
	// items into the second.
	children["produce until the end"] = func(files []*os.File) error {
		return untilShutdown(files, func(q *Queue) error { return q.Put(context.Background(), nil) })
	}
	// The same with gets.
	children["consume until the end"] = func(files []*os.File) error {
		return untilShutdown(files, func(q *Queue) error {
			_, err := q.Get(context.Background())
			return err
		})
	}
	// Shuts the first queue down after two items from the second.
	children["shut down"] = func(files []*os.File) error {
		q, err := OpenQueue(files[0], files[1])
		if err != nil {
			return err
		}
		start, err := OpenQueue(files[2], files[3])
		if err != nil {
			return err
		}
		for range 2 {
			if _, err := start.Get(context.Background()); err != nil {
				return err
			}
		}
		return q.Shutdown(true)
	}
}

// untilShutdown repeats step on two queues, and puts into the second how often it
// succeeded.
func untilShutdown(files []*os.File, step func(q *Queue) error) error {
	q, err := OpenQueue(files[0], files[1])
	if err != nil {
		return err
	}
	counts, err := OpenQueue(files[2], files[3])
	if err != nil {
		return err
	}
	n := uint64(0)
	for err = step(q); err == nil; err = step(q) {
		n++
	}
	if err != ErrShutdown {
		return err
	}
	return counts.TryPut(binary.NativeEndian.AppendUint64(nil, n))
}

// What was put before is got, and nothing after.
func TestShutdownBetweenProcesses(t *testing.T) {
	for _, maxItems := range []uint64{0, 3} {
		t.Run(fmt.Sprint("maxItems=", maxItems), func(t *testing.T) {
			q, puts, gets := newQueue(t, maxItems), newQueue(t, 0), newQueue(t, 0)
			start := func(name string, n int, counts *JoinableQueue) (started []*exec.Cmd) {
				for range n {
					started = append(started, startChild(t, name, shareQueues(t, q, counts)...))
				}
				return started
			}
			children := start("produce until the end", 3, puts)
			children = append(children, start("consume until the end", 2, gets)...)
			await(t, "items", func() bool { return q.Len() > 0 })
			if err := q.Shutdown(false); err != nil {
				t.Fatal(err)
			}
			for _, c := range children {
				if err := c.Wait(); err != nil {
					t.Error(err)
				}
			}
			total := func(counts *JoinableQueue) (n uint64) {
				for counts.Len() > 0 {
					item, err := counts.TryGet()
					if err != nil {
						t.Fatal(err)
					}
					n += binary.NativeEndian.Uint64(item)
				}
				return n
			}
			if put, got := total(puts), total(gets); put != got {
				t.Errorf("%d items were put, %d were got", put, got)
			}
			if err := q.TryPut(nil); err != ErrShutdown {
				t.Errorf("put: %v", err)
			}
		})
	}
}

// However far a process came that is killed while it shuts a queue down: it did,
// or it did not.
func TestShutdownKilled(t *testing.T) {
	kills := 100
	if testing.Short() {
		kills = 20
	}
	done := 0
	for i := range kills {
		const got = 3
		items := i % 8
		q, start := newQueue(t, 0), newQueue(t, 0)
		readable := watched(t, q)
		for range got + items {
			if err := q.TryPut(make([]byte, 50_000)); err != nil {
				t.Fatal(err)
			}
		}
		for range got {
			if _, err := q.TryGet(); err != nil {
				t.Fatal(err)
			}
		}
		victim := startChild(t, "shut down", shareQueues(t, q, start)...)
		if err := start.TryPut(nil); err != nil {
			t.Fatal(err)
		}
		await(t, "the child", func() bool { return start.Len() == 0 })
		if err := start.TryPut(nil); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Duration(rand.IntN(300_000))); time.Now().Before(end); {
			runtime.Gosched()
		}
		if err := victim.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = victim.Wait()
		if _, err := q.TryGet(); err == ErrShutdown {
			done++
		} else {
			want := error(nil)
			if items == 0 {
				want = ErrEmpty
			}
			if err != want || q.Len() != max(items-1, 0) || q.Unfinished() != uint64(got+items) {
				t.Fatalf("%v, %d items, %d unfinished", err, q.Len(), q.Unfinished())
			}
			if readable() != (q.Len() > 0) {
				t.Fatalf("readable: %v", readable())
			}
			if err := q.TryPut(nil); err != nil {
				t.Fatal(err)
			}
			if err := q.Shutdown(true); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := q.TryPut(nil); err != ErrShutdown {
				t.Fatalf("put: %v", err)
			}
			if _, err := q.TryGet(); err != ErrShutdown || q.Len() != 0 || !readable() {
				t.Fatalf("get: %v, %d items, readable: %v", err, q.Len(), readable())
			}
			if err := q.Shutdown(true); err != nil {
				t.Fatal(err)
			}
		}
		for n := q.Unfinished(); n > 0; n-- {
			if err := q.TaskDone(); err != nil {
				t.Fatal(err)
			}
		}
		if err := q.TaskDone(); err != ErrTaskDone {
			t.Fatal(err)
		}
		if err := q.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		if err := start.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d queues were shut down before the kill", done, kills)
}
