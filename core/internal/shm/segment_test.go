package shm

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

func create(t *testing.T) *Segment {
	t.Helper()
	s := new(Segment)
	if err := s.Create("test", KindQueue, 4096); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func duplicate(t *testing.T, s *Segment) int {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// Two mappings of a segment are the same memory, in every window.
func TestWindows(t *testing.T) {
	s := create(t)
	other := new(Segment)
	if err := other.Open(duplicate(t, s), KindQueue); err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, offset := range []uint64{4000, window0 - 8, window0, 2*window0 - 8, 2 * window0, 100*window0 + 8} {
		if err := s.Allocate(offset, 8); err != nil {
			t.Fatal(err)
		}
		here, err := s.At(offset, 8)
		if err != nil {
			t.Fatal(err)
		}
		there, err := other.At(offset, 8)
		if err != nil {
			t.Fatal(err)
		}
		*(*uint64)(here) = offset
		if got := *(*uint64)(there); got != offset {
			t.Errorf("%d at %d", got, offset)
		}
		again, err := s.At(offset, 8)
		if err != nil || again != here {
			t.Errorf("offset %d moved from %p to %p, %v", offset, here, again, err)
		}
	}
}

func TestAtOutOfBounds(t *testing.T) {
	s := create(t)
	if err := s.Allocate(window0, window0); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ offset, n uint64 }{
		{2 * window0, 1}, {2*window0 - 4, 8}, {^uint64(0), 1}, {^uint64(0) - 3, 8}, {1 << 60, 8},
		{window0 - 4, 8}, // across windows
	} {
		if p, err := s.At(c.offset, c.n); !errors.Is(err, ErrBounds) {
			t.Errorf("%d bytes at %d: %p, %v", c.n, c.offset, p, err)
		}
	}
}

func TestOpenChecksTheHeader(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Header)
		want  error
	}{
		"magic":  {func(h *Header) { h.Magic++ }, ErrKind},
		"layout": {func(h *Header) { h.Layout++ }, ErrLayout},
		"kind":   {func(h *Header) { h.Kind = KindArena }, ErrKind},
	} {
		t.Run(name, func(t *testing.T) {
			s := create(t)
			c.spoil(s.header())
			fd := duplicate(t, s)
			other := new(Segment)
			if err := other.Open(fd, KindQueue); !errors.Is(err, c.want) {
				t.Errorf("opened: %v", err)
			}
			// On failure the descriptor is still the caller's.
			if err := unix.Close(fd); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenOfSomethingElse(t *testing.T) {
	fd, err := unix.MemfdCreate("empty", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := new(Segment).Open(fd, KindQueue); !errors.Is(err, ErrKind) {
		t.Errorf("an empty file: %v", err)
	}
	if err := new(Segment).Open(-1, KindQueue); !errors.Is(err, unix.EBADF) {
		t.Errorf("no file: %v", err)
	}
}

// Nobody can take memory away from under another process.
func TestSealed(t *testing.T) {
	s := create(t)
	if err := unix.Ftruncate(int(s.FD), 0); err != unix.EPERM {
		t.Errorf("cut the segment: %v", err)
	}
}

// A daemon closes all descriptors, and other files come under their numbers.
func TestDescriptorUsedAgain(t *testing.T) {
	s := create(t)
	other, err := unix.MemfdCreate("other", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	if err := unix.Dup3(other, int(s.FD), unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := s.Allocate(4096, 4096); !errors.Is(err, ErrDescriptor) {
		t.Errorf("grew: %v", err)
	}
	if _, err := s.At(window0, 8); !errors.Is(err, ErrDescriptor) {
		t.Errorf("mapped: %v", err)
	}
	if p, err := s.At(0, 8); err != nil || p == nil {
		t.Errorf("what is mapped: %v", err)
	}
	content := []byte("the other file's")
	if _, err := unix.Pwrite(other, content, 0); err != nil {
		t.Fatal(err)
	}
	s.Discard(0, 4096)
	number := int(s.FD)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	got := make([]byte, 100)
	if n, err := unix.Pread(number, got, 0); err != nil || string(got[:n]) != string(content) {
		t.Errorf("the other file has %q, %v", got[:n], err)
	}
	if err := unix.Close(number); err != nil {
		t.Error(err)
	}
}

func TestDiscard(t *testing.T) {
	s := create(t)
	blocks := func() int64 {
		var st unix.Stat_t
		if err := unix.Fstat(int(s.FD), &st); err != nil {
			t.Fatal(err)
		}
		return st.Blocks * 512
	}
	before := blocks()
	const offset, n = 8 * window0, 2 * window0
	if err := s.Allocate(offset, n); err != nil {
		t.Fatal(err)
	}
	if got := blocks() - before; got != n {
		t.Errorf("allocated %d bytes", got)
	}
	s.Discard(offset, n)
	if got := blocks() - before; got != 0 {
		t.Errorf("kept %d bytes", got)
	}
}

// Objects that come and go by the thousand leave no work for the collector.
func TestCreateLeavesNoGarbage(t *testing.T) {
	var s Segment
	if n := testing.AllocsPerRun(100, func() {
		if err := s.Create("goprocessing-queue", KindQueue, 4096); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
