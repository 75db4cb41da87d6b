package shm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Whatever a file begins with and however long it is, opening it fails or finds a
// sound header.
func FuzzOpen(f *testing.F) {
	header := func(magic uint64, layout, kind uint32) []byte {
		b := binary.NativeEndian.AppendUint64(nil, magic)
		b = binary.NativeEndian.AppendUint32(b, layout)
		return binary.NativeEndian.AppendUint32(b, kind)
	}
	f.Add(header(magic, Layout, KindQueue), int64(4096), uint32(KindQueue))
	f.Add(header(magic, Layout, KindQueue), int64(4096), uint32(KindArena))
	f.Add(header(magic, Layout, KindQueue), int64(HeaderSize), uint32(KindQueue))
	f.Add(header(magic, Layout+1, KindQueue), int64(4096), uint32(KindQueue))
	f.Add(header(magic+1, Layout, KindQueue), int64(math.MaxInt64), uint32(KindQueue))
	f.Add([]byte{}, int64(0), uint32(0))
	f.Fuzz(func(t *testing.T, content []byte, size int64, kind uint32) {
		fd, err := unix.MemfdCreate("fuzz", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Ftruncate(fd, max(size, 0)); err != nil {
			t.Skip(err)
		}
		if _, err := unix.Pwrite(fd, content[:min(int64(len(content)), max(size, 0))], 0); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK); err != nil {
			t.Fatal(err)
		}
		s := new(Segment)
		if err := s.Open(fd, kind); err != nil {
			if !errors.Is(err, ErrKind) && !errors.Is(err, ErrLayout) {
				t.Error(err)
			}
			_ = unix.Close(fd)
			return
		}
		if want := header(magic, Layout, kind); !bytes.HasPrefix(append(content, make([]byte, len(want))...), want) {
			t.Errorf("opened %x as of kind %d", content, kind)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// What At returns is memory of the file.
func FuzzAt(f *testing.F) {
	f.Add(uint64(4096), uint64(0), uint64(4096))
	f.Add(uint64(4096), uint64(4096), uint64(0))
	f.Add(uint64(window0+5), uint64(window0), uint64(5))
	f.Add(uint64(3*window0), uint64(2*window0-4), uint64(8))
	f.Add(uint64(math.MaxInt64), uint64(maxSize), uint64(0))
	f.Add(uint64(math.MaxInt64), uint64(maxSize-1), uint64(1))
	f.Add(uint64(math.MaxInt64), uint64(math.MaxUint64), uint64(2))
	f.Fuzz(func(t *testing.T, size, offset, n uint64) {
		s := new(Segment)
		if err := s.Create("fuzz", KindQueue, minSize); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		size = max(min(size, math.MaxInt64), minSize)
		if err := unix.Ftruncate(int(s.FD), int64(size)); err != nil {
			t.Skip(err)
		}
		p, err := s.At(offset, n)
		if err != nil {
			return
		}
		if offset+n < offset || offset+n > size {
			t.Fatalf("%d bytes at %d, of %d", n, offset, size)
		}
		if n == 0 {
			return
		}
		*(*byte)(p) = 1
		*(*byte)(unsafe.Add(p, n-1)) = 2
		var b [1]byte
		if _, err := unix.Pread(int(s.FD), b[:], int64(offset+n-1)); err != nil || b[0] != 2 {
			t.Errorf("byte %d is %d, %v", offset+n-1, b[0], err)
		}
	})
}

// Links that lead in a circle are found out, whatever leads to it; others are not.
func FuzzWalk(f *testing.F) {
	f.Add([]byte{1, 2, 3, 1})
	f.Add([]byte{0})
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 255})
	f.Fuzz(func(t *testing.T, links []byte) {
		var w Walk
		seen := map[uint64]bool{}
		for at, steps := 0, 0; at < len(links); at, steps = int(links[at]), steps+1 {
			place := uint64(links[at])
			if w.Circles(place) {
				if !seen[place] {
					t.Fatalf("%d was not seen before", place)
				}
				return
			}
			seen[place] = true
			if steps > 3*len(links) {
				t.Fatal("goes round for ever")
			}
		}
	})
}
