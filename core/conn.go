package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"github.com/goprocessing/goprocessing/core/internal/socket"
	"github.com/goprocessing/goprocessing/core/internal/stream"
	"golang.org/x/sys/unix"
)

// What an end of a pipe can do.
const (
	Readable = 1
	Writable = 2
)

// pipeBytes is how many bytes may be under way in one direction before Send
// waits; one message may exceed it.
const pipeBytes = 1 << 20

// Conn is one end of a pipe, of which several processes may have handles. A
// message is received whole by one of them. It is struct gop_conn of the C
// interface.
//
// The messages are in a stream for each direction, in shared memory. What only
// the kernel can do is left to a socketpair, one socket for each end: it tells
// that the last handle of the other end is gone, however its process ended, and
// it lets a receiver sleep in poll(2) and select(2).
//
// # The doorbell
//
// For that, a byte, the bell, is in the receiver's socket as long as messages
// wait, and only then: between calls the socket is as readable as the end it
// belongs to. If Doorbell.Rung is set, it is there. Rung is changed, and bells
// are written and read, under Doorbell.Lock:
//
//	the sender, after it put a message, rings:     if a message waits and Rung
//	    is clear, it writes the byte and sets Rung
//	the receiver, after it took one, silences:     if no message waits and Rung
//	    is set, it clears Rung, looks again, and reads the byte
//
// Either may save itself the lock: the sender if Rung is set, because a receiver
// that clears it looks for messages afterwards; the receiver if Rung is clear and
// the lock free, because a sender looks for messages after it took the lock.
//
// Rung is set after the byte was written and cleared before it is read. So when
// a process is killed in between, or there are handles (see SentHandle), more
// bells than one may be in the socket, but never fewer than Rung says; and whoever
// silences reads as many as there are.
//
// A bell costs two system calls, so it is spared when a receiver attends, that
// is, spins with a buffer at hand: Doorbell.Attending is the buffer's size plus
// one. The sender, if its message is the only one and fits, clears that instead
// of ringing. A receiver clears it too before it takes anything or goes to sleep,
// and looks for messages afterwards: so at most one message has no bell, and that
// receiver takes it.
//
// Killed while it attends, a receiver leaves Attending behind, and the next
// message, if alone, gets no bell. Other receivers of that end find it when they
// look (futex.Look); one who watches only the socket finds it with the message
// after it.
type Conn struct {
	s     Segment
	sock  int32
	side  uint32
	modes uint32
	_     uint32
}

// Pipe makes a pipe. Unless duplex, a only receives and b only sends.
func Pipe(duplex bool) (a, b *Conn, err error) {
	a, b = new(Conn), new(Conn)
	if err := CreatePipe(a, b, duplex); err != nil {
		return nil, nil, err
	}
	return a, b, nil
}

// CreatePipe makes a and b the ends of a new pipe: Pipe for language bindings.
func CreatePipe(a, b *Conn, duplex bool) error {
	socks, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("creating a pipe: %w", err)
	}
	*a = Conn{sock: int32(socks[0]), side: 0, modes: Readable | Writable}
	*b = Conn{sock: int32(socks[1]), side: 1, modes: Readable | Writable}
	if !duplex {
		a.modes, b.modes = Readable, Writable
	}
	a.s.FD, b.s.FD = -1, -1
	if err := a.share(b); err != nil {
		_ = a.Close()
		_ = b.Close()
		return err
	}
	return nil
}

// share makes the segment of a and b.
func (c *Conn) share(b *Conn) error {
	if err := c.s.Create("goprocessing-pipe", shm.KindPipe, stream.FirstAllocation); err != nil {
		return err
	}
	for i := range uint32(2) {
		stream.Init(&c.s, i, 2, 0, pipeBytes)
	}
	fd, err := unix.FcntlInt(uintptr(c.s.FD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("creating a pipe: %w", err)
	}
	if err := b.s.Open(fd, shm.KindPipe); err != nil {
		_ = unix.Close(fd)
		return err
	}
	return nil
}

// Open makes c a handle of an end that another process made, of duplicates of
// its descriptors, which c owns if Open succeeds. For language bindings.
func (c *Conn) Open(fd, sock int, side, modes uint32) error {
	if side > 1 || modes == 0 || modes > Readable|Writable {
		return unix.EINVAL
	}
	if err := c.s.Open(fd, shm.KindPipe); err != nil {
		return err
	}
	c.sock, c.side, c.modes = int32(sock), side, modes
	return nil
}

// Close releases this handle. When the last one of an end is released, the other
// end gets io.EOF after the messages that are still under way. No other method
// may be under way.
func (c *Conn) Close() error {
	err := c.s.Close()
	if c.sock >= 0 {
		err = errors.Join(err, unix.Close(int(c.sock)))
		c.sock = -1
	}
	return err
}

// Files returns duplicates of the descriptors, by which OpenConn makes a handle
// in another process.
func (c *Conn) Files() (segment, sock *os.File, err error) {
	segment, err = file(int(c.s.FD), "goprocessing-pipe")
	if err != nil {
		return nil, nil, err
	}
	sock, err = file(int(c.sock), "goprocessing-socket")
	if err != nil {
		return nil, nil, errors.Join(err, segment.Close())
	}
	return segment, sock, nil
}

// Side tells which end this is, 0 for the first of the two that Pipe returned.
func (c *Conn) Side() uint32 { return c.side }

// Modes tells what this end can do: Readable, Writable or both.
func (c *Conn) Modes() uint32 { return c.modes }

// OpenConn makes a handle of an end of a pipe that another process made, of the
// files, side and modes that it got of its handle there. It does not close the
// files.
func OpenConn(segment, sock *os.File, side, modes uint32) (*Conn, error) {
	fd, err := duplicate(segment)
	if err != nil {
		return nil, err
	}
	s, err := duplicate(sock)
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	c := new(Conn)
	if err := c.Open(fd, s, side, modes); err != nil {
		_ = unix.Close(fd)
		_ = unix.Close(s)
		return nil, fmt.Errorf("opening %s: %w", segment.Name(), err)
	}
	return c, nil
}

// in and out are the streams of messages that this end receives and sends.
func (c *Conn) in() *stream.Stream  { return stream.Of(&c.s, 1-c.side) }
func (c *Conn) out() *stream.Stream { return stream.Of(&c.s, c.side) }

// Send sends a copy of msg, waiting while a MiB is under way. Errors: unix.EPIPE,
// when the other end is gone; the cause of ctx's end; that there is no memory.
func (c *Conn) Send(ctx context.Context, msg []byte) error { return c.SendWithin(msg, within(ctx)) }

// Recv receives a message, waiting for one. Errors: io.EOF, when none is left and
// the other end is gone; the cause of ctx's end.
func (c *Conn) Recv(ctx context.Context) ([]byte, error) {
	var buf []byte
	for {
		n, err := c.RecvWithin(buf, within(ctx))
		long, ok := err.(TooLong)
		if !ok {
			return buf[:n], err
		}
		buf = make([]byte, long)
	}
}

// SendWithin is Send within the limit l, for language bindings.
func (c *Conn) SendWithin(msg []byte, l *Limit) error {
	if err := c.check(Writable); err != nil {
		return err
	}
	t := c.out()
	slept := false
	for {
		alone, err := t.TryPut(&c.s, nil, msg, l)
		if err != ErrFull {
			if slept {
				t.WakeNextPut()
			}
			if err != nil {
				return err
			}
			return c.tell(alone, len(msg))
		}
		again, err := c.awaitRoom(l)
		slept = slept || again
		if err != nil {
			return err
		}
	}
}

// awaitRoom waits until there is room for a message or nobody to read it. The
// kernel would wake a sleeper on the socket when the other end dies, but a
// receiver that makes room has no way to: so this sleeps on the stream, and looks
// at the socket now and then.
func (c *Conn) awaitRoom(l *Limit) (slept bool, err error) {
	if socket.HungUp(c.sock) {
		return false, unix.EPIPE
	}
	if !l.Sleeps() {
		return c.out().AwaitRoom(&c.s, l)
	}
	look := *l
	for pause := firstHangupLook; ; pause = min(2*pause, futex.Look) {
		look.Deadline = min(l.Deadline, futex.Now()+pause)
		again, err := c.out().AwaitRoom(&c.s, &look)
		slept = slept || again
		if err != unix.ETIMEDOUT || look.Deadline == l.Deadline {
			return slept, err
		}
		if socket.HungUp(c.sock) {
			return slept, unix.EPIPE
		}
		if pause == futex.Look && l.Interruptible {
			return slept, unix.EINTR
		}
	}
}

const firstHangupLook = int64(20e6)

// tell lets the receivers know of the message of n bytes that was just sent. The
// only error is unix.EPIPE.
func (c *Conn) tell(alone bool, n int) error {
	d := &c.out().Doorbell
	if room := d.Attending.Load(); alone && uint64(n) < uint64(room) && d.Attending.CompareAndSwap(room, 0) {
		return nil
	}
	if d.Rung.Load() == 0 {
		return c.ring(d, false)
	}
	// Nothing else would tell that the other end is gone.
	if socket.HungUp(c.sock) {
		return unix.EPIPE
	}
	return nil
}

// ring rings if a message waits and the bell is not rung; or, if anew, although
// it is.
func (c *Conn) ring(d *stream.Doorbell, anew bool) error {
	l := futex.Briefly()
	inherited, err := d.Lock.Lock(&l)
	if err != nil {
		return nil // left to who was stopped inside; the message is sent
	}
	defer d.Lock.Unlock()
	if inherited && d.Rung.Load() == 0 && socket.Unsent(c.sock) {
		// There may be a bell, which a receiver that waits for this lock
		// will only look for if Rung is set.
		d.Rung.Store(1)
		anew = true
	}
	if rung := d.Rung.Load() == 1; rung && !anew || !rung && c.out().Len() == 0 {
		return nil
	}
	switch err := socket.Ring(c.sock); err {
	case nil:
		d.Rung.Store(1)
		return nil
	case unix.EPIPE:
		return err
	default:
		// No memory for the byte, say, or no room beside handles. The
		// message is sent all the same, and the next one rings again.
		return nil
	}
}

// silence takes the bell out of the socket if no message is left.
func (c *Conn) silence() {
	t := c.in()
	d := &t.Doorbell
	// In this order: a sender may ring and unlock in between.
	if !d.Lock.Held() && d.Rung.Load() == 0 || t.Len() > 0 {
		return
	}
	l := futex.Briefly()
	inherited, err := d.Lock.Lock(&l)
	if err != nil {
		return // left to who was stopped inside
	}
	defer d.Lock.Unlock()
	if inherited || d.Rung.Load() == 1 {
		c.settle()
	}
}

// settle makes Rung and the next bells in the socket agree with what waits. The
// caller has Doorbell.Lock.
func (c *Conn) settle() {
	t := c.in()
	rung := &t.Doorbell.Rung
	switch next, more := socket.Peek(c.sock); next {
	case socket.Nothing:
		rung.Store(0)
	case socket.Bell:
		rung.Store(0)
		if t.Len() > 0 {
			rung.Store(1)
			return
		}
		socket.TakeBells(c.sock, more)
	case socket.Foreign:
		// Bells behind it can wait: the socket is readable anyway.
	}
}

// RecvWithin receives a message into buf and returns its length, within the limit
// l, for language bindings. A message that does not fit stays, and the error is a
// TooLong.
func (c *Conn) RecvWithin(buf []byte, l *Limit) (int, error) {
	if err := c.check(Readable); err != nil {
		return 0, err
	}
	for {
		n, err := c.in().TryGet(&c.s, buf, l)
		if err == nil {
			c.silence()
			return n, nil
		}
		if err != ErrEmpty {
			return 0, err
		}
		if err := c.await(l, min(uint64(len(buf)), math.MaxUint32-1)+1); err != nil {
			return 0, err
		}
	}
}

// check makes sure that this handle is open and this end can do what mode says.
func (c *Conn) check(mode uint32) error {
	if c.sock < 0 {
		return ErrClosed
	}
	if c.modes&mode == 0 {
		return unix.EBADF
	}
	return nil
}

// PollWithin waits, within the limit l, until a message, a handle or io.EOF can be
// received.
func (c *Conn) PollWithin(l *Limit) error {
	if err := c.check(Readable); err != nil {
		return err
	}
	if err := c.await(l, 0); err != nil && err != io.EOF {
		return err
	}
	return nil
}

// await waits until a message waits, which somebody else may take first. It
// returns io.EOF when none ever will. attending, if not 0, says that the caller
// will take the message: see Doorbell.Attending. Otherwise the caller polls, and a
// handle will do.
func (c *Conn) await(l *Limit, attending uint64) error {
	t := c.in()
	ready := func() bool { return t.Len() > 0 }
	if ready() {
		return nil
	}
	if l.Spins() {
		if attending > 0 {
			t.Doorbell.Attending.Store(uint32(attending))
		}
		found := l.SpinUntil(&c.s.Spin[1], ready)
		if attending > 0 {
			t.Doorbell.Attending.Store(0)
		}
		if found || ready() {
			return nil
		}
	}
	for {
		readable, gone, err := socket.AwaitReadable(c.sock, l)
		if ready() {
			return nil
		}
		if err != nil {
			return err
		}
		if readable && attending == 0 {
			if next, _ := socket.Peek(c.sock); next == socket.Foreign {
				return nil
			}
		}
		if gone {
			return io.EOF
		}
		if !l.Sleeps() {
			return unix.EAGAIN
		}
		if !readable {
			continue
		}
		// Readable, yet no message: it was taken by a receiver that was
		// killed before it silenced the bell,
		c.silence()
		// or has not come so far, or the byte is the program's own, which
		// must not keep this one busy.
		doze := *l
		doze.Deadline = min(l.Deadline, futex.Now()+strayLook)
		err = t.AwaitItem(&c.s, &doze)
		if err != nil && (err != unix.ETIMEDOUT || doze.Deadline == l.Deadline) {
			return err
		}
		if l.Interruptible {
			return unix.EINTR
		}
	}
}

const strayLook = int64(50e6)
