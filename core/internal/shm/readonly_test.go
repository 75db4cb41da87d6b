package shm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func descriptorPath(fd int32) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

func fileAt(t *testing.T, path string) FileID {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return FileID{st.Dev, st.Ino}
}

func (s *Segment) file() FileID { return FileID{s.device, s.inode} }

func TestReadOnly(t *testing.T) {
	s := create(t)
	const far = 5*window0 + 16
	if err := s.Allocate(far, 8); err != nil {
		t.Fatal(err)
	}
	p, err := s.At(far, 8)
	if err != nil {
		t.Fatal(err)
	}
	*(*uint64)(p) = 42
	view := new(Segment)
	if err := view.OpenReadOnly(descriptorPath(s.FD), s.file()); err != nil {
		t.Fatal(err)
	}
	defer view.Close()
	if view.Kind != KindQueue {
		t.Errorf("kind %d", view.Kind)
	}
	for _, offset := range []uint64{far, 0} {
		p, err := view.At(offset, 8)
		if err != nil {
			t.Fatal(err)
		}
		// The kernel writes there as little as this process could.
		if _, err := unix.Pread(int(s.FD), (*[8]byte)(p)[:], 0); err != syscall.EFAULT {
			t.Errorf("written at %d: %v", offset, err)
		}
	}
	if p, _ := view.At(far, 8); *(*uint64)(p) != 42 {
		t.Errorf("%d at the end", *(*uint64)(p))
	}
	if _, err := view.At(8*window0, 8); !errors.Is(err, ErrBounds) {
		t.Errorf("beyond the end: %v", err)
	}
	if err := view.Allocate(far, 8); err == nil {
		t.Error("allocated memory")
	}
}

func TestReadOnlyOfSomethingElse(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	shrinks, err := unix.MemfdCreate("shrinks", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(shrinks)
	other := create(t)
	other.header().Magic++
	for _, path := range []string{os.DevNull, fifo, descriptorPath(int32(shrinks)), descriptorPath(other.FD)} {
		if err := new(Segment).OpenReadOnly(path, fileAt(t, path)); !errors.Is(err, ErrKind) {
			t.Errorf("%s: %v", path, err)
		}
	}
	older := create(t)
	older.header().Layout++
	if err := new(Segment).OpenReadOnly(descriptorPath(older.FD), older.file()); !errors.Is(err, ErrLayout) {
		t.Errorf("another layout: %v", err)
	}
	for _, path := range []string{"/proc/self/fd/-1", fifo, descriptorPath(older.FD)} {
		if err := new(Segment).OpenReadOnly(path, other.file()); !errors.Is(err, unix.ENOENT) {
			t.Errorf("%s, which is no longer that file: %v", path, err)
		}
	}
}
