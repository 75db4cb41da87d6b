// Package shm makes, maps and grows segments: shared memory in memfds, which the
// kernel frees with their last user, however that one ends.
package shm

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"golang.org/x/sys/unix"
)

// What a segment holds.
const (
	KindQueue = 1
	KindPipe  = 2
	KindArena = 3
)

// Layout is the version of everything that is laid out in segments. Programs of
// different layouts do not share objects.
const Layout = 5

const magic = 0x676e697373656370 // "pcessing" in memory

// Header begins every segment. It is written once, before the segment is shared.
type Header struct {
	Magic  uint64
	Layout uint32
	Kind   uint32
	_      [48]byte
}

// HeaderSize is the size of Header in bytes.
const HeaderSize = 64

// Errors of Open. ErrKind and ErrLayout wrap the errno that C callers get.
var (
	ErrKind   = fmt.Errorf("not a goprocessing segment of this kind: %w", unix.EINVAL)
	ErrLayout = fmt.Errorf("segment made by another version of goprocessing: %w", unix.EPROTO)
	// ErrDescriptor: the program closed the segment's descriptor behind its back.
	ErrDescriptor = fmt.Errorf("the segment's descriptor was closed: %w", unix.EBADF)
	// ErrCorrupt: the content of the segment contradicts itself.
	ErrCorrupt = fmt.Errorf("corrupt segment: %w", unix.EUCLEAN)
	// ErrBounds: it points outside the segment.
	ErrBounds = fmt.Errorf("offset out of bounds: %w", ErrCorrupt)
)

// minSize is how much of each segment is there from the start: what is reached
// through Base without At. A page is mapped whole.
const minSize = 4096

const (
	numWindows = 28
	window0    = 1 << 20
	maxSize    = window0 << (numWindows - 1)
)

// Segment is a segment mapped into this process: struct gop_segment of the C
// interface. It may lie in memory that is not Go's.
//
// Window 0 maps the first MiB of the file, window k > 0 the bytes from
// window0<<(k-1) to window0<<k. Windows reach beyond the end of the file (only
// offsets below its size are ever touched), so growth needs no new mapping until
// the file has doubled, and no address ever moves.
type Segment struct {
	FD      int32
	Kind    uint32
	device  uint64 // with inode: which file FD was when the segment was opened
	inode   uint64
	size    atomic.Uint64
	Spin    [6]uint32 // budgets of futex.Limit, and what else a handle remembers
	windows [numWindows]unsafe.Pointer
}

// Create makes s a new segment of the given kind, whose first size bytes are
// allocated and zero but for the header. name is for /proc/*/maps.
func (s *Segment) Create(name string, kind uint32, size int64) error {
	fd, err := createMemfd(name, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // Linux before 6.3
		fd, err = createMemfd(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return fmt.Errorf("creating a segment: %w", err)
	}
	fault.Here("file of a segment made")
	return s.create(fd, kind, size, seal)
}

// createMemfd is unix.MemfdCreate, which leaves a copy of the name on the heap. Error: an
// errno.
func createMemfd(name string, flags int) (fd int, err error) {
	var path [32]byte // with a zero behind it
	copy(path[:len(path)-1], name)
	r, _, errno := unix.Syscall(unix.SYS_MEMFD_CREATE, uintptr(unsafe.Pointer(&path)), uintptr(flags), 0)
	if errno != 0 {
		return -1, errno
	}
	return int(r), nil
}

// create makes s a segment in a new file, once that is protected. It owns fd, also if
// it fails.
func (s *Segment) create(fd int, kind uint32, size int64, protect func(fd int) error) error {
	err := protect(fd)
	if err == nil {
		err = allocate(fd, 0, size)
	}
	if err == nil {
		err = s.attach(fd, kind)
	}
	if err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("creating a segment: %w", err)
	}
	fault.Here("segment mapped")
	*s.header() = Header{Magic: magic, Layout: Layout, Kind: kind}
	fault.Here("segment made")
	return nil
}

// seal keeps other holders from cutting the file off, so that a reader of the lost part
// would get SIGBUS.
func seal(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK)
	return err
}

// allocate makes sure that the n bytes at offset have memory. A signal may interrupt it
// at any page.
func allocate(fd int, offset, n int64) error {
	for {
		err := unix.Fallocate(fd, 0, offset, n)
		fault.Here("memory allocated")
		if err != unix.EINTR {
			return err
		}
	}
}

// Open maps the segment behind fd and checks its header. On success it owns fd.
func (s *Segment) Open(fd int, kind uint32) error {
	if err := checkFile(fd); err != nil {
		return err
	}
	if err := s.attach(fd, kind); err != nil {
		return err
	}
	fault.Here("segment opened")
	var err error
	switch h := s.header(); {
	case h.Magic != magic:
		err = ErrKind
	case h.Layout != Layout:
		err = ErrLayout
	case h.Kind != kind:
		err = ErrKind
	}
	if err != nil {
		s.unmap()
		s.FD = -1
	}
	return err
}

// checkFile makes sure that what is mapped of a file, within its size, is and stays
// accessible.
func checkFile(fd int) error {
	if safe, err := isSafe(fd); err != nil {
		return fmt.Errorf("opening a segment: %w", err)
	} else if !safe {
		return ErrKind
	}
	return checkFilesystem(fd)
}

func checkFilesystem(fd int) error {
	// Of a hugetlbfs file even what lies within its size may have no memory (SIGBUS).
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return fmt.Errorf("opening a segment: %w", err)
	}
	if fs.Type != unix.TMPFS_MAGIC {
		return ErrKind
	}
	return nil
}

func (s *Segment) attach(fd int, kind uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("opening a segment: %w", err)
	}
	*s = Segment{FD: int32(fd), Kind: kind, device: st.Dev, inode: st.Ino}
	s.size.Store(uint64(st.Size))
	if st.Size < minSize {
		s.FD = -1
		return ErrKind
	}
	if _, err := s.window(0); err != nil {
		s.FD = -1
		return err
	}
	return nil
}

func (s *Segment) header() *Header { return (*Header)(s.windows[0]) }

// Close unmaps the segment and closes its descriptor, unless the number has come
// to be another file's.
func (s *Segment) Close() error {
	s.unmap()
	fault.Here("segment unmapped")
	owned := s.CheckDescriptor() == nil
	fd := s.FD
	s.FD = -1
	if !owned {
		return nil
	}
	return unix.Close(int(fd))
}

func (s *Segment) unmap() {
	for k := range s.windows {
		if p := atomic.SwapPointer(&s.windows[k], nil); p != nil {
			_ = unix.MunmapPtr(p, windowSize(k))
		}
	}
}

func windowSize(k int) uintptr {
	if k == 0 {
		return window0
	}
	return window0 << (k - 1)
}

// window returns the address of window k, which it maps if need be.
func (s *Segment) window(k int) (unsafe.Pointer, error) {
	if p := atomic.LoadPointer(&s.windows[k]); p != nil {
		return p, nil
	}
	if err := s.CheckDescriptor(); err != nil {
		return nil, err
	}
	var offset int64
	if k > 0 {
		offset = window0 << (k - 1)
	}
	p, err := unix.MmapPtr(int(s.FD), offset, nil, windowSize(k),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("mapping %d bytes of a segment: %w", windowSize(k), err)
	}
	fault.Here("window mapped")
	if !atomic.CompareAndSwapPointer(&s.windows[k], nil, p) {
		// Another thread was first.
		_ = unix.MunmapPtr(p, windowSize(k))
		p = atomic.LoadPointer(&s.windows[k])
	}
	return p, nil
}

// Base returns the address of the segment's first byte; the first MiB follows,
// as far as the file reaches.
func (s *Segment) Base() unsafe.Pointer { return s.windows[0] }

// At returns the address of the n bytes at offset, which must not cross a
// window, valid until Close. The bytes must lie within the file.
func (s *Segment) At(offset, n uint64) (unsafe.Pointer, error) {
	if offset >= maxSize || n > maxSize-offset {
		return nil, ErrBounds
	}
	if end := offset + n; end > s.size.Load() {
		if err := s.look(end); err != nil {
			return nil, err
		}
	}
	k := bits.Len64(offset / window0)
	p, err := s.window(k)
	if err != nil {
		return nil, err
	}
	if k > 0 {
		offset -= window0 << (k - 1)
	}
	if offset+n > uint64(windowSize(k)) {
		return nil, ErrBounds
	}
	return unsafe.Add(p, offset), nil
}

// look finds out whether another process made the file at least end bytes long.
func (s *Segment) look(end uint64) error {
	if err := s.CheckDescriptor(); err != nil {
		return err
	}
	if end > s.size.Load() {
		return ErrBounds
	}
	return nil
}

// CheckDescriptor makes sure that FD still is this segment: a daemon that closed
// all descriptors may have other files under their numbers.
func (s *Segment) CheckDescriptor() error {
	var st unix.Stat_t
	if err := unix.Fstat(int(s.FD), &st); err != nil || st.Dev != s.device || st.Ino != s.inode {
		return ErrDescriptor
	}
	s.size.Store(uint64(st.Size))
	return nil
}

// Allocate makes sure that the n bytes at offset have memory, so that touching
// them cannot fail. The file grows if need be. Fresh memory is zero.
func (s *Segment) Allocate(offset, n uint64) error {
	if err := s.CheckDescriptor(); err != nil {
		return err
	}
	if err := allocate(int(s.FD), int64(offset), int64(n)); err != nil {
		return fmt.Errorf("growing a segment by %d bytes: %w", n, err)
	}
	return nil
}

// Memory returns how many bytes of memory the segment takes, or the most it can if its
// descriptor was closed. What a corrupt segment says to be in it cannot be more.
func (s *Segment) Memory() uint64 {
	var st unix.Stat_t
	if err := unix.Fstat(int(s.FD), &st); err != nil || st.Dev != s.device || st.Ino != s.inode {
		return s.size.Load()
	}
	return uint64(st.Blocks) * 512
}

// Discard gives the memory of the n bytes at offset back to the system.
func (s *Segment) Discard(offset, n uint64) {
	if s.CheckDescriptor() != nil {
		return
	}
	fault.Here("memory about to be given back")
	// What fails here is kept, and used again.
	_ = unix.Fallocate(int(s.FD), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(offset), int64(n))
}
