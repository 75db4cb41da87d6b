package stream

import (
	"errors"
	"testing"
)

// fakeBell is a bell that knows whether it is rung.
type fakeBell struct {
	rung   bool
	broken error
}

func (b *fakeBell) Ring() error {
	if b.broken == nil {
		b.rung = true
	}
	return b.broken
}

func (b *fakeBell) Silence() error {
	if b.broken == nil {
		b.rung = false
	}
	return b.broken
}

func (b *fakeBell) Rung() bool { return b.rung }

func watch(t testing.TB, q *Stream, b Bell) {
	t.Helper()
	if err := q.Watch(b, now); err != nil {
		t.Fatal(err)
	}
}

func TestBellAgrees(t *testing.T) {
	q, s := newStream(t, 2)
	b := new(fakeBell)
	agree := func(want bool) {
		t.Helper()
		if b.rung != want || q.Doorbell.Rung.Load() == 1 != want {
			t.Errorf("rung: %v, Rung: %d", b.rung, q.Doorbell.Rung.Load())
		}
	}
	step := func(put bool) {
		t.Helper()
		if put {
			if err := q.TryPut(s, b, record(nil), now); err != nil {
				t.Fatal(err)
			}
		} else {
			get(t, q, s)
			q.Settle(b)
		}
	}
	step(true)
	agree(false) // nobody watches
	watch(t, q, b)
	agree(true)
	step(true)
	if err := q.TryPut(s, b, record(nil), now); err != ErrFull {
		t.Error(err)
	}
	agree(true)
	step(false)
	agree(true)
	step(false)
	agree(false)
	watch(t, q, b)
	agree(false)
	step(true)
	agree(true)
	step(false)
	if err := q.Shutdown(s, b, false, now); err != nil {
		t.Fatal(err)
	}
	agree(true)
	q.Settle(b)
	agree(true)
}

// A bell that this process cannot ring fails no put, and another one rings it.
func TestBellBroken(t *testing.T) {
	q, s := newStream(t, 0)
	b, broken := new(fakeBell), &fakeBell{broken: errors.New("broken")}
	watch(t, q, b)
	for _, bad := range []Bell{broken, nil} {
		if err := q.TryPut(s, bad, record(nil), now); err != nil {
			t.Error(err)
		}
		if b.rung {
			t.Error("rung by another")
		}
		q.Settle(b)
		if !b.rung {
			t.Error("not rung")
		}
		get(t, q, s)
		q.Settle(bad)
		if q.Doorbell.Rung.Load() != 1 {
			t.Error("not silenced, but marked so")
		}
		q.Settle(b)
		if b.rung {
			t.Error("rung without an item")
		}
	}
}

// A process is killed while it rings, or silences. Whoever comes next, with an
// item or to look for one, makes the bell agree.
func TestKilledAtTheBell(t *testing.T) {
	for name, leave := range map[string]func(q *Stream, b *fakeBell){
		"put before ringing":     func(*Stream, *fakeBell) {},
		"put before marking":     func(_ *Stream, b *fakeBell) { b.rung = true },
		"put before committing":  func(q *Stream, b *fakeBell) { b.rung = true; q.Doorbell.Rung.Store(1) },
		"get before marking":     func(q *Stream, _ *fakeBell) { q.Doorbell.Rung.Store(1) },
		"shutdown before it":     func(q *Stream, b *fakeBell) { b.rung = true; q.Doorbell.Rung.Store(1) },
		"shutdown after it":      func(q *Stream, b *fakeBell) { b.rung = true; q.Doorbell.Rung.Store(1); q.putFlags.Or(shut) },
		"put before publication": func(q *Stream, b *fakeBell) { b.rung = true; q.Doorbell.Rung.Store(1); q.puts.Add(^uint64(0)) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, next := range []string{"put", "look"} {
				q, s := newStream(t, 0)
				b := new(fakeBell)
				watch(t, q, b)
				if name == "put before publication" {
					put(t, q, s, nil)
				}
				leave(q, b)
				leaveLocked(t, &q.Doorbell.Lock)
				if next == "put" {
					leaveLocked(t, &q.putLock)
					if err := q.TryPut(s, b, record(nil), now); err != nil && err != ErrShut {
						t.Error(err)
					}
				}
				q.Settle(b)
				if b.rung != q.Ready() || q.Doorbell.Rung.Load() == 1 != b.rung {
					t.Errorf("%s: rung: %v, Rung: %d, ready: %v", next, b.rung, q.Doorbell.Rung.Load(), q.Ready())
				}
				if next == "look" && name == "put before publication" {
					// Not in the stream before somebody puts another.
					leaveLocked(t, &q.putLock)
					if err := q.TryPut(s, b, record(nil), now); err != nil || !b.rung || q.Len() != 2 {
						t.Errorf("%v, rung: %v, %d items", err, b.rung, q.Len())
					}
				}
			}
		})
	}
}
