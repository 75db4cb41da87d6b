//go:build crash

package core

import (
	"os"
	"testing"
)

// queueScene is a scene of one queue.
type queueScene struct {
	posted
	q *JoinableQueue
}

func makeQueueScene(t testing.TB, create func(*JoinableQueue) error) *queueScene {
	q := new(JoinableQueue)
	if err := create(q); err != nil {
		t.Fatal(err)
	}
	s := &queueScene{q: q}
	s.addFiles(t, q)
	return s
}

func onQueue(work func(*JoinableQueue, *plight) error) func([]*os.File, *plight) error {
	return func(files []*os.File, p *plight) error {
		q := new(JoinableQueue)
		if err := q.openFiles(files[0], files[1]); err != nil { // it may be a Queue, too
			return err
		}
		return work(q, p)
	}
}
