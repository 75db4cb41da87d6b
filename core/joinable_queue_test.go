package core

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"
)

func init() {
	// Takes three items, says so, and holds them for ever.
	children["take three"] = func(files []*os.File) error {
		q, err := OpenJoinableQueue(files[0], files[1])
		if err != nil {
			return err
		}
		told, err := OpenQueue(files[2], files[3])
		if err != nil {
			return err
		}
		for range 3 {
			if _, err := q.get(always()); err != nil {
				return err
			}
		}
		if err := told.PutWithin(nil, always()); err != nil {
			return err
		}
		time.Sleep(time.Hour) // until killed
		return nil
	}
	// Moves items to another queue, and marks them done then.
	children["move and mark"] = func(files []*os.File) error {
		q, err := OpenJoinableQueue(files[0], files[1])
		if err != nil {
			return err
		}
		back, err := OpenQueue(files[2], files[3])
		if err != nil {
			return err
		}
		from, to := wayOfQueue(&q.Queue), wayOfQueue(back)
		for {
			p, err := from.take(always())
			if err != nil {
				return err
			}
			if err := to.put(p.item(), always()); err != nil {
				return err
			}
			from.release(0)
			if err := q.TaskDone(); err != nil {
				return err
			}
		}
	}
}

// killTaker has a process take three items and die.
func killTaker(t *testing.T, q *JoinableQueue) {
	t.Helper()
	told := newQueue(t, 0)
	cmd := startChild(t, "take three", shareQueues(t, q, told)...)
	if _, err := told.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	killChild(t, cmd)
}

func putNumbers(t *testing.T, q *JoinableQueue, n int) {
	t.Helper()
	for i := range n {
		if err := q.Put(t.Context(), []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRedeliver(t *testing.T) {
	q := newQueue(t, 0, Redeliver())
	putNumbers(t, q, 5)
	killTaker(t, q)
	killTaker(t, q)
	await(t, "what the dead had", func() bool { return q.Len() == 5 })
	for i := range 5 {
		item, err := q.TryGet()
		if err != nil || !bytes.Equal(item, []byte{byte(i)}) {
			t.Errorf("item %d: %v, %v", i, item, err)
		}
	}
	for range 5 {
		if err := q.TaskDone(); err != nil {
			t.Error(err)
		}
	}
	if err := q.Join(t.Context()); err != nil {
		t.Error(err)
	}
	if items, err := q.Abandoned(); err != nil || len(items) > 0 {
		t.Error(items, err)
	}
}

// Those who sleep hear of it, and so do those who watch.
func TestRedeliverToSleepers(t *testing.T) {
	q := newQueue(t, 0, Redeliver())
	fd, err := q.Watch()
	if err != nil {
		t.Fatal(err)
	}
	putNumbers(t, q, 3)
	joined := make(chan error)
	go func() { joined <- q.Join(t.Context()) }()
	killTaker(t, q)
	await(t, "the bell", func() bool { return pollIn(t, int32(fd)) })
	for range 3 {
		if _, err := q.Get(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := q.TaskDone(); err != nil {
			t.Error(err)
		}
	}
	if err := <-joined; err != nil {
		t.Error(err)
	}
	if pollIn(t, int32(fd)) {
		t.Error("the bell is rung in vain")
	}
}

func TestAbandoned(t *testing.T) {
	q := newQueue(t, 0)
	putNumbers(t, q, 4)
	killTaker(t, q)
	if items, err := q.Abandoned(); err != nil || len(items) != 3 || items[2][0] != 2 {
		t.Error(items, err)
	}
	if items, err := q.Abandoned(); err != nil || len(items) > 0 {
		t.Error(items, err)
	}
	if _, err := q.TryGet(); err != nil {
		t.Error(err)
	}
	for range 4 {
		if err := q.TaskDone(); err != nil {
			t.Error(err)
		}
	}
	if err := q.Join(t.Context()); err != nil {
		t.Error(err)
	}
}

// Processes that move items are killed at any instruction, which are all moved and
// marked in the end: once, but for those that a dead process had moved and not marked.
func TestRedeliverKilledAtRandom(t *testing.T) {
	q, back := newQueue(t, 0, Redeliver()), newPlainQueue(t, 0)
	files := shareQueues(t, q, back)
	var movers [3]*exec.Cmd
	for i := range movers {
		movers[i] = startChild(t, "move and mark", files...)
	}
	from := wayOfQueue(&q.Queue)
	to := wayOfQueue(&back.Queue)
	kills := numberOfKills(t)
	producer := rand.Uint64()
	came := map[parcel]int{}
	collect := func() {
		for back.Len() > 0 {
			p, err := to.take(atOnce())
			if err != nil {
				t.Fatal(err)
			}
			to.release(0)
			came[p]++
		}
	}
	put := uint32(0)
	for i := range kills {
		for range 20 {
			if err := from.put((parcel{producer, put}).item(), always()); err != nil {
				t.Fatal(err)
			}
			put++
		}
		time.Sleep(time.Duration(rand.N(10_000_000)))
		k := i % len(movers)
		killChild(t, movers[k])
		movers[k] = startChild(t, "move and mark", files...)
		collect()
	}
	if err := q.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	collect()
	twice := 0
	for n := range put {
		times := came[parcel{producer, n}]
		if times == 0 {
			t.Errorf("item %d is lost", n)
		}
		twice += max(times, 1) - 1
	}
	if twice > kills {
		t.Errorf("%d items came again after %d kills", twice, kills)
	}
	for _, cmd := range movers {
		killChild(t, cmd)
	}
	if err := q.Shutdown(true); err != nil {
		t.Error(err)
	}
	if m := memoryOf(t, &q.s); m > 22<<20 {
		t.Errorf("the dead keep some of %d bytes", m)
	}
	t.Logf("%d kills, %d items, %d again", kills, put, twice)
}
