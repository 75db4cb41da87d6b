// Package socket does what pipes need of their socketpairs.
package socket

import (
	"context"
	"fmt"
	"io"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"golang.org/x/sys/unix"
)

// HungUp reports whether every handle of the other end is closed.
func HungUp(fd int32) bool {
	p := unix.PollFd{Fd: fd}
	var atOnce unix.Timespec
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&atOnce)), 0, 0, 0)
		if errno != unix.EINTR {
			return errno == 0 && n > 0 && p.Revents&unix.POLLHUP != 0
		}
	}
}

// Inode returns the inode of a socket, by which the links below /proc/PID/fd name it.
func Inode(fd int32) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		return 0, err
	}
	return st.Ino, nil
}

// bell is the byte that rings. Descriptors come with a byte, too: the standard
// library's sendfds sends their number, of which the kernel takes no more than
// SCM_MAX_FD, 253 (unix(7)).
const bell = 0xff

// Ring writes the bell for the other end to read. Errors: unix.EPIPE;
// unix.EAGAIN, when the socket is full, of descriptors.
func Ring(fd int32) error {
	b := byte(bell)
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b)), 1, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	switch errno {
	case 0:
		return nil
	case unix.ECONNRESET:
		return unix.EPIPE
	default:
		return errno
	}
}

// Next is what is to be read next.
type Next int

const (
	Nothing Next = iota // or the end of file
	Bell
	Foreign // what the program wrote: a descriptor, most likely
)

// Peek tells what is to be read next, and leaves it there. more: it is not all. The
// kernel hands out no descriptor to one who reads without room for it.
func Peek(fd int32) (next Next, more bool) {
	var b [2]byte
	n := read(fd, &b[0], 2, unix.MSG_PEEK)
	switch {
	case n == 0:
		return Nothing, false
	case b[0] == bell:
		return Bell, n > 1
	default:
		return Foreign, n > 1
	}
}

// TakeBells reads bells up to what else there is, which it returns. Peek has found
// the first of them, and told whether there is more.
func TakeBells(fd int32, more bool) Next {
	var b byte
	next := Bell
	for next == Bell {
		read(fd, &b, 1, 0)
		fault.Here("bell read")
		if !more {
			return Nothing
		}
		next, more = Peek(fd)
	}
	return next
}

// read reads up to n bytes to b, as far as there are.
func read(fd int32, b *byte, n, flags uintptr) int {
	for {
		// unix.Recvfrom allocates an address. What there is to say about
		// errors, the next receiver will hear.
		got, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(b)), n, flags|unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(got)
		case unix.EINTR:
		default:
			return 0
		}
	}
}

// rights is room for a control message with one descriptor.
type rights struct {
	header unix.Cmsghdr
	fd     int32
	_      int32
}

// ReadHandle reads one byte, and the first of the descriptors that come with it;
// the kernel closes the others. Errors: unix.EAGAIN; io.EOF; unix.EBADMSG, when
// the byte came alone and is no bell. handle is -1 without an error after a bell.
func ReadHandle(fd int32) (handle int, err error) {
	var b byte
	var control rights
	iov := unix.Iovec{Base: &b, Len: 1}
	msg := unix.Msghdr{Iov: &iov, Iovlen: 1, Control: (*byte)(unsafe.Pointer(&control))}
	msg.SetControllen(unix.CmsgLen(int(unsafe.Sizeof(control.fd))))
	// unix.Recvmsg allocates an address.
	n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_DONTWAIT)
	switch {
	case errno == unix.EINTR:
		return -1, unix.EAGAIN
	case errno == unix.ECONNRESET || errno == 0 && n == 0:
		return -1, io.EOF
	case errno != 0:
		return -1, errno
	case msg.Controllen > 0 && control.header.Level == unix.SOL_SOCKET && control.header.Type == unix.SCM_RIGHTS:
		return int(control.fd), nil
	case b == bell:
		return -1, nil
	default:
		return -1, unix.EBADMSG
	}
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
