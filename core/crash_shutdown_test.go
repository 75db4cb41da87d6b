//go:build crash

package core

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

// shutQueue is a scene of a queue that is shut down.
type shutQueue struct {
	*queueScene
	asked bool
	ended [2]atomic.Bool
}

var shutdowns = primitive{
	sources: []string{"internal/stream/shutdown", "internal/stream/doorbell", "internal/stream/chunk", "internal/futex/"},
	fresh:   true,
	make: func(t testing.TB) scene {
		s := &shutQueue{queueScene: makeQueueScene(t, func(q *JoinableQueue) error { return q.Queue.Create(0) })}
		for n := range uint32(30) {
			if err := s.q.PutItemWithin(parcel{n: n}.mixed(), atOnce()); err != nil {
				t.Fatal(err)
			}
		}
		return s
	},
	victims: map[string]func([]*os.File, *plight) error{
		"use": onQueue(func(q *JoinableQueue, _ *plight) error {
			w := wayOfQueue(&q.Queue)
			w.form = parcel.mixed
			for p := (parcel{}); ; p.n++ {
				err := w.put(w.form(p), always())
				if err == nil {
					_, err = w.take(always())
					w.release(1)
				}
				if err != nil {
					return rest(err)
				}
			}
		}),
		"shut down": onQueue(func(q *JoinableQueue, _ *plight) error {
			if _, err := q.Watch(); err != nil {
				return err
			}
			time.Sleep(time.Duration(rand.N(3_000_000)))
			if rand.N(3) == 0 {
				if err := q.ShutdownWithin(false, always()); err != nil {
					return err
				}
			}
			return rest(q.ShutdownWithin(true, always()))
		}),
	},
}

// rest waits to be killed, after what was to be expected.
func rest(err error) error {
	if err == nil || err == ErrShutdown {
		time.Sleep(time.Hour)
	}
	return err
}

func (s *shutQueue) survivors() []func(context.Context) error {
	w := wayOfQueue(&s.q.Queue)
	w.form = parcel.mixed
	until := func(i int, err error) error {
		if err == ErrShutdown {
			s.ended[i].Store(true)
			time.Sleep(time.Millisecond)
			return nil
		}
		return err
	}
	return []func(context.Context) error{
		func(ctx context.Context) error {
			if s.q.Len() > tooMany {
				time.Sleep(time.Millisecond)
			}
			return until(0, s.q.PutItemWithin(parcel{n: rand.Uint32N(100)}.mixed(), within(ctx)))
		},
		func(ctx context.Context) error {
			_, err := w.take(within(ctx))
			w.release(0)
			return until(1, err)
		},
	}
}

func (s *shutQueue) settled(bool) (bool, error) {
	if !s.asked {
		s.asked = true
		if err := s.q.ShutdownWithin(rand.N(2) == 0, always()); err != nil {
			return false, err
		}
	}
	return s.ended[0].Load() && s.ended[1].Load(), nil
}

func (s *shutQueue) check([]*victim) error {
	if err := s.q.TryPut(nil); err != ErrShutdown {
		return fmt.Errorf("putting after the shutdown: %v", err)
	}
	if _, err := s.q.TryGet(); err != ErrShutdown {
		return fmt.Errorf("getting after the shutdown: %v", err)
	}
	if err := s.q.Shutdown(true); err != nil {
		return err
	}
	return checkSegment(&s.q.s, 1)
}
