package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Codec turns values into items and back. Packages core/codec/json, core/codec/msgpack
// and core/codec/pickle have one each. Its methods may be called by several goroutines
// at once.
type Codec interface {
	// Marshal returns v encoded.
	Marshal(v any) ([]byte, error)
	// Unmarshal stores in *v, v being a pointer, the value that data is. It keeps
	// nothing of data.
	Unmarshal(data []byte, v any) error
}

// DecodeError is the error for an item that was taken and that the codec cannot decode.
// Nobody else gets it any more.
type DecodeError struct {
	Item []byte // as it was put
	Err  error  // the codec's
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("decoding an item of %d bytes: %v", len(e.Item), e.Err)
}

// Unwrap returns the codec's error.
func (e *DecodeError) Unwrap() error { return e.Err }

// ByteQueue is what a Typed puts to and gets from: a *Queue or a *JoinableQueue.
type ByteQueue interface {
	Put(ctx context.Context, item []byte) error
	TryPut(item []byte) error
	Get(ctx context.Context) ([]byte, error)
	TryGet() ([]byte, error)
}

// Typed is a queue of values of type T. What is not about its items is done with the
// queue itself: TaskDone, Shutdown, Len and Close.
//
// All methods may be called by several goroutines at once.
type Typed[T any] struct {
	q     ByteQueue
	codec Codec
}

// NewTyped returns q as a queue of values that codec encodes. Who is at the other side,
// in whatever language, has to use the same.
func NewTyped[T any](q ByteQueue, codec Codec) *Typed[T] { return &Typed[T]{q, codec} }

// Put appends v, waiting for room if the queue is full. Errors: as Queue.Put, and those
// of the codec.
func (t *Typed[T]) Put(ctx context.Context, v T) error {
	item, err := encode(t.codec, v)
	if err != nil {
		return err
	}
	return t.q.Put(ctx, item)
}

// TryPut is Put without waiting; it returns ErrFull instead.
func (t *Typed[T]) TryPut(v T) error {
	item, err := encode(t.codec, v)
	if err != nil {
		return err
	}
	return t.q.TryPut(item)
}

// Get takes the oldest value, waiting for one if the queue is empty. Errors: as
// Queue.Get, ErrBuffers included, and *DecodeError.
func (t *Typed[T]) Get(ctx context.Context) (T, error) {
	item, err := t.q.Get(ctx)
	return decode[T](t.codec, item, err)
}

// TryGet is Get without waiting; it returns ErrEmpty instead.
func (t *Typed[T]) TryGet() (T, error) {
	item, err := t.q.TryGet()
	return decode[T](t.codec, item, err)
}

// All takes the values one after the other, as Queue.All does the items. A *DecodeError
// does not end the loop.
func (t *Typed[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return until(ErrShutdown, func() (T, error) { return t.Get(ctx) })
}

// TypedConn is an end of a pipe that sends values of type S and receives those of type R.
type TypedConn[S, R any] struct {
	c     *Conn
	codec Codec
}

// NewTypedConn returns c as an end that sends and receives values that codec encodes. Who
// is at the other end, in whatever language, has to use the same.
func NewTypedConn[S, R any](c *Conn, codec Codec) *TypedConn[S, R] {
	return &TypedConn[S, R]{c, codec}
}

// Send sends v, waiting while a MiB is under way. Errors: as Conn.Send, and those of the
// codec.
func (t *TypedConn[S, R]) Send(ctx context.Context, v S) error {
	msg, err := encode(t.codec, v)
	if err != nil {
		return err
	}
	return t.c.Send(ctx, msg)
}

// Recv receives a value, waiting for one. Errors: as Conn.Recv, ErrBuffers included, and
// *DecodeError.
func (t *TypedConn[S, R]) Recv(ctx context.Context) (R, error) {
	msg, err := t.c.Recv(ctx)
	return decode[R](t.codec, msg, err)
}

// All receives the values one after the other, as Conn.All does the messages. A
// *DecodeError does not end the loop.
func (t *TypedConn[S, R]) All(ctx context.Context) iter.Seq2[R, error] {
	return until(io.EOF, func() (R, error) { return t.Recv(ctx) })
}

func encode(c Codec, v any) ([]byte, error) {
	item, err := c.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding an item: %w", err)
	}
	return item, nil
}

// decode returns the value that item is, unless err is why there is none.
func decode[T any](c Codec, item []byte, err error) (v T, _ error) {
	if err != nil {
		return v, err
	}
	if err := c.Unmarshal(item, &v); err != nil {
		var zero T
		return zero, &DecodeError{item, err}
	}
	return v, nil
}

// until returns an iterator over what next returns. The error end ends it silently, and
// any other after it was yielded, but for a *DecodeError.
func until[T any](end error, next func() (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			v, err := next()
			// It may wrap any error, also end: a codec that reads returns io.EOF.
			_, goesOn := err.(*DecodeError)
			if !goesOn && errors.Is(err, end) || !yield(v, err) {
				return
			}
			if err != nil && !goesOn {
				return
			}
		}
	}
}
