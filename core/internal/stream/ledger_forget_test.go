package stream

import (
	"testing"

	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// newForgetful is a stream whose ledger has room for so many small items.
func newForgetful(t *testing.T, items uint64, redeliver bool) (*Stream, *shm.Segment) {
	before := maxKept
	t.Cleanup(func() { maxKept = before })
	maxKept = items * cellSize
	return newKept(t, 0, redeliver)
}

func entries(t *testing.T, q *Stream, s *shm.Segment) uint64 {
	t.Helper()
	checkLedger(t, q, s)
	return q.obtained() - q.done.Load() - q.ledger.forgotten
}

// Programs that never mark anything are no reason to keep everything.
func TestLedgerForgets(t *testing.T) {
	const room, items = 10, 100
	q, s := newForgetful(t, room, false)
	for i := range items {
		put(t, q, s, pattern(i, i))
		if get(t, q, s); q.Unfinished() != uint64(i)+1 {
			t.Fatalf("%d unfinished of %d", q.Unfinished(), i+1)
		}
	}
	if n := entries(t, q, s); n != room+1 {
		t.Errorf("%d entries", n)
	}
	for range items {
		if err := q.Done(s, now); err != nil {
			t.Fatal(err)
		}
		checkLedger(t, q, s)
	}
	if err := q.Done(s, now); err != ErrDone {
		t.Error(err)
	}
	if err := q.Join(s, nil, now); err != nil {
		t.Error(err)
	}
}

func TestLedgerForgetsBatchesAndLargeItems(t *testing.T) {
	const room = 10
	q, s := newForgetful(t, room, false)
	for round := range 3 {
		for i := range 2 * room {
			put(t, q, s, pattern(i, 10))
		}
		n, _, err := q.GetMany(s, make([]byte, 1<<16), 2*room, now)
		if err != nil || n != 2*room {
			t.Fatal(n, err)
		}
		if err := q.Put(s, nil, large(round), now); err != nil {
			t.Fatal(err)
		}
		receiveLarge(t, q, s, round)
		checkLedger(t, q, s)
	}
	put(t, q, s, nil)
	get(t, q, s)
	if n := entries(t, q, s); n != 2 {
		t.Errorf("%d entries of a large item and a small one", n)
	}
	for range 3*(2*room+1) + 1 {
		if err := q.Done(s, now); err != nil {
			t.Fatal(err)
		}
	}
	if owned := checkExtents(t, s); owned != 0 {
		t.Errorf("%d extents have an owner", owned)
	}
}

// What a stream redelivers it does not forget.
func TestLedgerForgetsNothingToRedeliver(t *testing.T) {
	const items = 100
	q, s := newForgetful(t, 10, true)
	as(dead[0], func() {
		for i := range items {
			put(t, q, s, pattern(i, i))
			get(t, q, s)
		}
	})
	if look(q, s); q.Len() != items {
		t.Errorf("%d items", q.Len())
	}
}

// A process is killed as it forgets an item, or marks one that was forgotten.
func TestKilledForgetting(t *testing.T) {
	const items = 20
	q, s := newForgetful(t, 10, false)
	for i := range items {
		put(t, q, s, pattern(i, i))
		get(t, q, s)
	}
	k := q.books(s)
	n := entries(t, q, s)

	head, err := k.oldest()
	if err != nil {
		t.Fatal(err)
	}
	k.marked = *head
	k.forgotten++
	if err := k.rebuild(); err != nil {
		t.Fatal(err)
	}
	if left := entries(t, q, s); left != n-1 || q.Unfinished() != items {
		t.Errorf("%d entries of %d, %d unfinished", left, n, q.Unfinished())
	}

	k.forgotten--
	if err := k.rebuild(); err != nil {
		t.Fatal(err)
	}
	if left := entries(t, q, s); left != n-1 || q.Unfinished() != items-1 {
		t.Errorf("%d entries of %d, %d unfinished", left, n, q.Unfinished())
	}
}
