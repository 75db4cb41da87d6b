//go:build crash

package core

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/stream"
)

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
// got and not marked, another process asks for and marks.
type joinedQueue struct{ *queueScene }

var joinable = primitive{
	sources: []string{"internal/stream/stream", "internal/stream/ledger", "internal/stream/redelivery", "internal/futex/"},
	make:    func(t testing.TB) scene { return joinedQueue{makeQueueScene(t, true)} },
	victims: map[string]func([]*os.File, *plight) error{
		"put":   onQueue(putMixed),
		"work":  onQueue(workAlways),
		"hoard": onQueue(hoardAlways),
		"join":  onQueue(joinAlways),
		"succeed": onQueue(func(q *JoinableQueue, _ *plight) error {
			for {
				if err := markAbandoned(q); err != nil {
					return err
				}
				time.Sleep(time.Microsecond)
			}
		}),
		"poll": onQueue(func(q *JoinableQueue, _ *plight) error {
			for {
				if err := q.PollWithin(always()); err != nil {
					return err
				}
			}
		}),
	},
	plots: [][]fate{
		{{"hoard", "ledger entry in force"}, {"succeed", "ledger entry orphaned"}, {"succeed", "ledger entry passed on"}},
	},
}

// markAbandoned marks done what the dead had got.
func markAbandoned(q *JoinableQueue) error {
	for buf := make([]byte, 1<<20); ; {
		r, err := q.AbandonedWithin(buf, atOnce())
		if err == ErrEmpty {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range r.Refs {
			ReleaseExtent(&q.s, stream.DecodeRef(buf[16*i:]))
		}
		if err := q.TaskDone(); err != nil {
			return err
		}
	}
}

func (s joinedQueue) survivors() []func(context.Context) error {
	return putAndWork(s.q)
}

func (s joinedQueue) settled(gotOn bool) (bool, error) { return gotOn, markAbandoned(s.q) }

func (s joinedQueue) check([]*victim) error {
	// What a dead producer had put may come into sight with the next item only.
	if err := s.q.PutItemWithin(parcel{}.mixed(), atOnce()); err != nil {
		return err
	}
	for w := workOn(s.q); ; {
		if err := work(s.q, w, atOnce()); err == ErrEmpty {
			break
		} else if err != nil {
			return err
		}
	}
	if err := markAbandoned(s.q); err != nil {
		return err
	}
	if err := s.q.JoinWithin(atOnce()); err != nil {
		return fmt.Errorf("%d items are never marked done: %w", s.q.Unfinished(), err)
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
