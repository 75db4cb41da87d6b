package core

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// file returns a file of a duplicate of fd, which is -1 of a handle that was closed.
func file(fd int, name string) (*os.File, error) {
	if fd < 0 {
		return nil, ErrClosed
	}
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicating the descriptor of %s: %w", name, err)
	}
	return os.NewFile(uintptr(dup), name), nil
}

// duplicate returns a duplicate of f's descriptor.
func duplicate(f *os.File) (int, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("opening %s: %w", f.Name(), err)
	}
	dup := -1
	failed := conn.Control(func(fd uintptr) { dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	if failed != nil {
		err = failed
	}
	if err != nil {
		return -1, fmt.Errorf("opening %s: %w", f.Name(), err)
	}
	return dup, nil
}

// openFile maps the segment behind f.
func openFile(s *Segment, f *os.File, kind uint32) error {
	fd, err := duplicate(f)
	if err != nil {
		return err
	}
	if err := s.Open(fd, kind); err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("opening %s: %w", f.Name(), err)
	}
	return nil
}
