package stream

import (
	"bytes"
	"testing"

	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// repair repairs a stream, in which it finds so much to do.
func repair(t *testing.T, q *Stream, s *shm.Segment, want int) {
	t.Helper()
	done, err := q.Repair(s, now)
	if err != nil || len(done) != want {
		t.Errorf("done: %q, %v", done, err)
	}
}

// What a producer had committed is shown to consumers, though none comes after it.
func TestRepairOfAPut(t *testing.T) {
	q, s := newStream(t, 0)
	put(t, q, s, pattern(1, 10))
	q.puts.Store(0)
	leaveLocked(t, &q.putLock)
	leaveLocked(t, &q.getLock)
	repair(t, q, s, 2)
	if q.putLock.Held() || q.getLock.Held() {
		t.Error("the locks of the dead are held")
	}
	if q.Len() != 1 || !bytes.Equal(get(t, q, s), pattern(1, 10)) {
		t.Error("the item is not there")
	}
	repair(t, q, s, 0)
}

func TestRepairReturnsItems(t *testing.T) {
	for _, redeliver := range []bool{true, false} {
		q, s := newKept(t, 0, redeliver)
		put(t, q, s, pattern(1, 10))
		as(dead[0], func() { get(t, q, s) })
		want := 0
		if redeliver {
			want = 1
		}
		repair(t, q, s, want)
		if q.Len() != uint64(want) {
			t.Errorf("redeliver %v: %d items", redeliver, q.Len())
		}
		repair(t, q, s, 0)
	}
}

func TestRepairOfExtents(t *testing.T) {
	_, s := newStream(t, 0)
	x := ExtentsOf(s)
	repairExtents := func(want uint64) {
		t.Helper()
		if lost, err := x.Repair(now); err != nil || lost != want {
			t.Errorf("%d bytes were lost, not %d; %v", lost, want, err)
		}
	}
	repairExtents(0)
	ref, err := x.Take(largeItem, now)
	if err != nil {
		t.Fatal(err)
	}
	repairExtents(0)
	e, err := x.find(ref)
	if err != nil {
		t.Fatal(err)
	}
	e.owner.Store(deadProcess(t))
	repairExtents(chunkSize << e.class.Load())
	repairExtents(0)
}

// Who has an item is known for as long as it is not done.
func TestTakers(t *testing.T) {
	q, s := newKept(t, 0, false)
	takers := func(want ...uint64) {
		t.Helper()
		list := q.Takers(s)
		if len(list) != len(want) {
			t.Fatalf("%+v, want %d", list, want)
		}
		for i, n := range want {
			if list[i].Items != n {
				t.Errorf("%+v, want %d", list, want)
			}
		}
	}
	takers()
	for range 3 {
		put(t, q, s, pattern(1, 1000))
		get(t, q, s)
	}
	put(t, q, s, nil)
	takers(3)
	as(dead[0], func() { get(t, q, s) })
	takers(3, 1)
	for range 3 {
		if err := q.Done(s, now); err != nil {
			t.Fatal(err)
		}
	}
	takers(1)
}
