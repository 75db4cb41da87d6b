//go:build crash

package core

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
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
		err = CreateJoinableQueue(q, 0, false)
	} else {
		err = CreateQueue(&q.Queue, 0)
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

// stability tells that a value has not changed for a while, in which every thread of
// this process that could run did.
type stability struct {
	value uint64
	calls int
}

func (s *stability) stable(value uint64) bool {
	if value != s.value {
		*s = stability{value: value}
	}
	s.calls++
	return s.calls > 500
}

func (s *joinedQueue) settled(gotOn bool) (bool, error) {
	left := s.q.Unfinished()
	if left > 0 && s.q.Len() == 0 && s.stable.stable(left) && s.unknown > 0 {
		s.unknown--
		return false, s.q.TaskDone()
	}
	return gotOn, nil
}

func (s *joinedQueue) check([]*victim) error {
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
		s := &shutQueue{queueScene: makeQueueScene(t, false)}
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

// handed is a scene of a pipe through which handles go.
type handed struct {
	*posted
	a, b *Conn
}

var handles = primitive{
	sources: []string{"handle", "internal/socket", "conn_bell"},
	fresh:   true,
	make: func(t testing.TB) scene {
		a, b, err := Pipe(true)
		if err != nil {
			t.Fatal(err)
		}
		return &handed{makePostedPipes(t, a, b), a, b}
	},
	victims: map[string]func([]*os.File, *plight) error{
		"send":    onPipe(func(a, _ *Conn) error { return sendHandles(a, always()) }),
		"receive": onPipe(func(_, b *Conn) error { return receiveHandle(b, always()) }),
	},
}

func onPipe(work func(a, b *Conn) error) func([]*os.File, *plight) error {
	return func(files []*os.File, _ *plight) error {
		ends, err := openConns(files)
		if err == nil {
			_, err = ends[1].Watch()
		}
		for err == nil {
			err = work(ends[0], ends[1])
		}
		return err
	}
}

func openConns(files []*os.File) (conns [2]*Conn, err error) {
	for i := range conns {
		if conns[i], err = OpenConn(files[2*i], files[2*i+1], uint32(i), Readable|Writable); err != nil {
			return conns, err
		}
	}
	return conns, nil
}

// sendHandles sends a handle and a message, unless there are many.
func sendHandles(a *Conn, l *Limit) error {
	if a.out().Len() > tooMany {
		time.Sleep(time.Millisecond)
		return nil
	}
	if err := sendHandle(a, 1); err != nil {
		return err
	}
	return a.SendWithin([]byte{1}, l)
}

// receiveHandle receives both.
func receiveHandle(b *Conn, l *Limit) error {
	if n, err := recvHandle(b, l); err != nil || n != 1 {
		return errors.Join(err, fmt.Errorf("received handle %d", n))
	}
	_, err := b.RecvWithin(make([]byte, 1), l)
	return err
}

func (s *handed) survivors() []func(context.Context) error {
	return []func(context.Context) error{
		func(ctx context.Context) error { return sendHandles(s.a, within(ctx)) },
		func(ctx context.Context) error { return receiveHandle(s.b, within(ctx)) },
	}
}

// check takes what is left: handles and messages each, for the dead had one or the other.
func (s *handed) check([]*victim) error {
	for {
		handle, err := s.b.RecvHandleWithin(atOnce())
		if err == nil {
			_, err = numberOf(handle)
		}
		if Errno(err) == unix.EAGAIN {
			break
		}
		if err != nil {
			return err
		}
	}
	for {
		_, err := s.b.RecvWithin(make([]byte, 1), atOnce())
		if Errno(err) == unix.EAGAIN {
			break
		}
		if err != nil {
			return err
		}
	}
	if err := s.b.PollWithin(atOnce()); Errno(err) != unix.EAGAIN {
		return fmt.Errorf("something is left in the socket: %v", err)
	}
	return checkSegment(&s.a.s, 2)
}
