package shm

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func createFile(t *testing.T) *Segment {
	t.Helper()
	s := new(Segment)
	if err := s.CreateFile(KindQueue, 4096); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// newName returns a name that is free after the test again.
func newName(t *testing.T) string {
	t.Helper()
	name := fmt.Sprint("test-", os.Getpid(), "-", t.Name())
	name = strings.ReplaceAll(name, "/", "-")
	t.Cleanup(func() {
		if err := Unlink(name); err != nil && !errors.Is(err, unix.ENOENT) {
			t.Error(err)
		}
	})
	return name
}

func newNamed(t *testing.T) (s *Segment, name, file string) {
	t.Helper()
	s, name = createFile(t), newName(t)
	if err := s.Link(name); err != nil {
		t.Fatal(err)
	}
	file, err := path(name)
	if err != nil {
		t.Fatal(err)
	}
	return s, name, file
}

func TestNamed(t *testing.T) {
	s, name, _ := newNamed(t)
	other := new(Segment)
	if err := other.OpenNamed(name, KindQueue); err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, offset := range []uint64{100, window0 + 8} {
		if err := s.Allocate(offset, 1); err != nil {
			t.Fatal(err)
		}
		here, err := s.At(offset, 1)
		if err != nil {
			t.Fatal(err)
		}
		there, err := other.At(offset, 1)
		if err != nil {
			t.Fatal(err)
		}
		if *(*byte)(here) = 7; *(*byte)(there) != 7 {
			t.Error("another segment has that name")
		}
	}
	if err := createFile(t).Link(name); !errors.Is(err, unix.EEXIST) {
		t.Errorf("the name was given twice: %v", err)
	}
	if err := new(Segment).OpenNamed(name, KindArena); !errors.Is(err, ErrKind) {
		t.Errorf("opened as another kind: %v", err)
	}
	// By descriptor, too.
	byDescriptor := new(Segment)
	if err := byDescriptor.Open(duplicate(t, s), KindQueue); err != nil {
		t.Fatal(err)
	}
	if err := byDescriptor.Close(); err != nil {
		t.Error(err)
	}
	if err := Unlink(name); err != nil {
		t.Error(err)
	}
	if err := new(Segment).OpenNamed(name, KindQueue); !errors.Is(err, unix.ENOENT) {
		t.Errorf("opened after Unlink: %v", err)
	}
}

// Nobody but the user has access, whatever the umask says.
func TestNamedMode(t *testing.T) {
	for _, umask := range []int{0, 0o777} {
		old := unix.Umask(umask)
		s := createFile(t)
		unix.Umask(old)
		var st unix.Stat_t
		if err := unix.Fstat(int(s.FD), &st); err != nil {
			t.Fatal(err)
		}
		if st.Mode != unix.S_IFREG|0o600 {
			t.Errorf("umask %#o: mode %#o", umask, st.Mode)
		}
	}
}

// Before it has its name a segment is nowhere to be found.
func TestUnnamed(t *testing.T) {
	s := createFile(t)
	var st unix.Stat_t
	if err := unix.Fstat(int(s.FD), &st); err != nil {
		t.Fatal(err)
	}
	if st.Nlink != 0 {
		t.Errorf("%d names", st.Nlink)
	}
}

func TestBadNames(t *testing.T) {
	long := strings.Repeat("x", unix.NAME_MAX)
	for name, want := range map[string]error{
		"": unix.EINVAL, ".": unix.EINVAL, "..": unix.EINVAL, "/": unix.EINVAL, "a/b": unix.EINVAL,
		"../shadow": unix.EINVAL, "a\x00b": unix.EINVAL, long: unix.ENAMETOOLONG,
	} {
		s := createFile(t)
		for what, err := range map[string]error{
			"link": s.Link(name), "open": new(Segment).OpenNamed(name, KindQueue), "unlink": Unlink(name),
		} {
			if !errors.Is(err, want) {
				t.Errorf("%s %.20q: %v", what, name, err)
			}
		}
	}
}

func TestOpenNamedRefuses(t *testing.T) {
	root := unix.Geteuid() == 0
	// Also as root: who opens a user's segment trusts that user.
	for what, c := range map[string]struct {
		spoil func(file string) error
		want  error
	}{
		"a symbolic link": {func(file string) error {
			if err := os.Rename(file, file+"~"); err != nil {
				return err
			}
			t.Cleanup(func() { _ = os.Remove(file + "~") })
			return os.Symlink(file+"~", file)
		}, unix.ELOOP},
		"a file that a group may read":   {func(file string) error { return os.Chmod(file, 0o640) }, ErrOwner},
		"a file that others may write":   {func(file string) error { return os.Chmod(file, 0o602) }, ErrOwner},
		"another user's file":            {func(file string) error { return os.Chown(file, 65534, -1) }, ErrOwner},
		"a directory":                    {replace(func(file string) error { return os.Mkdir(file, 0o700) }), ErrKind},
		"a FIFO":                         {replace(func(file string) error { return unix.Mkfifo(file, 0o600) }), ErrKind},
		"a device":                       {replace(func(file string) error { return unix.Mknod(file, unix.S_IFCHR|0o600, 0x103) }), ErrKind},
		"a socket":                       {replace(bindSocket), ErrKind},
		"an empty file":                  {func(file string) error { return os.Truncate(file, 0) }, ErrKind},
		"a file that ends in the header": {func(file string) error { return os.Truncate(file, HeaderSize) }, ErrKind},
		"another program's file": {func(file string) error {
			return os.WriteFile(file, make([]byte, 8192), 0o600)
		}, ErrKind},
	} {
		t.Run(what, func(t *testing.T) {
			if !root && (what == "another user's file" || what == "a device") {
				t.Skip("needs root")
			}
			_, name, file := newNamed(t)
			t.Cleanup(func() { _ = os.Remove(file) })
			if err := c.spoil(file); err != nil {
				t.Fatal(err)
			}
			s := new(Segment)
			// A device of a file system that is mounted nodev is EACCES.
			if err := s.OpenNamed(name, KindQueue); !errors.Is(err, c.want) && !errors.Is(err, unix.EACCES) {
				t.Errorf("opened: %v", err)
			}
		})
	}
}

func replace(with func(file string) error) func(file string) error {
	return func(file string) error {
		if err := os.Remove(file); err != nil {
			return err
		}
		return with(file)
	}
}

func bindSocket(file string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrUnix{Name: file})
}

// Two users' segments of one name are two.
func TestOtherUser(t *testing.T) {
	if unix.Geteuid() != 0 {
		t.Skip("needs root")
	}
	_, name, file := newNamed(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// This thread's alone.
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); errno != 0 {
		t.Fatal(errno)
	}
	defer func() {
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 0, ^uintptr(0)); errno != 0 {
			panic(errno)
		}
	}()
	if err := new(Segment).OpenNamed(name, KindQueue); !errors.Is(err, unix.ENOENT) {
		t.Errorf("another user's name is the same: %v", err)
	}
	own, err := path(name)
	if err != nil {
		t.Fatal(err)
	}
	if own == file {
		t.Error("two users share their names")
	}
}

// In some systems /dev/shm is a symbolic link.
func TestDirectoryIsALink(t *testing.T) {
	link := t.TempDir() + "/link"
	if err := os.Symlink(directory, link); err != nil {
		t.Fatal(err)
	}
	defer func(before string) { directory = before }(directory)
	directory = link
	s, name, file := newNamed(t)
	if got, err := s.Name(); got != name || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if err := s.Unlink(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("the name is still there: ", err)
	}
}

// What has no memory is never touched: a full file system is an error.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "goprocessing-test", dir).Run(); err != nil {
		t.Skip("cannot mount a tmpfs: ", err)
	}
	directory = dir
	t.Cleanup(func() {
		directory = "/dev/shm"
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s := createFile(t)
	defer s.Close()
	offset := uint64(4096)
	for ; ; offset += 4096 {
		err := s.Allocate(offset, 4096)
		if errors.Is(err, unix.ENOSPC) {
			break
		}
		if err != nil || offset > 2<<20 {
			t.Fatalf("%d bytes in: %v", offset, err)
		}
		p, err := s.At(offset, 4096)
		if err != nil {
			t.Fatal(err)
		}
		*(*byte)(p) = 1
	}
	if err := new(Segment).CreateFile(KindQueue, 4096); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("created another one: %v", err)
	}
	s.Discard(offset-4096, 4096)
	if err := s.Allocate(offset-4096, 4096); err != nil {
		t.Errorf("after some was given back: %v", err)
	}
	if err := s.Allocate(0, math.MaxInt64); !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EFBIG) {
		t.Errorf("all there is: %v", err)
	}
}

// Memory in huge pages may be missing although the file is long enough.
func TestOpenOfHugePages(t *testing.T) {
	fd, err := unix.MemfdCreate("huge", unix.MFD_CLOEXEC|unix.MFD_HUGETLB|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, 1<<30); err != nil {
		t.Skip(err)
	}
	if err := seal(fd); err != nil {
		t.Skip(err)
	}
	if err := new(Segment).Open(fd, KindQueue); !errors.Is(err, ErrKind) {
		t.Errorf("opened: %v", err)
	}
}

// Whoever has a segment mapped uses it, also one who has closed its descriptor.
func TestStale(t *testing.T) {
	s, name, _ := newNamed(t)
	isStale := func() bool {
		names, err := Stale()
		if err != nil {
			t.Fatal(err)
		}
		return slices.Contains(names, name)
	}
	if isStale() {
		t.Error("stale, though open")
	}
	if err := unix.Close(int(s.FD)); err != nil {
		t.Fatal(err)
	}
	if isStale() {
		t.Error("stale, though mapped")
	}
	if err := UnlinkStale(name); !errors.Is(err, unix.EBUSY) {
		t.Errorf("unlinked, though mapped: %v", err)
	}
	s.unmap()
	if !isStale() {
		t.Error("not stale")
	}
	if err := UnlinkStale(name); err != nil {
		t.Error(err)
	}
}

// Whoever has the maker's descriptor, too, has no part in the lock under which that takes
// the name away.
func TestLockUnlinking(t *testing.T) {
	s, name, _ := newNamed(t)
	isLocked := func() bool {
		l := unix.Flock_t{Type: unix.F_WRLCK, Start: unlinking, Len: 1}
		if err := unix.FcntlFlock(uintptr(s.FD), unix.F_OFD_GETLK, &l); err != nil {
			t.Fatal(err)
		}
		return l.Type != unix.F_UNLCK
	}
	unlock, err := s.lockUnlinking()
	if err != nil {
		t.Fatal(err)
	}
	if !isLocked() {
		t.Error("not locked for the others that have the descriptor")
	}
	unlock()
	if isLocked() {
		t.Error("still locked")
	}
	if err := s.Unlink(); err != nil {
		t.Error(err)
	}
	if err := new(Segment).OpenNamed(name, KindQueue); !errors.Is(err, unix.ENOENT) {
		t.Errorf("opened after Unlink: %v", err)
	}
}

// What the name of its maker's descriptor is, others see in /proc.
func TestNameOf(t *testing.T) {
	s, name, file := newNamed(t)
	if got, err := s.Name(); got != name || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := os.Readlink(byDescriptor(int(s.FD))); got != file || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := Unlink(name); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Name(); err != ErrUnlinked {
		t.Errorf("after Unlink: %q, %v", got, err)
	}
}
