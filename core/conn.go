package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync/atomic"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"github.com/goprocessing/goprocessing/core/internal/socket"
	"github.com/goprocessing/goprocessing/core/internal/stream"
	"golang.org/x/sys/unix"
)

// What an end of a pipe can do.
const (
	Readable = 1 // it receives
	Writable = 2 // it sends
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
// it lets a receiver sleep in poll(2) and select(2): see conn_bell.go.
type Conn struct {
	s     Segment
	sock  int32
	side  uint32
	modes uint32
	_     uint32
	heard atomic.Uint64 // see Conn.listen
}

// Pipe makes a pipe. Unless duplex, a only receives and b only sends.
func Pipe(duplex bool) (a, b *Conn, err error) {
	a, b = new(Conn), new(Conn)
	if err := a.Create(b, duplex); err != nil {
		return nil, nil, err
	}
	return a, b, nil
}

// Create makes c and b the ends of a new pipe: Pipe for language bindings.
func (c *Conn) Create(b *Conn, duplex bool) error {
	socks, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("creating a pipe: %w", err)
	}
	*c = Conn{sock: int32(socks[0]), side: 0, modes: Readable | Writable}
	*b = Conn{sock: int32(socks[1]), side: 1, modes: Readable | Writable}
	if !duplex {
		c.modes, b.modes = Readable, Writable
	}
	c.s.FD, b.s.FD = -1, -1
	if err := c.share(b); err != nil {
		_ = c.Close()
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
	for _, end := range []*Conn{c, b} {
		inode, err := socket.Inode(end.sock)
		if err != nil {
			return fmt.Errorf("creating a pipe: %w", err)
		}
		end.in().Doorbell.Socket.Store(inode)
	}
	return nil
}

// Open makes c a handle of an end that another process made, of duplicates of
// its descriptors, which c owns if Open succeeds. For language bindings.
func (c *Conn) Open(fd, sock int, side, modes uint32) error {
	if side > 1 || modes == 0 || modes > Readable|Writable {
		return unix.EINVAL
	}
	inode, err := socket.Inode(int32(sock))
	if err != nil {
		return fmt.Errorf("opening a pipe: %w", err)
	}
	if err := c.s.Open(fd, shm.KindPipe); err != nil {
		return err
	}
	c.sock, c.side, c.modes = int32(sock), side, modes
	c.in().Doorbell.Socket.Store(inode)
	return nil
}

// Close releases this handle. When the last one of an end is released, the other
// end gets io.EOF after the messages that are still under way. No other method
// may be under way.
func (c *Conn) Close() error {
	var err error
	if c.sock >= 0 {
		err = unix.Close(int(c.sock))
		c.sock = -1
	}
	if c.s.Base() != nil {
		fault.Here("socket closed")
		c.in().Doorbell.Closed.Add(1)
	}
	return errors.Join(err, c.s.Close())
}

// Files returns duplicates of the descriptors, by which OpenConn makes a handle
// in another process; a child gets them more easily by Pass.
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

func (c *Conn) pass() ([]*os.File, string, error) {
	segment, sock, err := c.Files()
	return []*os.File{segment, sock}, fmt.Sprintf("%d %d", c.side, c.modes), err
}

func (c *Conn) inherit(fds []int, note string) error {
	var side, modes uint32
	_, err := fmt.Sscanf(note, "%d %d", &side, &modes)
	if err != nil || len(fds) != 2 {
		err = ErrKind
	} else {
		err = c.Open(fds[0], fds[1], side, modes)
	}
	if err != nil {
		return errors.Join(err, closeAll(fds))
	}
	return nil
}

// Side tells which end this is, 0 for the first of the two that Pipe returned.
func (c *Conn) Side() uint32 { return c.side }

// Modes tells what this end can do: Readable, Writable or Readable|Writable.
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
// when the other end is gone; the cause of ctx's end; that there is no memory;
// unix.EBADF, if this end only receives.
func (c *Conn) Send(ctx context.Context, msg []byte) error { return c.SendWithin(msg, within(ctx)) }

// Recv receives a message, waiting for one. Errors: io.EOF, when none is left and
// the other end is gone; the cause of ctx's end; ErrBuffers, if the next message has
// buffers, as Queue.Get: then it stays, until RecvBuffers is called; unix.EBADF, if this
// end only sends.
func (c *Conn) Recv(ctx context.Context) ([]byte, error) {
	l := within(ctx)
	var small [smallItem]byte
	n, err := c.RecvWithin(small[:], l)
	if err == nil {
		return bytes.Clone(small[:n]), nil
	}
	return receiveLong(n, err, func(buf []byte) (int, error) { return c.RecvWithin(buf, l) })
}

// RecvBuffers is Recv for messages that may have buffers beside their data, of which it
// returns copies, as Queue.GetBuffers.
func (c *Conn) RecvBuffers(ctx context.Context) (data []byte, buffers [][]byte, err error) {
	l := within(ctx)
	return copyReceived(&c.s, func(buf []byte) (Received, error) { return c.ReceiveWithin(buf, l) })
}

// All receives the messages one after the other, one for each turn of the loop. That the
// other end is gone ends it silently, once none is left. Any other error of Recv, such as
// the cause of ctx's end, is yielded with a nil message, and ends it.
func (c *Conn) All(ctx context.Context) iter.Seq2[[]byte, error] {
	return until(io.EOF, func() ([]byte, error) { return c.Recv(ctx) })
}

// SendWithin is Send within the limit l, for language bindings.
func (c *Conn) SendWithin(msg []byte, l *Limit) error {
	return c.SendItemWithin(&Item{Parts: [3][]byte{msg}}, l)
}

// SendItemWithin is SendWithin for a message in parts, with buffers.
func (c *Conn) SendItemWithin(msg *Item, l *Limit) error {
	if err := c.check(Writable); err != nil {
		return err
	}
	if msg.IsLarge() {
		return c.sendLarge(*msg, l)
	}
	_, err := c.send(msg, l)
	return err
}

func (c *Conn) sendLarge(msg Item, l *Limit) error {
	var room stream.RefsRoom
	// Nothing is copied before there is room.
	if c.out().Full() {
		slept, err := c.awaitRoom(l)
		if err != nil {
			return err
		}
		if slept {
			defer c.out().WakeNextPut()
		}
	}
	var err error
	if msg.Refs, err = msg.Fill(&c.s, room[:0], l); err != nil {
		return err
	}
	sent, err := c.send(&msg, l)
	if !sent {
		msg.Empty(&c.s)
	}
	return err
}

// send sends a message. It may be sent although there is nobody to read it.
func (c *Conn) send(msg *Item, l *Limit) (sent bool, err error) {
	t := c.out()
	slept := false
	for {
		err := c.put(msg, l)
		if err != ErrFull {
			if slept {
				t.WakeNextPut()
			}
			if err != nil {
				return false, err
			}
			fault.Here("message put")
			return true, c.tell()
		}
		again, err := c.awaitRoom(l)
		slept = slept || again
		if err != nil {
			return false, err
		}
	}
}

// put makes a message visible, with the bell rung before if that is watched.
func (c *Conn) put(msg *Item, l *Limit) error {
	return c.out().TryPut(&c.s, (*senderBell)(c), msg, l)
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

// RecvWithin receives a message into buf and returns its length, within the limit
// l, for language bindings. A message that does not fit stays, and the error is a
// ErrTooLong, with its length.
func (c *Conn) RecvWithin(buf []byte, l *Limit) (int, error) {
	if err := c.check(Readable); err != nil {
		return 0, err
	}
	for {
		n, err := c.in().TryGet(&c.s, buf, l)
		if over, err := c.received(err, l); over {
			return n, err
		}
	}
}

// ReceiveWithin is RecvWithin for those who use large data where it lies.
func (c *Conn) ReceiveWithin(buf []byte, l *Limit) (Received, error) {
	if err := c.check(Readable); err != nil {
		return Received{}, err
	}
	for {
		r, err := c.in().TryReceive(&c.s, buf, l)
		if over, err := c.received(err, l); over {
			return r, err
		}
	}
}

// received deals with the result of an attempt to take a message: it is the last
// one, or there is to be another, for which this has waited.
func (c *Conn) received(err error, l *Limit) (over bool, _ error) {
	switch err {
	case nil:
		if c.in().Watched() {
			c.silence()
		}
		return true, nil
	case ErrEmpty:
		err = c.await(l, false)
		return err != nil, err
	default:
		return true, err
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
	if err := c.await(l, true); err != nil && err != io.EOF {
		return err
	}
	return nil
}

// await waits until a message waits, which somebody else may take first. It
// returns io.EOF when none ever will. If handles, one of them will do.
func (c *Conn) await(l *Limit, handles bool) error {
	t := c.in()
	ready := func() bool { return t.Len() > 0 }
	if ready() || l.Spins() && l.SpinUntil(&c.s.Spin[1], ready) {
		return nil
	}
	for {
		c.silence()
		readable, gone, err := socket.AwaitReadable(c.sock, l)
		if ready() {
			return nil
		}
		if err != nil {
			return err
		}
		foreign := readable && c.settle() == socket.Foreign
		switch {
		case ready(), foreign && handles:
			return nil
		case gone:
			return io.EOF
		case !l.Sleeps():
			return unix.EAGAIN
		case !readable:
			continue
		case foreign:
			// It must not keep this one busy.
			doze := *l
			doze.Deadline = min(l.Deadline, futex.Now()+foreignLook)
			err := t.AwaitItem(&c.s, &doze)
			if err != nil && (err != unix.ETIMEDOUT || doze.Deadline == l.Deadline) {
				return err
			}
		}
		// Awake in vain, which for one who was stopped as it rang may be again and
		// again; and a signal may have come meanwhile.
		if l.Deadline <= futex.Now() {
			return unix.ETIMEDOUT
		}
		if l.Interruptible {
			return unix.EINTR
		}
	}
}

const foreignLook = int64(50e6)
