package core

import (
	"errors"
	"fmt"
	"io"

	"github.com/goprocessing/goprocessing/core/internal/arena"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"github.com/goprocessing/goprocessing/core/internal/stream"
	"golang.org/x/sys/unix"
)

// Errors of this package, for errors.Is. Others wrap an errno.
var (
	// ErrEmpty: TryGet found nothing.
	ErrEmpty = stream.ErrEmpty
	// ErrFull: TryPut found no room.
	ErrFull = stream.ErrFull
	// ErrShutdown: the queue was shut down.
	ErrShutdown = stream.ErrShut
	// ErrTaskDone: TaskDone was called more often than items were put.
	ErrTaskDone = stream.ErrDone
	// ErrReleased: a semaphore or lock was released too many times.
	ErrReleased = fmt.Errorf("semaphore or lock released too many times: %w", unix.EOVERFLOW)
	// ErrNotOwner: an RLock was released for another than its owner, or for an Owner of
	// another process.
	ErrNotOwner = fmt.Errorf("RLock released by another than its owner: %w", unix.EPERM)
	// ErrOwnerDied: a process died that held the robust lock, or the permit of a robust
	// semaphore, which the caller now holds.
	ErrOwnerDied = fmt.Errorf("a process died that held the lock: %w", unix.EOWNERDEAD)
	// ErrNotHolder: a robust lock or semaphore was released by a process that does
	// not hold it.
	ErrNotHolder = fmt.Errorf("robust lock released by a process that does not hold it: %w", unix.EPERM)
	// ErrBroken: the barrier is broken, or was while the caller waited.
	ErrBroken = arena.ErrBroken
	// ErrClosed: this handle was closed.
	ErrClosed = errors.New("goprocessing: closed")
	// ErrNoBell: this handle was opened without the queue's bell.
	ErrNoBell = fmt.Errorf("queue opened without its bell: %w", unix.ENOTSUP)
	// ErrKind: what was to be opened is something else.
	ErrKind = shm.ErrKind
	// ErrCorrupt: somebody wrote rubbish into the shared memory.
	ErrCorrupt = shm.ErrCorrupt
	// ErrLayout: what was to be opened was made by another version.
	ErrLayout = shm.ErrLayout
	// ErrTooLong: an item does not fit the buffer of GetWithin or RecvWithin, and stays
	// where it is. They return its length with it.
	ErrTooLong = stream.ErrTooLong
)

// Errno returns the errno that C callers get for err, 0 for nil.
func Errno(err error) unix.Errno {
	switch err {
	case nil:
		return 0
	case ErrEmpty, ErrFull:
		return unix.EAGAIN
	case ErrShutdown:
		return unix.ESHUTDOWN
	case ErrTaskDone:
		return unix.ERANGE
	case ErrBroken:
		return unix.ECANCELED
	case ErrOwnerDied:
		return unix.EOWNERDEAD
	case ErrNotHolder:
		return unix.EPERM
	case ErrBuffers:
		return unix.EBADMSG
	case ErrTooLong:
		return unix.EMSGSIZE
	case ErrClosed:
		return unix.EBADF
	case io.EOF:
		return unix.EPIPE
	}
	if errno, ok := err.(unix.Errno); ok {
		return errno
	}
	return wrappedErrno(err)
}

// wrappedErrno is apart because its variable is on the heap.
func wrappedErrno(err error) unix.Errno {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return unix.EIO
}
