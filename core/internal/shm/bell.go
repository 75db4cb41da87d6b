package shm

import (
	"fmt"
	"strconv"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"golang.org/x/sys/unix"
)

// The bell of a named segment is a FIFO beside it. Its file name has the inode number of
// the segment, so that it is never that of another which has the name later.
//
// Who opens a segment makes the bell if there is none yet: after the segment has its
// name, and before it makes sure that it still has. Who unlinks takes the segment's name
// away first. So whoever uses a bell has opened it while the segment had its name, when
// nobody takes bells away: it is the same one for all.
//
// A process that is killed on the way leaves at most a bell of a segment that has no
// name, which Sweep recognizes.

// bellPrefix is what the file names of this user's bells begin with.
func bellPrefix() string { return "goprocessing-bell." + strconv.Itoa(unix.Geteuid()) + "." }

func bellPath(inode uint64) string {
	return directory + "/" + bellPrefix() + strconv.FormatUint(inode, 10)
}

// BellPath returns where the bell of a named segment is; of a pipe's, where the two meet
// who open it.
func (s *Segment) BellPath() string { return bellPath(s.inode) }

// OpenBell opens the bell of a named segment, a FIFO that never blocks. ErrUnlinked: the
// segment has lost its name.
func (s *Segment) OpenBell() (fd int, err error) {
	path := bellPath(s.inode)
	for {
		fd, err = openFIFO(path)
		if err == nil {
			fault.Here("bell opened")
		}
		linked, failed := s.Linked()
		if err == nil && failed == nil && linked {
			return fd, nil
		}
		if err == nil {
			_ = unix.Close(fd)
		}
		switch {
		case failed != nil:
			return -1, failed
		case !linked:
			_ = unix.Unlink(path) // nobody else comes for it
			return -1, ErrUnlinked
		case err != unix.ENOENT:
			return -1, fmt.Errorf("opening the bell of a segment: %w", err)
		}
		if err := unix.Mkfifo(path, 0o600); err != nil && err != unix.EEXIST {
			return -1, fmt.Errorf("making the bell of a segment: %w", err)
		}
		fault.Here("bell made")
	}
}

// openFIFO opens a FIFO of this user at both ends. To look what it is, it neither opens
// it nor follows a link.
func openFIFO(path string) (int, error) {
	is, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(is)
	var st unix.Stat_t
	if err := unix.Fstat(is, &st); err != nil {
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return -1, ErrKind
	}
	if !belongs(&st) {
		return -1, ErrOwner
	}
	if st.Mode&0o600 != 0o600 { // whatever the umask of its maker said
		if err := unix.Chmod(byDescriptor(is), 0o600); err != nil {
			return -1, err
		}
	}
	return unix.Open(byDescriptor(is), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
}

// Sweep takes away the bells of segments that have no name: one that was made before its
// segment is looked for had one before, and what has lost its name gets none again.
func Sweep() error {
	bells, err := list(bellPrefix())
	if err != nil || len(bells) == 0 {
		return err
	}
	names, err := list(prefix())
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, name := range names {
		var st unix.Stat_t
		err := unix.Fstatat(unix.AT_FDCWD, directory+"/"+prefix()+name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil {
			used[strconv.FormatUint(st.Ino, 10)] = true
		}
	}
	for _, bell := range bells {
		if used[bell] {
			continue
		}
		if err := removeBell(directory + "/" + bellPrefix() + bell); err != nil {
			return err
		}
		fault.Here("bell swept away")
	}
	return nil
}

// removeBell takes a bell away. Other users may have files beside it, in a directory that
// is sticky, and anybody directories: those stay, and hinder nobody.
func removeBell(path string) error {
	switch err := unix.Unlink(path); err {
	case nil, unix.ENOENT, unix.EPERM, unix.EISDIR:
		return nil
	default:
		return fmt.Errorf("removing the bell of a segment: %w", err)
	}
}
