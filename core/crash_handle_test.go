//go:build crash

package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

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
