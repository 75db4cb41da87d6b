package core

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/socket"
	"golang.org/x/sys/unix"
)

func newPipe(t testing.TB, duplex bool) (a, b *Conn) {
	t.Helper()
	a, b, err := Pipe(duplex)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, c := range []*Conn{a, b} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return a, b
}

// give returns the files of c for a child, and closes c here.
func give(t testing.TB, c *Conn) []*os.File {
	t.Helper()
	segment, sock, err := c.Files()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return []*os.File{segment, sock}
}

func startWithConn(t testing.TB, name string, c *Conn) interface{ Kill() error } {
	t.Helper()
	files := give(t, c)
	cmd := startChild(t, name, files...)
	for _, f := range files {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return cmd.Process
}

// runWithConn runs a process that has c, too.
func runWithConn(t testing.TB, name string, c *Conn) {
	t.Helper()
	segment, sock, err := c.Files()
	if err != nil {
		t.Fatal(err)
	}
	cmd := startChild(t, name, segment, sock)
	for _, f := range []*os.File{segment, sock} {
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

// watch returns a function that reports whether poll(2) finds c readable.
func watch(t failer, c *Conn) (readable func() bool) {
	t.Helper()
	fd, err := c.Watch()
	if err != nil {
		t.Fatal(err)
	}
	return func() bool {
		t.Helper()
		return pollIn(t, int32(fd))
	}
}

// readable reports whether poll(2) finds c readable, watched from now on.
func readable(t failer, c *Conn) bool {
	t.Helper()
	return watch(t, c)()
}

// pollIn reports whether poll(2) finds a descriptor readable.
func pollIn(t failer, fd int32) bool {
	t.Helper()
	fds := []unix.PollFd{{Fd: fd, Events: unix.POLLIN}}
	for {
		switch _, err := unix.Poll(fds, 0); err {
		case nil:
			return fds[0].Revents&unix.POLLIN != 0
		case unix.EINTR: // the runtime's own signals
		default:
			t.Fatal(err)
		}
	}
}

func TestPipeIsReadableAsLongAsMessagesWait(t *testing.T) {
	a, b := newPipe(t, true)
	for range 3 {
		if readable(t, a) || readable(t, b) {
			t.Fatal("readable without a message")
		}
		for n := range 3 {
			if err := b.Send(t.Context(), []byte{byte(n)}); err != nil {
				t.Fatal(err)
			}
			if !readable(t, a) || readable(t, b) {
				t.Fatal("not readable, or the wrong end")
			}
		}
		for n := range 3 {
			if !readable(t, a) {
				t.Fatalf("not readable with %d messages", 3-n)
			}
			msg, err := a.Recv(t.Context())
			if err != nil || !bytes.Equal(msg, []byte{byte(n)}) {
				t.Fatal(msg, err)
			}
		}
	}
}

func TestPipeEnd(t *testing.T) {
	for _, duplex := range []bool{false, true} {
		a, b := newPipe(t, duplex)
		if err := b.Send(t.Context(), []byte("last")); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if err := a.PollWithin(atOnce()); err != nil {
			t.Errorf("poll with a message: %v", err)
		}
		if msg, err := a.Recv(t.Context()); err != nil || string(msg) != "last" {
			t.Errorf("%q, %v", msg, err)
		}
		for range 2 {
			if err := a.PollWithin(atOnce()); err != nil {
				t.Errorf("poll at the end: %v", err)
			}
			if _, err := a.Recv(t.Context()); err != io.EOF {
				t.Errorf("at the end: %v", err)
			}
		}
		if duplex {
			if err := a.Send(t.Context(), nil); err != unix.EPIPE {
				t.Errorf("send to nobody: %v", err)
			}
		}
	}
}

func TestPipeDirections(t *testing.T) {
	a, b := newPipe(t, false)
	if err := a.Send(t.Context(), nil); err != unix.EBADF {
		t.Errorf("send by the receiving end: %v", err)
	}
	if _, err := b.Recv(t.Context()); err != unix.EBADF {
		t.Errorf("receive by the sending end: %v", err)
	}
}

func TestPipeLimits(t *testing.T) {
	a, b := newPipe(t, true)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := a.Recv(ctx); err != context.DeadlineExceeded {
		t.Errorf("receive without a message: %v", err)
	}
	if err := b.Send(t.Context(), make([]byte, 2*pipeBytes)); err != nil {
		t.Fatal(err)
	}
	if err := b.Send(ctx, nil); err != context.DeadlineExceeded {
		t.Errorf("send through a full pipe: %v", err)
	}
	done := make(chan error)
	go func() { done <- b.Send(t.Context(), []byte("next")) }()
	if msg, err := a.Recv(t.Context()); err != nil || len(msg) != 2*pipeBytes {
		t.Errorf("%d bytes, %v", len(msg), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if msg, err := a.Recv(t.Context()); err != nil || string(msg) != "next" {
		t.Errorf("%q, %v", msg, err)
	}
}

func init() {
	children["hold"] = func([]*os.File) error {
		time.Sleep(time.Hour)
		return nil
	}
	children["echo"] = func(files []*os.File) error {
		c, err := OpenConn(files[0], files[1], 1, Readable|Writable)
		if err != nil {
			return err
		}
		// The end is the other one's to see.
		if err := files[1].Close(); err != nil {
			return err
		}
		for {
			msg, err := c.Recv(context.Background())
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if err := c.Send(context.Background(), msg); err != nil {
				return err
			}
		}
	}
}

func TestPipeBetweenProcesses(t *testing.T) {
	a, b := newPipe(t, true)
	startWithConn(t, "echo", b)
	for n := range 3000 {
		msg := numbered(1, uint32(n))
		if err := a.Send(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
		back, err := a.Recv(t.Context())
		if err != nil || !bytes.Equal(msg, back) {
			t.Fatalf("message %d: %v", n, err)
		}
	}
	// Both ways at once, more than is ever under way.
	const messages, size = 200, 50_000
	var group sync.WaitGroup
	group.Go(func() {
		for range messages {
			if err := a.Send(t.Context(), make([]byte, size)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range messages {
		if msg, err := a.Recv(t.Context()); err != nil || len(msg) != size {
			t.Fatal(len(msg), err)
		}
	}
	group.Wait()
	if readable(t, a) {
		t.Error("readable without a message")
	}
}

// The end of a killed process is closed like any other, for one who waits to
// receive and for one who waits to send.
func TestPipeToKilledProcess(t *testing.T) {
	a, b := newPipe(t, true)
	victim := startWithConn(t, "hold", b)
	if err := a.Send(t.Context(), make([]byte, pipeBytes)); err != nil {
		t.Fatal(err)
	}
	received, sent := make(chan error), make(chan error)
	go func() {
		_, err := a.Recv(t.Context())
		received <- err
	}()
	go func() { sent <- a.Send(t.Context(), []byte("no room")) }()
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-received; err != io.EOF {
		t.Errorf("receive: %v", err)
	}
	if err := <-sent; err != unix.EPIPE {
		t.Errorf("send: %v", err)
	}
}

// Several receivers of one end share the messages among them.
func TestPipeSharedEnd(t *testing.T) {
	a, b := newPipe(t, true)
	const receivers, messages = 4, 2000
	var group sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]bool{}
	for range receivers {
		group.Go(func() {
			for {
				msg, err := a.Recv(t.Context())
				if err == io.EOF {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if seen[string(msg[:8])] {
					t.Errorf("message %x came twice", msg[:8])
				}
				seen[string(msg[:8])] = true
				mu.Unlock()
			}
		})
	}
	for n := range messages {
		if err := b.Send(t.Context(), numbered(0, uint32(n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	group.Wait()
	if len(seen) != messages {
		t.Errorf("%d messages of %d", len(seen), messages)
	}
}

// However sender and receiver overlap: when both are done, the socket is as
// readable as the end it belongs to.
func TestPipeBellUnderLoad(t *testing.T) {
	a, b := newPipe(t, true)
	readable := watch(t, a)
	for round := range 3000 {
		n := 1 + round%3
		var group sync.WaitGroup
		group.Go(func() {
			for range n {
				if err := b.Send(t.Context(), make([]byte, round%50)); err != nil {
					t.Error(err)
				}
			}
		})
		for range n {
			if err := a.PollWithin(within(t.Context())); err != nil {
				t.Fatal(err)
			}
			if _, err := a.Recv(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		group.Wait()
		if readable() || a.in().Doorbell.Rung.Load() != 0 {
			t.Fatalf("round %d: readable without a message", round)
		}
	}
}

func init() {
	// Each ends as if killed between two steps of sending.
	for name, die := range map[string]func(*Conn) error{
		"die after the message": func(c *Conn) error { return nil },
		"die before the bell": func(c *Conn) error {
			if !c.out().Doorbell.Lock.TryLock() {
				return errors.New("the bell is locked")
			}
			return nil
		},
		"die after the bell": func(c *Conn) error {
			if !c.out().Doorbell.Lock.TryLock() {
				return errors.New("the bell is locked")
			}
			return socket.Ring(c.sock)
		},
	} {
		children[name] = func(files []*os.File) error {
			c, err := OpenConn(files[0], files[1], 1, Readable|Writable)
			if err != nil {
				return err
			}
			if err := c.put(&Item{Parts: [3][]byte{[]byte("last")}}, atOnce()); err != nil {
				return err
			}
			return die(c)
		}
	}
}

func TestPipeBellOfKilledSender(t *testing.T) {
	for _, name := range []string{"die after the message", "die before the bell", "die after the bell"} {
		t.Run(name, func(t *testing.T) {
			a, b := newPipe(t, true)
			readable := watch(t, a)
			runWithConn(t, name, b)
			if !readable() {
				t.Error("the last message is not heard of")
			}
			if err := b.Send(t.Context(), []byte("next")); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"last", "next"} {
				if !readable() {
					t.Errorf("not readable with %q", want)
				}
				if msg, err := a.Recv(t.Context()); err != nil || string(msg) != want {
					t.Errorf("%q, %v", msg, err)
				}
			}
			if readable() {
				t.Error("readable without a message")
			}
		})
	}
}

func init() {
	// Each ends as if killed between two steps of silencing.
	for name, steps := range map[string]func(*Conn) error{
		"die before the bell is taken": func(c *Conn) error { return nil },
		"die after the bell was taken": func(c *Conn) error {
			socket.TakeBells(c.sock, false)
			return nil
		},
		"die watching": func(c *Conn) error {
			c.in().Doorbell.Rung.Store(1) // as it was
			return c.in().Watch(nil, atOnce())
		},
	} {
		children[name] = func(files []*os.File) error {
			c, err := OpenConn(files[0], files[1], 0, Readable|Writable)
			if err != nil {
				return err
			}
			if !c.in().Doorbell.Lock.TryLock() {
				return errors.New("the bell is locked")
			}
			c.in().Doorbell.Rung.Store(0)
			return steps(c)
		}
	}
}

func TestPipeBellOfKilledReceiver(t *testing.T) {
	for _, name := range []string{"die before the bell is taken", "die after the bell was taken", "die watching"} {
		t.Run(name, func(t *testing.T) {
			a, b := newPipe(t, true)
			if err := b.Send(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if _, err := a.Recv(t.Context()); err != nil {
				t.Fatal(err)
			}
			runWithConn(t, name, a)
			received := make(chan error)
			go func() {
				_, err := a.Recv(t.Context())
				received <- err
			}()
			if err := b.Send(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if err := <-received; err != nil {
				t.Fatal(err)
			}
			readable := watch(t, a)
			for range 2 {
				if readable() {
					t.Error("readable without a message")
				}
				if err := a.PollWithin(atOnce()); err != unix.EAGAIN {
					t.Errorf("poll without a message: %v", err)
				}
				if err := b.Send(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				if !readable() {
					t.Error("not readable with a message")
				}
				if _, err := a.Recv(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// As long as nobody watches, the bell is left in the socket.
func TestPipeWatchedLate(t *testing.T) {
	for _, left := range []int{0, 1} {
		a, b := newPipe(t, true)
		for range 3 {
			if err := b.Send(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 - left {
			if _, err := a.Recv(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if a.in().Doorbell.Rung.Load() == 0 {
			t.Error("the bell was silenced")
		}
		if readable(t, a) != (left > 0) {
			t.Errorf("%d messages: readable is %v", left, left == 0)
		}
	}
}

// While messages flow, the other end's closing is heard of by asking only.
func TestPipeSendToNobody(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, a, b *Conn){
		"closed": func(t *testing.T, a, b *Conn) {
			for range 3 {
				if err := b.Send(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				if _, err := a.Recv(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
		},
		"killed": func(t *testing.T, a, b *Conn) {
			files := give(t, a)
			cmd := startChild(t, "receive", files...)
			for _, f := range files {
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
			}
			for range 1000 {
				if err := b.Send(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Fatal("not killed")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := newPipe(t, true)
			leave(t, a, b)
			if err := b.Send(t.Context(), nil); err != unix.EPIPE {
				t.Error(err)
			}
		})
	}
}

// Whoever receives a message may close its end at once, before the sender has told it of
// the message.
func TestPipeClosedByWhoReceived(t *testing.T) {
	for _, rung := range []bool{false, true} {
		a, b := newPipe(t, true)
		if rung { // and nobody took the bell away
			if err := b.Send(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if _, err := a.Recv(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.put(&Item{}, atOnce()); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Recv(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if err := b.tell(); err != nil {
			t.Errorf("bell rung before: %v: %v", rung, err)
		}
		if err := b.Send(t.Context(), nil); err != unix.EPIPE {
			t.Errorf("send to nobody: %v", err)
		}
	}
}

func init() {
	children["receive"] = func(files []*os.File) error {
		c, err := OpenConn(files[0], files[1], 0, Readable|Writable)
		if err != nil {
			return err
		}
		for {
			if _, err := c.Recv(context.Background()); err != nil {
				return err
			}
		}
	}
}

// Two processes receive at one end, from a sender that leaves them the time to
// sleep now and then; one after the other is killed at any instruction.
func TestPipeReceiversKilledAtRandom(t *testing.T) {
	a, b := newPipe(t, true)
	start := func() *exec.Cmd {
		segment, sock, err := a.Files()
		if err != nil {
			t.Fatal(err)
		}
		defer segment.Close()
		defer sock.Close()
		return startChild(t, "receive", segment, sock)
	}
	kill := func(cmd *exec.Cmd) {
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	}
	var done atomic.Bool
	sent := make(chan error)
	go func() {
		var err error
		for n := 0; err == nil && !done.Load(); n++ {
			err = b.Send(t.Context(), make([]byte, n%100))
			if n%200 > 100 {
				time.Sleep(time.Duration(rand.N(200_000)))
			}
		}
		sent <- err
	}()
	kills := 60
	if testing.Short() {
		kills = 10
	}
	running := [2]*exec.Cmd{start(), start()}
	for i := range kills {
		time.Sleep(time.Duration(rand.N(20_000_000)))
		kill(running[i%2])
		running[i%2] = start()
	}
	done.Store(true)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	// One alone has to do with what the others left.
	kill(running[0])
	await(t, "all is received", func() bool { return a.in().Len() == 0 })
	kill(running[1])
	readable := watch(t, a)
	for range 3 {
		if readable() {
			t.Error("readable without a message")
		}
		if err := b.Send(t.Context(), []byte("alive")); err != nil {
			t.Fatal(err)
		}
		if !readable() {
			t.Error("not readable with a message")
		}
		if msg, err := a.Recv(t.Context()); err != nil || string(msg) != "alive" {
			t.Fatalf("%q, %v", msg, err)
		}
	}
}
