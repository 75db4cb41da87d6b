package core

import (
	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/socket"
	"github.com/goprocessing/goprocessing/core/internal/stream"
	"golang.org/x/sys/unix"
)

// The bell is a byte in the socket of the end that receives. While messages wait
// it is there, between calls, but for what RecvHandleWithin says. It may stay when
// none waits any more, so that neither side makes a system call as long as
// messages flow, until somebody wants to know by the socket:
//
//   - a receiver, before it sleeps in poll(2);
//   - the program. From the first Watch on, in any process, the socket is exactly
//     as readable as the end it belongs to. The stream is watched (stream.Bell).
//
// If Doorbell.Rung is set, the bell is there. Rung is changed, and bells are
// written and read, under Doorbell.Lock:
//
//	the sender, after it put a message, rings:    if Rung is clear, it writes the
//	    byte and sets Rung; if watched, only if a message still waits
//	the receiver, before it sleeps and, if watched, after it took a message,
//	    silences:    if no message waits and Rung is set, it clears Rung, looks
//	    again, and reads the byte
//
// Either may save itself the lock: the sender if Rung is set, because a receiver
// that clears it looks for messages afterwards; the receiver if Rung is clear and
// the lock free, because a sender looks whether it is watched and for messages after
// it took the lock.
//
// If watched, the sender also rings before the message can be seen, and keeps the lock
// until it can: see stream.Bell. Killed in between, it leaves the bell rung in vain.
// Without that, killed before it rings, it would leave a message that one who sleeps in
// RecvWithin finds when it looks (futex.Look), but a watcher never; so it is with the
// message before the first Watch: the receiver cannot ring its own bell.
//
// Watch silences the bell if no message waits. One who took the last message meanwhile
// and did not yet see that the stream is watched took it before that look; and so did a
// sender put what it did not ring for.
//
// Rung is set after the byte was written and cleared before it is read. So when
// a process is killed in between, or there are handles (see SentHandle), more
// bells than one may be in the socket, but never fewer than Rung says; and whoever
// silences reads as many as there are. A receiver that is killed before it
// silences leaves the bell to the next one; if it was the last, nobody listens.

// heardFor is for how many nanoseconds, up to a microsecond more, the other end is
// taken to be there since that was made sure.
const heardFor = 20_000

// tell lets the receivers know of the message that was just sent. The only error
// is unix.EPIPE: the other end is gone, and did not receive it before.
func (c *Conn) tell() (err error) {
	d := &c.out().Doorbell
	if d.Rung.Load() == 0 {
		err = c.ring(d, false)
	} else {
		err = c.listen(d)
	}
	if err == unix.EPIPE && c.out().Len() == 0 {
		return nil
	}
	return err
}

// listen makes sure that the other end is still there, which a bell that is rung
// does not tell. The error is unix.EPIPE.
//
// That takes a system call, so it is done only when a handle of the other end was
// closed since the last time, or that is heardFor ago: sooner nobody can have
// learned that a process ended. heard has Doorbell.Closed of that time in its upper
// half, and the time, in microseconds of 1024 nanoseconds, in the lower, which
// comes round after 73 minutes: a send in many millions may then be too credulous.
func (c *Conn) listen(d *stream.Doorbell) error {
	// Closed first: it is advanced after the closing.
	now := uint64(d.Closed.Load())<<32 | uint64(uint32(futex.Now()>>10))
	heard := c.heard.Load()
	if now>>32 == heard>>32 && uint32(now)-uint32(heard) <= heardFor>>10 {
		return nil
	}
	if socket.HungUp(c.sock) {
		return unix.EPIPE
	}
	c.heard.Store(now)
	return nil
}

// ring rings if the bell is not rung; or, if anew, although it is.
func (c *Conn) ring(d *stream.Doorbell, anew bool) error {
	l := futex.Briefly()
	inherited, err := d.Lock.Lock(&l)
	if err != nil {
		return nil // left to who was stopped inside; the message is sent
	}
	defer d.Lock.Unlock()
	fault.Here("pipe's bell locked")
	if inherited && d.Rung.Load() == 0 && socket.Unsent(c.sock) {
		// There may be a bell, which a receiver that waits for this lock
		// will only look for if Rung is set.
		d.Rung.Store(1)
		anew = true
	}
	switch rung := d.Rung.Load() == 1; {
	case rung && !anew:
		return nil
	case !rung && c.out().Watched() && c.out().Len() == 0:
		return nil
	}
	switch err := socket.Ring(c.sock); err {
	case nil:
		fault.Here("pipe's bell rung")
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

// senderBell is the bell of the other end as a stream.Bell.
type senderBell Conn

func (b *senderBell) Ring() error { return socket.Ring(b.sock) }

// Silence fails: the byte is the other end's.
func (b *senderBell) Silence() error { return unix.EBADF }

// Rung says no, because it cannot be known. One bell too many does not matter.
func (b *senderBell) Rung() bool { return false }

// silence takes the bell out of the socket if no message is left.
func (c *Conn) silence() {
	t := c.in()
	d := &t.Doorbell
	// In this order: a sender may ring and unlock in between.
	if !d.Lock.Held() && d.Rung.Load() == 0 || t.Len() > 0 {
		return
	}
	c.settle()
}

// settle makes Rung and the next bells in the socket agree with what waits, and
// returns what is to be read next.
func (c *Conn) settle() socket.Next {
	d := &c.in().Doorbell
	l := futex.Briefly()
	if _, err := d.Lock.Lock(&l); err != nil {
		return socket.Bell // left to who was stopped inside
	}
	defer d.Lock.Unlock()
	return c.settleLocked()
}

func (c *Conn) settleLocked() socket.Next {
	t := c.in()
	rung := &t.Doorbell.Rung
	next, more := socket.Peek(c.sock)
	switch next {
	case socket.Nothing:
		rung.Store(0)
	case socket.Bell:
		rung.Store(0)
		fault.Here("pipe's bell taken to be silent")
		if t.Len() > 0 {
			rung.Store(1)
			break
		}
		return socket.TakeBells(c.sock, more)
	case socket.Foreign:
		// Bells behind it can wait: the socket is readable anyway.
	}
	return next
}

// Watch returns a descriptor that poll(2) and its kin find readable, from now on
// and between calls, exactly as long as a message, a handle or io.EOF can be
// received. It remains the connection's. Only of a message whose sender was killed as
// soon as it was sent, before the first Watch, it may not tell.
func (c *Conn) Watch() (fd int, err error) { return c.WatchWithin(atOnce()) }

// WatchWithin is Watch within the limit l, for language bindings.
func (c *Conn) WatchWithin(l *Limit) (fd int, err error) {
	if c.sock < 0 {
		return -1, ErrClosed
	}
	if err := c.in().Watch(nil, l); err != nil {
		return -1, err
	}
	fault.Here("pipe watched")
	c.silence()
	return int(c.sock), nil
}
