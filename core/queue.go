package core

import (
	"context"
	"os"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"github.com/goprocessing/goprocessing/core/internal/stream"
)

// Queue is a first-in first-out queue of items, each a sequence of bytes, for any
// number of producers and consumers in any number of processes. What Put returned
// from is in the queue.
//
// All methods but Close may be called by several goroutines at once.
type Queue struct{ s *Segment }

// NewQueue makes a queue of at most maxItems items, without limit if that is 0.
// Without limit the queue grows, and gives memory back as it is drained.
func NewQueue(maxItems uint64) (*Queue, error) {
	q := &Queue{new(Segment)}
	if err := CreateQueue(q.s, maxItems); err != nil {
		return nil, err
	}
	return q, nil
}

// OpenQueue opens a queue that another process made, of a file that File
// returned there. It does not close the file.
func OpenQueue(f *os.File) (*Queue, error) {
	q := &Queue{new(Segment)}
	if err := openFile(q.s, f, shm.KindQueue); err != nil {
		return nil, err
	}
	return q, nil
}

// CreateQueue makes s a new queue: NewQueue for language bindings.
func CreateQueue(s *Segment, maxItems uint64) error {
	if err := s.Create("goprocessing-queue", shm.KindQueue, stream.FirstAllocation); err != nil {
		return err
	}
	stream.Init(s, 0, 1, maxItems, 0)
	return nil
}

// QueueOn returns the queue in s, which stays the caller's.
func QueueOn(s *Segment) Queue { return Queue{s} }

// File returns a duplicate of the queue's descriptor, by which another process
// opens it; exec.Cmd.ExtraFiles takes it there.
func (q *Queue) File() (*os.File, error) { return file(int(q.s.FD), "goprocessing-queue") }

// Close releases this handle. The queue lives on as long as any process has it.
// No other method may be under way.
func (q *Queue) Close() error { return q.s.Close() }

// Put appends a copy of item, waiting for room if the queue is full. Errors: the
// cause of ctx's end, or that there is no memory for the item.
func (q *Queue) Put(ctx context.Context, item []byte) error {
	return q.PutWithin(item, within(ctx))
}

// TryPut is Put without waiting; it returns ErrFull instead.
func (q *Queue) TryPut(item []byte) error {
	return q.PutWithin(item, atOnce())
}

// Get takes the oldest item, waiting for one if the queue is empty. Error: the
// cause of ctx's end.
func (q *Queue) Get(ctx context.Context) ([]byte, error) { return q.get(within(ctx)) }

// TryGet is Get without waiting; it returns ErrEmpty instead.
func (q *Queue) TryGet() ([]byte, error) { return q.get(atOnce()) }

func (q *Queue) get(l *Limit) ([]byte, error) {
	var buf []byte
	for {
		n, err := q.GetWithin(buf, l)
		long, ok := err.(TooLong)
		if !ok {
			return buf[:n], err
		}
		buf = make([]byte, long)
	}
}

// PutWithin is Put within the limit l, for language bindings.
func (q *Queue) PutWithin(item []byte, l *Limit) error {
	if q.s.FD < 0 {
		return ErrClosed
	}
	return stream.Of(q.s, 0).Put(q.s, item, l)
}

// GetWithin takes the oldest item into buf and returns its length, within the
// limit l, for language bindings. An item that does not fit stays, and the error
// is a TooLong.
func (q *Queue) GetWithin(buf []byte, l *Limit) (int, error) {
	if q.s.FD < 0 {
		return 0, ErrClosed
	}
	return stream.Of(q.s, 0).Get(q.s, buf, l)
}

// Len returns how many items are in the queue.
func (q *Queue) Len() int {
	if q.s.FD < 0 {
		return 0
	}
	return int(stream.Of(q.s, 0).Len())
}

// MaxItems returns the bound on Len, 0 if there is none.
func (q *Queue) MaxItems() uint64 {
	if q.s.FD < 0 {
		return 0
	}
	return stream.Of(q.s, 0).MaxItems()
}

// Full reports whether Len has reached the bound.
func (q *Queue) Full() bool { return q.s.FD >= 0 && stream.Of(q.s, 0).Full() }

// JoinableQueue is a Queue that counts which items were dealt with.
type JoinableQueue struct{ Queue }

// NewJoinableQueue makes a queue as NewQueue does.
func NewJoinableQueue(maxItems uint64) (*JoinableQueue, error) {
	q, err := NewQueue(maxItems)
	if err != nil {
		return nil, err
	}
	return &JoinableQueue{*q}, nil
}

// OpenJoinableQueue opens a queue as OpenQueue does.
func OpenJoinableQueue(f *os.File) (*JoinableQueue, error) {
	q, err := OpenQueue(f)
	if err != nil {
		return nil, err
	}
	return &JoinableQueue{*q}, nil
}

// JoinableQueueOn returns the queue in s, which stays the caller's.
func JoinableQueueOn(s *Segment) JoinableQueue { return JoinableQueue{Queue{s}} }

// TaskDone says that one item that was got is dealt with. ErrTaskDone: it was
// called more often than items were put.
func (q *JoinableQueue) TaskDone() error {
	if q.s.FD < 0 {
		return ErrClosed
	}
	return stream.Of(q.s, 0).Done()
}

// Unfinished returns how many items were put and not yet dealt with.
func (q *JoinableQueue) Unfinished() uint64 {
	if q.s.FD < 0 {
		return 0
	}
	return stream.Of(q.s, 0).Unfinished()
}

// Join waits until all items that were put are dealt with. Error: the cause of
// ctx's end.
func (q *JoinableQueue) Join(ctx context.Context) error { return q.JoinWithin(within(ctx)) }

// JoinWithin is Join within the limit l, for language bindings.
func (q *JoinableQueue) JoinWithin(l *Limit) error {
	if q.s.FD < 0 {
		return ErrClosed
	}
	return stream.Of(q.s, 0).Join(q.s, l)
}

func within(ctx context.Context) *Limit {
	return &Limit{How: futex.Block, Deadline: futex.Forever, Context: ctx}
}

func atOnce() *Limit {
	return &Limit{How: futex.NoWait}
}
