//go:build crash

package core

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/futex"
)

// redeliveredQueue is a scene of a queue to which what a dead worker had got returns:
// all is done in the end.
type redeliveredQueue struct {
	posted
	q *JoinableQueue
}

var redelivered = primitive{
	sources: []string{"internal/stream/ledger", "internal/stream/redelivery", "internal/stream/stream", "internal/futex/mutex"},
	make: func(t testing.TB) scene {
		q, err := NewJoinableQueue(Redeliver())
		if err != nil {
			t.Fatal(err)
		}
		s := &redeliveredQueue{q: q}
		s.addFiles(t, q)
		return s
	},
	victims: map[string]func([]*os.File, *plight) error{
		"put":   onQueue(putMixed),
		"work":  onQueue(workAlways),
		"hoard": onQueue(hoardAlways),
		"join":  onQueue(joinAlways),
	},
	plots: [][]fate{
		{{"hoard", "ledger entry counted as done"}, {"hoard", "dead process's mark completed"}},
	},
}

func workOn(q *JoinableQueue) *way {
	w := wayOfQueue(&q.Queue)
	w.form = parcel.mixed
	return w
}

func putMixed(q *JoinableQueue, _ *plight) error {
	for p := (parcel{}); ; p.n++ {
		for q.Len() > tooMany {
			time.Sleep(time.Millisecond)
		}
		if err := q.PutItemWithin(p.mixed(), always()); err != nil {
			return err
		}
	}
}

func workAlways(q *JoinableQueue, _ *plight) error {
	for w := workOn(q); ; {
		if err := work(q, w, always()); err != nil {
			return err
		}
	}
}

// work takes an item and marks it done.
func work(q *JoinableQueue, w *way, l *Limit) error {
	if _, err := w.take(l); err != nil {
		return err
	}
	w.release(0)
	return q.TaskDone()
}

func hoardAlways(q *JoinableQueue, _ *plight) error {
	for w := workOn(q); ; {
		if err := hoard(q, w, 600); err != nil {
			return err
		}
	}
}

func joinAlways(q *JoinableQueue, _ *plight) error {
	for {
		if err := q.JoinWithin(always()); err != nil {
			return err
		}
		time.Sleep(time.Microsecond)
	}
}

// hoard puts so many items, takes as many, and then marks them done.
func hoard(q *JoinableQueue, w *way, items uint32) error {
	for n := range items {
		if err := w.put(parcel{n: n}.mixed(), always()); err != nil {
			return err
		}
	}
	taken := 0
	for range items {
		if _, err := w.take(atOnce()); err == ErrEmpty {
			break
		} else if err != nil {
			return err
		}
		w.release(0)
		taken++
	}
	for range taken {
		if err := q.TaskDone(); err != nil {
			return err
		}
	}
	return nil
}

func (s *redeliveredQueue) survivors() []func(context.Context) error { return putAndWork(s.q) }

// putAndWork is survivors: one who puts and joins, and one who works.
func putAndWork(q *JoinableQueue) []func(context.Context) error {
	w := workOn(q)
	return []func(context.Context) error{
		func(ctx context.Context) error {
			for n := range uint32(5) {
				if err := q.PutItemWithin(parcel{n: n}.mixed(), within(ctx)); err != nil {
					return err
				}
			}
			return q.Join(ctx)
		},
		func(ctx context.Context) error { return work(q, w, within(ctx)) },
	}
}

func (s *redeliveredQueue) bury(*victim, bool) error { return nil }

func (s *redeliveredQueue) settled(gotOn bool) (bool, error) { return gotOn, nil }

func (s *redeliveredQueue) check([]*victim) error {
	// What a dead producer had put may come into sight with the next item only.
	if err := s.q.PutItemWithin(parcel{}.mixed(), atOnce()); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	joined := make(chan error, 1)
	go func() {
		joined <- s.q.JoinWithin(&Limit{How: Block, Deadline: futex.Now() + int64(patienceOfSurvivors)})
		cancel()
	}()
	for w := workOn(s.q); ; {
		if err := work(s.q, w, within(ctx)); err != nil {
			if ctx.Err() == nil {
				return err
			}
			break
		}
	}
	if err := <-joined; err != nil {
		return fmt.Errorf("%d items are never done: %w", s.q.Unfinished(), err)
	}
	if err := s.q.TaskDone(); err != ErrTaskDone {
		return fmt.Errorf("marked done too often: %v", err)
	}
	return checkSegment(&s.q.s, 1)
}
