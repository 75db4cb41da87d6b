package shm

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/goprocessing/goprocessing/core/internal/fault"
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

// ErrUnlinked: a segment lost its name while it was opened or made.
var ErrUnlinked = fmt.Errorf("segment without a name: %w", unix.ENOENT)

// directory is where named segments are: a variable for tests.
var directory = "/dev/shm"

// filePrefix begins the names of their files; the user's number follows, and the name.
const filePrefix = "goprocessing."

// prefix is what the file names of this user's named segments begin with.
func prefix() string { return filePrefix + strconv.Itoa(unix.Geteuid()) + "." }

// path returns the file that a segment of this user has by that name. Errors:
// unix.EINVAL, unix.ENAMETOOLONG.
func path(name string) (string, error) {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return "", fmt.Errorf("segment name %q: %w", name, unix.EINVAL)
	}
	file := prefix() + name
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
		if err := unix.Fchmod(fd, 0o600); err != nil { // whatever the umask says
			return err
		}
		return use(fd)
	})
}

// Link gives a segment made by CreateFile its name, under which others can open it from
// now on. Errors: unix.EEXIST, if there is one of that name; ErrUnlinked.
func (s *Segment) Link(name string) error {
	to, err := path(name)
	if err != nil {
		return err
	}
	fault.Here("segment about to be named")
	// By its descriptor alone only a privileged process may (linkat(2), AT_EMPTY_PATH).
	if err := unix.Linkat(unix.AT_FDCWD, byDescriptor(int(s.FD)), unix.AT_FDCWD, to, unix.AT_SYMLINK_FOLLOW); err != nil {
		return fmt.Errorf("naming a segment %q: %w", name, err)
	}
	fault.Here("segment named")
	if err := s.reopen(to); err != nil {
		return errors.Join(fmt.Errorf("naming a segment %q: %w", name, err), s.unlink(name))
	}
	return nil
}

// reopen has FD be a descriptor of the file by its name: one of before that never shows
// it in /proc (proc_pid_fd(5)), for Name and for those who look.
func (s *Segment) reopen(path string) error {
	fd, err := openFile(path, unix.O_RDWR)
	if err == unix.ENOENT {
		return ErrUnlinked
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Dev != s.device || st.Ino != s.inode {
		return ErrUnlinked
	}
	if err := use(fd); err != nil {
		return err
	}
	return unix.Dup3(fd, int(s.FD), unix.O_CLOEXEC)
}

// byDescriptor returns a path that leads to the file of fd.
func byDescriptor(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// OpenNamed maps the segment of that name. Errors: as Open; ErrOwner; unix.ENOENT;
// unix.ELOOP, if it is a symbolic link; unix.EINTR.
func (s *Segment) OpenNamed(name string, kind uint32) error {
	from, err := path(name)
	if err != nil {
		return err
	}
	if err := s.openPath(from, kind); err != nil {
		return fmt.Errorf("opening segment %q: %w", name, err)
	}
	return nil
}

func (s *Segment) openPath(from string, kind uint32) error {
	fd, err := openFile(from, unix.O_RDWR)
	if err != nil {
		return err
	}
	if err := s.openNamed(fd, kind); err != nil {
		_ = unix.Close(fd)
		return err
	}
	fault.Here("named segment opened")
	if linked, err := s.Linked(); err != nil || !linked {
		_ = s.Close()
		if err == nil {
			err = ErrUnlinked
		}
		return err
	}
	return nil
}

// openFile opens what there is at path, without following a link. access is O_RDONLY or
// O_RDWR.
func openFile(path string, access int) (int, error) {
	// To open a FIFO would block, a device might do anything: O_NONBLOCK prevents the
	// first, and /dev/shm as it should be mounted, nodev, the second.
	fd, err := unix.Open(path, access|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err == unix.EISDIR || err == unix.ENXIO {
		err = ErrKind
	}
	return fd, err
}

func (s *Segment) openNamed(fd int, kind uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG && !isPrivate(&st) {
		return ErrOwner
	}
	if err := s.Open(fd, kind); err != nil {
		return err
	}
	if err := use(fd); err != nil {
		s.unmap()
		s.FD = -1
		return err
	}
	return nil
}

// Name returns the name of a segment that this process opened by name. ErrUnlinked: it
// has none any more.
func (s *Segment) Name() (string, error) {
	if linked, err := s.Linked(); err != nil {
		return "", err
	} else if !linked {
		return "", ErrUnlinked
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlink(byDescriptor(int(s.FD)), buf)
	if err != nil {
		return "", fmt.Errorf("looking for the name of a segment: %w", err)
	}
	file := string(buf[:n]) // in the directory that it is in, if ours is a symbolic link
	name, ok := strings.CutPrefix(file[strings.LastIndexByte(file, '/')+1:], prefix())
	if !ok {
		return "", fmt.Errorf("segment at %s: %w", buf[:n], ErrUnlinked)
	}
	return name, nil
}

// Linked reports whether a named segment still has its name.
func (s *Segment) Linked() (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(s.FD), &st); err != nil {
		return false, fmt.Errorf("looking at a segment: %w", err)
	}
	return st.Nlink > 0, nil
}

// isPrivate reports whether a file is a regular one of this user, and nobody else's.
func isPrivate(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFREG && belongs(st)
}

// belongs reports whether a file is this user's, and nobody else has access.
func belongs(st *unix.Stat_t) bool {
	return st.Mode&0o077 == 0 && st.Uid == uint32(unix.Geteuid())
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

// Names returns the names of this user, in order.
func Names() ([]string, error) {
	names, err := list(prefix())
	slices.Sort(names)
	return names, err
}

// list returns the rest of the file names that begin with prefix.
func list(prefix string) (rest []string, err error) {
	fd, err := unix.Open(directory, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", directory, err)
	}
	defer unix.Close(fd)
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", directory, err)
		}
		if n == 0 {
			return rest, nil
		}
		_, _, files := unix.ParseDirent(buf[:n], -1, nil)
		for _, file := range files {
			if name, ok := strings.CutPrefix(file, prefix); ok {
				rest = append(rest, name)
			}
		}
	}
}
