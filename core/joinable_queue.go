package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
)

// JoinableQueue is a Queue that knows which of its items were got and not yet dealt
// with, and by which process: so nothing is lost with a consumer that dies. Large items
// are copied for those who get them, since the queue keeps what was put.
type JoinableQueue struct{ Queue }

// NewJoinableQueue makes a queue. Options: MaxItems, Redeliver.
func NewJoinableQueue(list ...Option) (*JoinableQueue, error) {
	q := new(JoinableQueue)
	o, err := choose(list, q.takes()...)
	if err != nil {
		return nil, err
	}
	if err := q.Create(o.maxItems, o.redeliver); err != nil {
		return nil, err
	}
	return q, nil
}

// Create makes q a new queue: NewJoinableQueue for language bindings.
func (q *JoinableQueue) Create(maxItems uint64, redeliver bool) error {
	if err := q.Queue.Create(maxItems); err != nil {
		return err
	}
	q.stream().Keep(redeliver)
	return nil
}

func (q *JoinableQueue) takes() []string { return []string{"MaxItems", "Redeliver"} }

// OpenNamed is Queue.OpenNamed for a JoinableQueue.
func (q *JoinableQueue) OpenNamed(name string, mode Mode, maxItems uint64, redeliver bool) error {
	return q.openNamed(name, mode, &options{maxItems: maxItems, redeliver: redeliver})
}

func (q *JoinableQueue) openNamed(name string, mode Mode, o *options) error {
	return q.openNamedAs(name, mode, o, true)
}

func (q *JoinableQueue) inherit(fds []int, _ string) error {
	if err := q.Queue.inherit(fds, ""); err != nil {
		return err
	}
	return q.check()
}

// check closes what is a queue, but no JoinableQueue.
func (q *JoinableQueue) check() error {
	if q.stream().Keeps() {
		return nil
	}
	return errors.Join(ErrKind, q.Close())
}

// OpenJoinableQueue opens a queue as OpenQueue does. ErrKind: it is a Queue.
func OpenJoinableQueue(segment, bell *os.File) (*JoinableQueue, error) {
	q := new(JoinableQueue)
	if err := q.openFiles(segment, bell); err != nil {
		return nil, err
	}
	if err := q.check(); err != nil {
		return nil, fmt.Errorf("opening %s: %w", segment.Name(), err)
	}
	return q, nil
}

// TaskDone says that an item that was got is dealt with: of those that this process
// got, the one that it got first; if it has none, the one that any process did.
// ErrTaskDone: it was called more often than items were put.
func (q *JoinableQueue) TaskDone() error { return q.TaskDoneWithin(atOnce()) }

// TaskDoneWithin is TaskDone within the limit l, for language bindings.
func (q *JoinableQueue) TaskDoneWithin(l *Limit) error {
	if q.s.FD < 0 {
		return ErrClosed
	}
	err := q.stream().Done(&q.s, l)
	q.stream().Settle(q.ringer())
	return err
}

// Abandoned returns the items that were got by processes that died before they had
// dealt with them, unless the queue redelivers those. They are as if this process had
// got them now. Of what was never marked and is more than some 64 MiB only the latest is
// known. If there is an error, those before it are returned with it. ErrBuffers: the next
// one has buffers beside its data.
func (q *JoinableQueue) Abandoned() (items [][]byte, err error) {
	if q.s.FD < 0 {
		return nil, ErrClosed
	}
	for {
		item, err := q.abandoned()
		if err == ErrEmpty {
			return items, nil
		}
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
}

func (q *JoinableQueue) abandoned() ([]byte, error) {
	take := func(buf []byte) (int, error) { return q.stream().AbandonCopy(&q.s, buf, atOnce()) }
	var small [smallItem]byte
	n, err := take(small[:])
	if err == nil {
		return bytes.Clone(small[:n]), nil
	}
	return receiveLong(n, err, take)
}

// AbandonedWithin takes one of the items that Abandoned returns, as ReceiveWithin, for
// language bindings. ErrEmpty: there is none.
func (q *JoinableQueue) AbandonedWithin(buf []byte, l *Limit) (Received, error) {
	if q.s.FD < 0 {
		return Received{}, ErrClosed
	}
	return q.stream().Abandon(&q.s, buf, l)
}

// Unfinished returns how many items were put and not yet dealt with.
func (q *JoinableQueue) Unfinished() uint64 {
	if q.s.FD < 0 {
		return 0
	}
	return q.stream().Unfinished()
}

// Join waits until all items that were put are dealt with. Without Redeliver it waits
// for those of dead processes too. Error: the cause of ctx's end.
func (q *JoinableQueue) Join(ctx context.Context) error { return q.JoinWithin(within(ctx)) }

// JoinWithin is Join within the limit l, for language bindings.
func (q *JoinableQueue) JoinWithin(l *Limit) error {
	if q.s.FD < 0 {
		return ErrClosed
	}
	return q.stream().Join(&q.s, q.ringer(), l)
}
