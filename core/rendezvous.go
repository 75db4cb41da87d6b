package core

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/process"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"github.com/goprocessing/goprocessing/core/internal/socket"
	"github.com/goprocessing/goprocessing/core/internal/stream"
	"golang.org/x/sys/unix"
)

// The two who open a pipe by its name meet as follows. The first, the host, makes its
// segment, gives it the name, and listens at a socket beside it. The second, the guest,
// opens the segment by name and connects. The host accepts, takes the name away, and
// then welcomes the guest with a byte: now both have the pipe, and the connection is its
// socketpair. Other guests, whom it has not accepted, find the connection closed, and
// start over; so does whoever loses the other before the welcome.
//
// Killed anywhere, a host leaves at most the name, and its socket. A guest looks whether
// the host lives, as the segment says who that is, and takes the name of a dead one's
// away. That the socket is closed does not tell: the host may be about to listen, and what
// a dead one has forked has the socket still.

// errAlone: the other side is gone, or there is another one by now.
var errAlone = errors.New("alone")

// OpenPipe opens a pipe of that name, as open(2) does a FIFO: it waits until another
// process, or goroutine, has done so, too. Then the two have the ends of a pipe, and the
// name is free again, for the next two. Options: ReadOnly, WriteOnly. Errors: as Create
// and Open; the cause of ctx's end; fs.ErrNotExist, if the name was unlinked meanwhile;
// unix.EINVAL, if the two want to use the pipe otherwise: one that only sends goes with
// one that only receives.
func OpenPipe(ctx context.Context, name string, list ...Option) (*Conn, error) {
	o, err := choose(list, "ReadOnly", "WriteOnly")
	if err != nil {
		return nil, err
	}
	c := new(Conn)
	if err := c.OpenNamed(name, (Readable|Writable)&^o.without, within(ctx)); err != nil {
		return nil, err
	}
	return c, nil
}

// OpenNamed makes c an end of the pipe of that name within the limit l: OpenPipe for
// language bindings. After unix.EINTR it is to be called again. It always waits.
func (c *Conn) OpenNamed(name string, modes uint32, l *Limit) error {
	if modes == 0 || modes > Readable|Writable {
		return fmt.Errorf("opening pipe %q for nothing: %w", name, unix.EINVAL)
	}
	if !l.Sleeps() {
		return unix.EAGAIN
	}
	for {
		err := c.visit(name, modes, l)
		if errors.Is(err, unix.ENOENT) {
			err = c.host(name, modes, l)
		}
		if !errors.Is(err, errAlone) {
			return err
		}
	}
}

// visit makes c the guest's end. unix.ENOENT: there is no host.
func (c *Conn) visit(name string, modes uint32, l *Limit) error {
	if err := c.s.OpenNamed(name, shm.KindPipe); err != nil {
		return err
	}
	sock, err := c.meetHost(name, modes, l)
	if err != nil {
		_ = c.s.Close()
		return err
	}
	return c.begin(sock, 1, modes)
}

// begin completes the making of c.
func (c *Conn) begin(sock int, side, modes uint32) error {
	inode, err := socket.Inode(int32(sock))
	if err != nil {
		return errors.Join(err, unix.Close(sock), c.s.Close())
	}
	c.sock, c.side, c.modes = int32(sock), side, modes
	c.heard.Store(0)
	c.in().Doorbell.Socket.Store(inode)
	return nil
}

// disuse notes for the guest what the host does not do.
func (c *Conn) disuse(modes uint32) {
	if modes&Writable == 0 {
		stream.Of(&c.s, 0).Disuse()
	}
	if modes&Readable == 0 {
		stream.Of(&c.s, 1).Disuse()
	}
}

// use returns what is left to the guest.
func (c *Conn) use() (modes uint32) {
	if !stream.Of(&c.s, 0).Unused() {
		modes |= Readable
	}
	if !stream.Of(&c.s, 1).Unused() {
		modes |= Writable
	}
	return modes
}

func (c *Conn) meetHost(name string, modes uint32, l *Limit) (int, error) {
	if modes != c.use() {
		if err := c.checkHost(); err != nil {
			return -1, err
		}
		return -1, fmt.Errorf("opening pipe %q: its other end is not for that: %w", name, unix.EINVAL)
	}
	sock, err := c.connect(name, l)
	if err != nil {
		return -1, err
	}
	var waited error
	for {
		// Also after the last wait: a host who has sent the welcome has taken this guest.
		welcome, err := socket.Welcomed(sock)
		if welcome {
			return sock, nil
		}
		if err == io.EOF {
			err = errAlone
		}
		if err == nil {
			err = waited
		}
		if err == nil {
			err = c.checkHost()
		}
		if err != nil {
			_ = unix.Close(sock)
			return -1, err
		}
		_, _, waited = socket.AwaitReadable(int32(sock), l)
	}
}

func (c *Conn) connect(name string, l *Limit) (int, error) {
	for {
		sock, err := socket.Connect(c.s.BellPath())
		switch err {
		case nil:
			fault.Here("guest connected")
			return sock, nil
		case unix.ENOENT, unix.EACCES, unix.ECONNREFUSED, unix.EAGAIN:
		default:
			return -1, fmt.Errorf("opening pipe %q: %w", name, err)
		}
		linked, err := c.s.Linked()
		if err == nil && !linked {
			err = errAlone // the host has met another guest, or given up
		}
		if err == nil {
			err = c.checkHost()
		}
		if err == nil {
			err = doze(l) // it is about to listen
		}
		if err != nil {
			return -1, err
		}
	}
}

// checkHost makes sure that the host lives, or else takes its name away: errAlone.
func (c *Conn) checkHost() error {
	if stream.Of(&c.s, 0).Host().Alive() {
		return nil
	}
	if err := c.s.Unlink(); err != nil {
		return err
	}
	return errAlone
}

// doze lets others run.
func doze(l *Limit) error {
	pause := unix.NsecToTimespec(int64(1e6))
	_, _ = unix.Ppoll(nil, &pause, nil)
	switch {
	case l.Context != nil && l.Context.Err() != nil:
		return context.Cause(l.Context)
	case l.Deadline <= futex.Now():
		return unix.ETIMEDOUT
	case l.Interruptible:
		return unix.EINTR
	}
	return nil
}

// host makes c the host's end.
func (c *Conn) host(name string, modes uint32, l *Limit) error {
	if err := c.s.CreateFile(shm.KindPipe, stream.FirstAllocation); err != nil {
		return err
	}
	for i := range uint32(2) {
		stream.Init(&c.s, i, 2, 0, pipeBytes)
	}
	stream.Of(&c.s, 0).SetHost(process.Self)
	c.disuse(modes)
	sock, err := c.meetGuest(name, l)
	if err != nil {
		_ = c.s.Close()
		return err
	}
	return c.begin(sock, 0, modes)
}

func (c *Conn) meetGuest(name string, l *Limit) (int, error) {
	err := c.s.Link(name)
	if errors.Is(err, unix.EEXIST) || errors.Is(err, shm.ErrUnlinked) {
		return -1, errAlone
	}
	if err != nil {
		return -1, err
	}
	sock, err := c.awaitGuest(l)
	// Before the welcome: from now on others can have the name.
	if gone := c.s.Unlink(); gone != nil {
		err = errors.Join(err, gone)
	}
	if err != nil {
		if sock >= 0 {
			_ = unix.Close(sock)
		}
		return -1, err
	}
	fault.Here("pipe's name taken away")
	if err := socket.Welcome(sock); err != nil {
		_ = unix.Close(sock)
		return -1, errAlone
	}
	return sock, nil
}

// awaitGuest waits for a guest and returns the connection with it.
func (c *Conn) awaitGuest(l *Limit) (sock int, err error) {
	listener, err := socket.Listen(c.s.BellPath())
	if err != nil {
		return -1, err
	}
	defer unix.Close(listener)
	var waited error
	for {
		// Also before it sleeps: whoever took the name away before there was a socket
		// has left that. And after a sleep that a signal ended, which is not to go on
		// with another segment of that name.
		if linked, err := c.s.Linked(); err != nil || !linked {
			_ = unix.Unlink(c.s.BellPath())
			return -1, errors.Join(err, shm.ErrUnlinked)
		}
		if waited != nil {
			return -1, waited
		}
		if _, _, waited = socket.AwaitReadable(int32(listener), l); waited != nil {
			continue
		}
		sock, err := socket.Accept(listener)
		if err == nil && !socket.HungUp(int32(sock)) {
			fault.Here("guest accepted")
			return sock, nil
		}
		if err == nil {
			err = unix.Close(sock)
		}
		if err != nil && err != unix.EAGAIN {
			return -1, err
		}
	}
}
