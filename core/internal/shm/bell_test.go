package shm

import (
	"errors"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func openBell(t *testing.T, s *Segment) int {
	t.Helper()
	fd, err := s.OpenBell()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func fileOf(t *testing.T, fd int) FileID {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return FileID{st.Dev, st.Ino}
}

// Whoever opens it first makes it, and all have the same.
func TestBell(t *testing.T) {
	for _, umask := range []int{0, 0o777} {
		s, name, _ := newNamed(t)
		old := unix.Umask(umask)
		bell := openBell(t, s)
		unix.Umask(old)
		other := new(Segment)
		if err := other.OpenNamed(name, KindQueue); err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if fileOf(t, openBell(t, other)) != fileOf(t, bell) {
			t.Error("another bell")
		}
		var st unix.Stat_t
		if err := unix.Fstat(bell, &st); err != nil || st.Mode != unix.S_IFIFO|0o600 {
			t.Errorf("umask %#o: mode %#o, %v", umask, st.Mode, err)
		}
		if err := Unlink(name); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(s.BellPath()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the bell is still there: %v", err)
		}
		if _, err := other.OpenBell(); err != ErrUnlinked {
			t.Errorf("opened after Unlink: %v", err)
		}
		if _, err := os.Lstat(s.BellPath()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the bell is there again: %v", err)
		}
	}
}

func TestBellOfSomethingElse(t *testing.T) {
	for what, c := range map[string]struct {
		put  func(file string) error
		want error
	}{
		"a symbolic link": {func(file string) error { return os.Symlink("/dev/shm/nothing", file) }, ErrKind},
		"a file":          {func(file string) error { return os.WriteFile(file, nil, 0o600) }, ErrKind},
		"a directory":     {func(file string) error { return os.Mkdir(file, 0o700) }, ErrKind},
		"a socket":        {bindSocket, ErrKind},
		"a FIFO that a group may read": {func(file string) error {
			return errors.Join(unix.Mkfifo(file, 0o600), os.Chmod(file, 0o640))
		}, ErrOwner},
		"another user's FIFO": {func(file string) error {
			return errors.Join(unix.Mkfifo(file, 0o600), os.Chown(file, 65534, -1))
		}, ErrOwner},
	} {
		t.Run(what, func(t *testing.T) {
			if unix.Geteuid() != 0 && what == "another user's FIFO" {
				t.Skip("needs root")
			}
			s, _, _ := newNamed(t)
			t.Cleanup(func() { _ = os.Remove(s.BellPath()) })
			if err := c.put(s.BellPath()); err != nil {
				t.Fatal(err)
			}
			if _, err := s.OpenBell(); !errors.Is(err, c.want) {
				t.Errorf("opened: %v", err)
			}
		})
	}
}

// nobodys is an inode that no segment has, nor another run of these tests.
var nobodys = 1<<63 | uint64(os.Getpid())

// What a killed process has left goes with the next name that is taken away, and nothing
// else does.
func TestSweep(t *testing.T) {
	s, name, _ := newNamed(t)
	bell := openBell(t, s)
	orphan := bellPath(nobodys)
	if err := unix.Mkfifo(orphan, 0o600); err != nil {
		t.Fatal(err)
	}
	other := createFile(t)
	if err := other.Link(newName(t) + "-other"); err != nil {
		t.Fatal(err)
	}
	if err := other.Unlink(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(orphan); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
	again := new(Segment)
	if err := again.OpenNamed(name, KindQueue); err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if fileOf(t, openBell(t, again)) != fileOf(t, bell) {
		t.Error("the bell of a segment that has its name is gone")
	}
}

// Anybody may put files beside the bells. What cannot be removed hinders nobody.
func TestBellThatStays(t *testing.T) {
	s, name, _ := newNamed(t)
	for _, file := range []string{s.BellPath(), bellPath(nobodys)} {
		if err := os.Mkdir(file, 0o700); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(file) })
	}
	if err := Unlink(name); err != nil {
		t.Error(err)
	}
	other := createFile(t)
	if err := other.Link(name); err != nil {
		t.Fatal(err)
	}
	if err := other.Unlink(); err != nil {
		t.Error(err)
	}
}

// However opening and unlinking interleave, those who have a bell have the same.
func TestBellWhileUnlinked(t *testing.T) {
	for range 300 {
		s, name, _ := newNamed(t)
		var group sync.WaitGroup
		var mu sync.Mutex
		bells := map[FileID]bool{}
		for range 4 {
			group.Go(func() {
				other := new(Segment)
				if err := other.OpenNamed(name, KindQueue); err != nil {
					if !errors.Is(err, unix.ENOENT) {
						t.Error(err)
					}
					return
				}
				defer other.Close()
				fd, err := other.OpenBell()
				if err == ErrUnlinked {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				defer unix.Close(fd)
				mu.Lock()
				defer mu.Unlock()
				bells[fileOf(t, fd)] = true
			})
		}
		group.Go(func() {
			if err := Unlink(name); err != nil {
				t.Error(err)
			}
		})
		group.Wait()
		if len(bells) > 1 {
			t.Fatalf("%d bells", len(bells))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
