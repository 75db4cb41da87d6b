// Package socket does what pipes need of their socketpairs.
package socket

import (
	"context"
	"fmt"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"golang.org/x/sys/unix"
)

// HungUp reports whether every handle of the other end is closed.
func HungUp(fd int32) bool {
	fds := []unix.PollFd{{Fd: fd}}
	for {
		n, err := unix.Poll(fds, 0)
		if err != unix.EINTR {
			return err == nil && n > 0 && fds[0].Revents&unix.POLLHUP != 0
		}
	}
}

// Ring writes one byte for the other end to read.
func Ring(fd int32) error {
	_, err := unix.SendmsgN(int(fd), []byte{0}, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	switch err {
	case nil, unix.EAGAIN: // full of the program's own bytes: readable anyway
		return nil
	case unix.ECONNRESET:
		return unix.EPIPE
	default:
		return err
	}
}

// Unring reads one byte that the other end wrote, if there is one.
func Unring(fd int32) {
	var b byte
	for {
		// unix.Recvfrom allocates an address. What there is to say about
		// errors, the next receiver will hear.
		_, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b)), 1, unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return
		}
	}
}

// Unread reports whether bytes are in the socket to be read.
func Unread(fd int32) bool {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ)
	return err == nil && n > 0
}

// Unsent reports whether bytes written here were not yet read at the other end.
func Unsent(fd int32) bool {
	n, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	return err == nil && n > 0
}

// AwaitReadable sleeps until the socket is readable, as l allows, but no longer
// than futex.Look; it does not sleep at all unless l allows it. gone tells that
// every handle of the other end is closed. Errors: unix.ETIMEDOUT, unix.EINTR, or
// the cause of the context's end.
func AwaitReadable(fd int32, l *futex.Limit) (readable, gone bool, err error) {
	fds := []unix.PollFd{{Fd: fd, Events: unix.POLLIN}}
	var timeout unix.Timespec
	last := false
	if l.Sleeps() {
		left := futex.Look
		if l.Deadline != futex.Forever {
			left = min(left, max(0, l.Deadline-futex.Now()))
			last = left < futex.Look
		}
		timeout = unix.NsecToTimespec(left)
		if l.Context != nil && l.Context.Done() != nil {
			wake, release, err := onCancel(l.Context)
			if err != nil {
				return false, false, err
			}
			defer release()
			fds = append(fds, unix.PollFd{Fd: wake, Events: unix.POLLIN})
		}
	}
	n, err := unix.Ppoll(fds, &timeout, nil)
	switch {
	case err == unix.EINTR && !(l.Interruptible && l.Sleeps()):
		// Also a look that does not wait may be interrupted.
		return false, false, nil
	case err == unix.EINTR:
		return false, false, err
	case err != nil:
		return false, false, fmt.Errorf("polling a pipe: %w", err)
	case len(fds) > 1 && fds[1].Revents != 0:
		return false, false, context.Cause(l.Context)
	case n == 0 && last:
		return false, false, unix.ETIMEDOUT
	case n == 0 && l.Interruptible && l.Sleeps():
		return false, false, unix.EINTR
	}
	return n > 0, fds[0].Revents&(unix.POLLHUP|unix.POLLNVAL) != 0, nil
}

// onCancel returns a descriptor that becomes readable when ctx is done.
func onCancel(ctx context.Context) (fd int32, release func(), err error) {
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return -1, nil, fmt.Errorf("waiting on a pipe: %w", err)
	}
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		// Eight bytes always fit a counter of zero.
		_, _ = unix.Write(event, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		close(fired)
	})
	return int32(event), func() {
		if !stop() {
			<-fired
		}
		_ = unix.Close(event)
	}, nil
}
