package shm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A segment that unrelated processes are to find is a file of a tmpfs, which lasts
// until it is unlinked. It is made without a name, and gets it once what it holds is
// complete: nobody ever sees one half made, and a process killed before leaves nothing.
//
// Such a file cannot be sealed as a memfd is. Whoever may write to it may cut it off,
// and others that touch the lost part get SIGBUS. So it has to belong to the user of
// each process that opens it, and to nobody else: those who can cut it off could kill
// those processes as well.

// ErrOwner: the segment of that name belongs, or is accessible, to others.
var ErrOwner = fmt.Errorf("segment of another user, or accessible to others: %w", unix.EACCES)

// directory is where named segments are: a variable for tests.
var directory = "/dev/shm"

// filePrefix begins the names of their files; the user's number follows, and the name.
const filePrefix = "goprocessing."

// path returns the file that a segment of this user has by that name. Errors:
// unix.EINVAL, unix.ENAMETOOLONG.
func path(name string) (string, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return "", fmt.Errorf("segment name %q: %w", name, unix.EINVAL)
	}
	file := filePrefix + strconv.Itoa(unix.Geteuid()) + "." + name
	if len(file) > unix.NAME_MAX {
		return "", fmt.Errorf("segment name %.20q...: %w", name, unix.ENAMETOOLONG)
	}
	return directory + "/" + file, nil
}

// CreateFile is Create for a segment that is to get a name by Link.
func (s *Segment) CreateFile(kind uint32, size int64) error {
	fd, err := unix.Open(directory, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("creating a segment in %s: %w", directory, err)
	}
	return s.create(fd, kind, size, func(fd int) error {
		return unix.Fchmod(fd, 0o600) // whatever the umask says
	})
}

// Link gives a segment made by CreateFile its name, under which others can open it from
// now on. It returns unix.EEXIST if there is one of that name.
func (s *Segment) Link(name string) error {
	to, err := path(name)
	if err != nil {
		return err
	}
	// By its descriptor alone only a privileged process may (linkat(2), AT_EMPTY_PATH).
	from := "/proc/self/fd/" + strconv.Itoa(int(s.FD))
	if err := unix.Linkat(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.AT_SYMLINK_FOLLOW); err != nil {
		return fmt.Errorf("naming a segment %q: %w", name, err)
	}
	return nil
}

// OpenNamed maps the segment of that name. Errors: as Open; ErrOwner; unix.ENOENT;
// unix.ELOOP, if it is a symbolic link.
func (s *Segment) OpenNamed(name string, kind uint32) error {
	from, err := path(name)
	if err != nil {
		return err
	}
	// To open a FIFO would block, a device might do anything: O_NONBLOCK prevents the
	// first, and /dev/shm as it should be mounted, nodev, the second.
	fd, err := unix.Open(from, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err == nil {
		if err = s.openNamed(fd, kind); err == nil {
			return nil
		}
		_ = unix.Close(fd)
	}
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ENXIO) {
		err = ErrKind
	}
	return fmt.Errorf("opening segment %q: %w", name, err)
}

// Unlink takes a segment's name away. It lives on as long as it is mapped.
func Unlink(name string) error {
	file, err := path(name)
	if err != nil {
		return err
	}
	if err := unix.Unlink(file); err != nil {
		return fmt.Errorf("removing segment %q: %w", name, err)
	}
	return nil
}

func (s *Segment) openNamed(fd int, kind uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG && !isPrivate(&st) {
		return ErrOwner
	}
	return s.Open(fd, kind)
}

// isPrivate reports whether a file is a regular one of this user, and nobody else's.
func isPrivate(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFREG && st.Mode&0o077 == 0 && st.Uid == uint32(unix.Geteuid())
}

// isSafe reports whether nobody, but this user, can cut the file off.
func isSafe(fd int) (bool, error) {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err == nil && seals&unix.F_SEAL_SHRINK != 0 {
		return true, nil
	}
	if err != nil && err != unix.EINVAL {
		return false, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, err
	}
	return isPrivate(&st), nil
}
