package shm

import (
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// OpenReadOnly maps the segment that path leads to, of whatever kind, as far as it
// reaches now. Nothing can be changed through s, which stays the only user of its
// descriptor; what another process adds to the segment later is out of bounds.
//
// path may be one of /proc/PID/fd (proc_pid_fd(5)): opening that neither needs nor
// affects the process. If it has come to be a file of another inode meanwhile, that is
// unix.ENOENT.
func (s *Segment) OpenReadOnly(path string, inode uint64) error {
	// Another file might be a FIFO or a terminal by now.
	const flags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	fd, err := unix.Open(path, flags, 0)
	if err != nil {
		return fmt.Errorf("opening a segment: %w", err)
	}
	if err := s.attachReadOnly(fd, inode); err != nil {
		s.unmap()
		return errors.Join(err, unix.Close(fd))
	}
	return nil
}

func (s *Segment) attachReadOnly(fd int, inode uint64) error {
	*s = Segment{FD: -1}
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	if err == nil && st.Ino != inode {
		err = unix.ENOENT
	}
	if err != nil {
		return fmt.Errorf("opening a segment: %w", err)
	}
	if err := checkFile(fd); err != nil {
		return err
	}
	if st.Size < minSize || st.Size > maxSize {
		return ErrKind
	}
	for k := 0; k == 0 || uint64(windowSize(k)) < uint64(st.Size); k++ {
		var offset int64
		if k > 0 {
			offset = int64(windowSize(k))
		}
		p, err := unix.MmapPtr(fd, offset, nil, windowSize(k), unix.PROT_READ, unix.MAP_SHARED|unix.MAP_NORESERVE)
		if err != nil {
			return fmt.Errorf("mapping %d bytes of a segment: %w", windowSize(k), err)
		}
		atomic.StorePointer(&s.windows[k], p)
	}
	h := s.header()
	switch {
	case h.Magic != magic:
		return ErrKind
	case h.Layout != Layout:
		return ErrLayout
	}
	s.FD, s.Kind, s.device, s.inode = int32(fd), h.Kind, st.Dev, st.Ino
	s.size.Store(uint64(st.Size))
	return nil
}
