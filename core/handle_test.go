package core

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// failer is what testing.TB and rapid.T have in common.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// newHandle returns a descriptor that numberOf tells apart from others.
func newHandle(n int) (int, error) { return unix.Eventfd(uint(n)+1, unix.EFD_CLOEXEC) }

// numberOf returns the number of a handle, and closes it.
func numberOf(handle int) (int, error) {
	var b [8]byte
	_, err := unix.Read(handle, b[:])
	return int(binary.NativeEndian.Uint64(b[:])) - 1, errors.Join(err, unix.Close(handle))
}

// writeHandle writes a new handle to c's socket, as the standard library does.
func writeHandle(c *Conn, n int) error {
	fd, err := newHandle(n)
	if err != nil {
		return err
	}
	return errors.Join(
		unix.Sendmsg(int(c.sock), []byte{1}, unix.UnixRights(fd), nil, 0),
		unix.Close(fd))
}

func sendHandle(c *Conn, n int) error { return errors.Join(writeHandle(c, n), c.SentHandle()) }

func recvHandle(c *Conn, l *Limit) (int, error) {
	handle, err := c.RecvHandleWithin(l)
	if err != nil {
		return -1, err
	}
	return numberOf(handle)
}

// One who sends handles past the engine may leave the socket silent, but nothing
// gets lost, and all is well with the next message.
func TestHandlesWrittenPastTheEngine(t *testing.T) {
	a, b := newPipe(t, true)
	readable := watch(t, a)
	send := func(n int) {
		t.Helper()
		if err := b.Send(t.Context(), make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	recv := func(n int) {
		t.Helper()
		if msg, err := a.Recv(t.Context()); err != nil || len(msg) != n {
			t.Fatal(len(msg), err)
		}
	}
	send(0)
	for n := range 2 {
		if err := writeHandle(b, n); err != nil {
			t.Fatal(err)
		}
	}
	send(1)
	recv(0)
	for want := range 2 {
		if n, err := recvHandle(a, within(t.Context())); err != nil || n != want {
			t.Fatal(n, err)
		}
	}
	if err := a.PollWithin(atOnce()); err != nil {
		t.Errorf("poll with a message: %v", err)
	}
	send(2)
	if !readable() {
		t.Error("not readable with messages")
	}
	recv(1)
	recv(2)
	if readable() {
		t.Error("readable without a message")
	}
}

func TestHandleErrors(t *testing.T) {
	a, b := newPipe(t, true)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := recvHandle(a, within(ctx)); err != context.DeadlineExceeded {
		t.Errorf("no handle: %v", err)
	}
	if err := b.Send(t.Context(), []byte("stays")); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(int(b.sock), []byte{0}); err != nil {
		t.Fatal(err)
	}
	if _, err := recvHandle(a, within(t.Context())); err != unix.EBADMSG {
		t.Errorf("a byte without a handle: %v", err)
	}
	// Of two that come with one byte the second is closed.
	if err := unix.Sendmsg(int(b.sock), []byte{2}, unix.UnixRights(0, 1), nil, 0); err != nil {
		t.Fatal(err)
	}
	handle, err := a.RecvHandleWithin(atOnce())
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(handle); err != nil {
		t.Error(err)
	}
	if err := sendHandle(b, 7); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := recvHandle(a, within(t.Context())); err != nil || n != 7 {
		t.Errorf("a handle from one who has gone: %d, %v", n, err)
	}
	for range 2 {
		if _, err := recvHandle(a, within(t.Context())); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
	}
	if msg, err := a.Recv(t.Context()); err != nil || string(msg) != "stays" {
		t.Errorf("%q, %v", msg, err)
	}
	if err := a.SentHandle(); err != nil && err != unix.EPIPE {
		t.Errorf("to nobody: %v", err)
	}
}

// A bell that the other end never read makes its closing a reset connection.
func TestHandleFromOneWhoDidNotListen(t *testing.T) {
	a, b := newPipe(t, true)
	if err := a.Send(t.Context(), []byte("unread")); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := recvHandle(a, within(t.Context())); err != io.EOF {
		t.Error(err)
	}
}

const mixed = 3000

// kindOf decides what the nth thing is that crosses a pipe in the tests below:
// some messages, some handles.
func isHandle(n int) bool { return n%3 == 0 || n%7 == 0 }

func sendMixed(c *Conn) error {
	for n := range mixed {
		var err error
		if isHandle(n) {
			err = sendHandle(c, n)
		} else {
			err = c.Send(context.Background(), binary.NativeEndian.AppendUint64(nil, uint64(n)))
		}
		if err != nil {
			return fmt.Errorf("sending %d: %w", n, err)
		}
	}
	return nil
}

// recvMixed receives what sendMixed sent, after it saw that c is readable.
func recvMixed(t failer, c *Conn, readable func() bool) {
	t.Helper()
	for want := range mixed {
		for !readable() {
		}
		var n int
		var err error
		if isHandle(want) {
			n, err = recvHandle(c, within(context.Background()))
		} else {
			var msg []byte
			if msg, err = c.Recv(context.Background()); err == nil {
				n = int(binary.NativeEndian.Uint64(msg))
			}
		}
		if err != nil || n != want {
			t.Fatalf("received %d, %v instead of %d", n, err, want)
		}
	}
}

func init() {
	children["mixed"] = func(files []*os.File) error {
		c, err := OpenConn(files[0], files[1], 1, Readable|Writable)
		if err != nil {
			return err
		}
		return sendMixed(c)
	}
}

// In both directions at once, far ahead of the receiver, who watches the socket
// only.
func TestHandlesBetweenProcesses(t *testing.T) {
	a, b := newPipe(t, true)
	fd, err := a.Watch()
	if err != nil {
		t.Fatal(err)
	}
	startWithConn(t, "mixed", b)
	recvMixed(t, a, func() bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, -1)
		return n > 0 && err == nil
	})
	if msg, err := a.Recv(t.Context()); err != io.EOF {
		t.Error(msg, err)
	}
}

func TestHandlesBothWays(t *testing.T) {
	a, b := newPipe(t, true)
	sent := make(chan error, 2)
	received := make(chan struct{})
	for _, c := range []*Conn{a, b} {
		go func() { sent <- sendMixed(c) }()
	}
	go func() {
		defer close(received)
		recvMixed(t, a, func() bool { return a.PollWithin(within(context.Background())) == nil })
	}()
	recvMixed(t, b, func() bool { return b.PollWithin(within(context.Background())) == nil })
	<-received
	for range 2 {
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
	for _, c := range []*Conn{a, b} {
		if readable(t, c) || c.in().Doorbell.Rung.Load() != 0 {
			t.Error("readable without a message")
		}
	}
}
