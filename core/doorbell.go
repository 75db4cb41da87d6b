package core

import (
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/stream"
	"golang.org/x/sys/unix"
)

// bell is the eventfd(2) of a Queue, or the FIFO of one that has a name, as a
// stream.Bell: its counter is 1, or something is in it, while it is rung.
type bell Queue

// ringer returns the queue's bell, nil if it has none.
func (q *Queue) ringer() stream.Bell {
	if q.bell < 0 {
		return nil
	}
	return (*bell)(q)
}

// If the program closed the descriptor behind the queue's back, the number may be
// another file's by now. A daemon that closed this one closed the segment's too,
// which can be recognized: then Ring and Silence fail, and Rung says no, so that
// another process rings once too often rather than never.

func (b *bell) Ring() error {
	if err := b.s.CheckDescriptor(); err != nil {
		return err
	}
	one := uint64(1)
	if _, err := b.transfer(unix.SYS_WRITE, unsafe.Pointer(&one), unsafe.Sizeof(one)); err != unix.EAGAIN { // a FIFO is full
		return err
	}
	return nil
}

func (b *bell) Silence() error {
	if err := b.s.CheckDescriptor(); err != nil {
		return err
	}
	// Of a FIFO there may be more, if it was rung by processes that were killed then.
	var rings [bellBytes]byte
	for n := len(rings); n == len(rings); {
		var err error
		if n, err = b.transfer(unix.SYS_READ, unsafe.Pointer(&rings), unsafe.Sizeof(rings)); err == unix.EAGAIN { // it was not rung
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

const bellBytes = 64

// transfer reads or writes, which never blocks. unix.Read and unix.Write leave garbage in
// a program built with -race.
func (b *bell) transfer(call uintptr, data unsafe.Pointer, size uintptr) (int, error) {
	n, _, errno := unix.RawSyscall(call, uintptr(b.bell), uintptr(data), size)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (b *bell) Rung() bool {
	if b.s.CheckDescriptor() != nil {
		return false
	}
	fds := []unix.PollFd{{Fd: b.bell, Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return err == nil && n > 0 && fds[0].Revents&unix.POLLIN != 0
		}
	}
}

// Watch returns a descriptor that poll(2) and its kin find readable, from now on
// and between calls, exactly as long as Get would not wait: because there is an
// item, or because the queue was shut down. It is the same in each process and
// remains the queue's; any number of processes may watch it, but none may read
// it. Errors: ErrNoBell; that the descriptor was closed.
//
// An item that returns to a queue that redelivers is heard of only when some process
// has looked whether the one that had taken it lives: one that waits in Get or Join, or
// calls PollWithin now and then. The kernel makes no descriptor readable when a process
// dies unless somebody watches just that one.
//
// A process that is killed may leave it readable although there is nothing to
// get, until the next TryGet or PollWithin of any process.
func (q *Queue) Watch() (fd int, err error) { return q.WatchWithin(atOnce()) }

// WatchWithin is Watch within the limit l, for language bindings.
func (q *Queue) WatchWithin(l *Limit) (fd int, err error) {
	if q.s.FD < 0 {
		return -1, ErrClosed
	}
	b := q.ringer()
	if b == nil {
		return -1, ErrNoBell
	}
	if err := q.s.CheckDescriptor(); err != nil {
		return -1, err
	}
	if err := q.stream().Watch(b, l); err != nil {
		return -1, err
	}
	return int(q.bell), nil
}

// PollWithin waits, within the limit l, until Get would not wait, for language
// bindings.
func (q *Queue) PollWithin(l *Limit) error {
	if q.s.FD < 0 {
		return ErrClosed
	}
	t := q.stream()
	err := t.AwaitItem(&q.s, l)
	t.Settle(q.ringer())
	if err == unix.EAGAIN && t.Ready() { // see GetWithin
		return nil
	}
	return err
}
