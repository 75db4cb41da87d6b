package core

import (
	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/socket"
	"golang.org/x/sys/unix"
)

// SentHandle is to be called after a handle, that is, a byte with a descriptor
// (SCM_RIGHTS, unix(7)), was written to this end's socket. For language bindings,
// whose programs do that by themselves.
//
// The socket is a stream, from which only the first byte can be taken. A bell
// before the handle goes when the handle is taken, though messages may wait; so
// another one has to follow. To one who sends a handle without this call, it can
// happen that the socket is silent after the handle although messages wait, until
// the next one is sent.
//
// The other way round, the bell behind a handle cannot be read as long as that is
// there: it stays, whether messages wait or not, and is cleared away with the
// handle.
func (c *Conn) SentHandle() error {
	if c.sock < 0 {
		return ErrClosed
	}
	return c.ring(&c.out().Doorbell, true)
}

// RecvHandleWithin receives a handle within the limit l. Messages stay where they
// are. Errors: io.EOF; unix.EBADMSG, when a byte came without a descriptor.
func (c *Conn) RecvHandleWithin(l *Limit) (int, error) {
	if c.sock < 0 {
		return -1, ErrClosed
	}
	for {
		handle, err := c.tryRecvHandle(l)
		if err != unix.EAGAIN || !l.Sleeps() {
			return handle, err
		}
		if _, _, err := socket.AwaitReadable(c.sock, l); err != nil {
			return -1, err
		}
	}
}

// tryRecvHandle takes a handle and the bells before it; the bells also if there is
// no handle yet, for else they would keep the socket readable and the caller busy.
// One who watches the socket for messages, in another thread, misses them until
// the next message or handle is sent; one who sleeps in RecvWithin, until it looks
// (futex.Look). A byte stream would have been torn by the two.
func (c *Conn) tryRecvHandle(l *Limit) (int, error) {
	d := &c.in().Doorbell
	if _, err := d.Lock.Lock(l); err != nil {
		return -1, err
	}
	defer d.Lock.Unlock()
	defer c.settleLocked()
	d.Rung.Store(0) // in case there is a bell to be read
	fault.Here("bell taken to be silent")
	for {
		handle, err := socket.ReadHandle(c.sock)
		fault.Here("handle or bell read")
		if handle >= 0 || err != nil {
			return handle, err
		}
	}
}
