//go:build crash

package core

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

var queueSources = []string{"internal/stream/stream", "internal/futex/"}

// queueScene is a scene of one queue.
type queueScene struct {
	posted
	q *JoinableQueue
}

// makeQueueScene makes a scene of a queue without limit, joinable or plain.
func makeQueueScene(t testing.TB, joinable bool) *queueScene {
	q := new(JoinableQueue)
	err := error(nil)
	if joinable {
		err = q.Create(0, false)
	} else {
		err = q.Queue.Create(0)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &queueScene{q: q}
	s.addFiles(t, q)
	return s
}

func onQueue(work func(*JoinableQueue, *plight) error) func([]*os.File, *plight) error {
	return func(files []*os.File, p *plight) error {
		q, err := OpenJoinableQueue(files[0], files[1])
		if err != nil {
			return err
		}
		return work(q, p)
	}
}

// joinedQueue is a scene of a queue whose items are marked done. What a dead worker had
// got, the test marks done for it.
type joinedQueue struct {
	*queueScene
	unknown int // dead workers that may have got an item and not marked it done
	stable  stability
}

const (
	getting = 1 + iota
	working
	marking
)

var joinable = primitive{
	sources: queueSources,
	make:    func(t testing.TB) scene { return &joinedQueue{queueScene: makeQueueScene(t, true)} },
	victims: map[string]func([]*os.File, *plight) error{
		"put": onQueue(func(q *JoinableQueue, _ *plight) error {
			for {
				for q.Len() > tooMany {
					time.Sleep(time.Millisecond)
				}
				if err := q.PutWithin([]byte{1, 2, 3}, always()); err != nil {
					return err
				}
			}
		}),
		"work": onQueue(func(q *JoinableQueue, p *plight) error {
			for buf := make([]byte, 3); ; {
				p.state.Store(getting)
				if _, err := q.GetWithin(buf, always()); err != nil {
					return err
				}
				p.state.Store(working)
				p.state.Store(marking)
				if err := q.TaskDone(); err != nil {
					return err
				}
			}
		}),
		"poll": onQueue(func(q *JoinableQueue, _ *plight) error {
			for {
				if err := q.PollWithin(always()); err != nil {
					return err
				}
			}
		}),
		"join": onQueue(func(q *JoinableQueue, _ *plight) error {
			for {
				if err := q.JoinWithin(always()); err != nil {
					return err
				}
				time.Sleep(time.Microsecond)
			}
		}),
	},
}

func (s *joinedQueue) survivors() []func(context.Context) error {
	return []func(context.Context) error{
		func(ctx context.Context) error {
			for range 5 {
				if err := s.q.Put(ctx, []byte{1, 2, 3}); err != nil {
					return err
				}
			}
			return s.q.Join(ctx)
		},
		func(ctx context.Context) error {
			if _, err := s.q.Get(ctx); err != nil {
				return err
			}
			return s.q.TaskDone()
		},
	}
}

func (s *joinedQueue) bury(v *victim) error {
	if v.role != "work" {
		return nil
	}
	switch v.plight.state.Load() {
	case working:
		return s.q.TaskDone()
	case getting, marking:
		s.unknown++
	}
	return nil
}

// stability tells that a value has not changed for a while.
type stability struct {
	value uint64
	since time.Time
}

func (s *stability) stable(value uint64, period time.Duration) bool {
	if value != s.value || s.since.IsZero() {
		*s = stability{value, time.Now()}
	}
	return time.Since(s.since) > period
}

// quietly is how long survivors stand still before that is put down to what the dead
// have. Longer than they do because one who was to wake them was killed: futex.Look.
const quietly = 1500 * time.Millisecond

func (s *joinedQueue) settled(gotOn bool) (bool, error) {
	// What the dead had then keeps the others waiting, until check.
	return gotOn || s.unknown > 0 && s.stable.stable(s.q.Unfinished(), quietly), nil
}

func (s *joinedQueue) check([]*victim) error {
	s.stable = stability{}
	// What a dead producer had put may come into sight with the next item only.
	if err := s.q.TryPut(nil); err != nil {
		return err
	}
	for {
		_, err := s.q.TryGet()
		if err == ErrEmpty {
			break
		}
		if err == nil {
			err = s.q.TaskDone()
		}
		if err != nil {
			return err
		}
	}
	for ; s.q.Unfinished() > 0; s.unknown-- {
		if s.unknown == 0 {
			return fmt.Errorf("%d items are never marked done", s.q.Unfinished())
		}
		if err := s.q.TaskDone(); err != nil {
			return err
		}
	}
	s.unknown = 0
	if err := s.q.JoinWithin(atOnce()); err != nil {
		return err
	}
	if err := s.q.TaskDone(); err != ErrTaskDone {
		return fmt.Errorf("marked done too often: %v", err)
	}
	return s.checkEmpty()
}

// checkEmpty validates an empty queue.
func (s *queueScene) checkEmpty() error {
	for range 2 {
		if err := s.q.TryPut(nil); err != nil {
			return err
		}
		if _, err := s.q.TryGet(); err != nil {
			return err
		}
		if err := s.q.TaskDone(); err != nil {
			return err
		}
	}
	return checkSegment(&s.q.s, 1)
}
