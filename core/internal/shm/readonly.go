package shm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// OpenToRepair maps the segment that path leads to so that it can be changed. path, file
// and errors are as of OpenReadOnly.
func (s *Segment) OpenToRepair(path string, file FileID, kind uint32) error {
	const flags = unix.O_RDWR | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	fd, err := unix.Open(path, flags, 0)
	if err != nil {
		return fmt.Errorf("opening a segment: %w", err)
	}
	if err := s.Open(fd, kind); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	if (FileID{s.device, s.inode}) != file {
		return errors.Join(fmt.Errorf("opening a segment: %w", unix.ENOENT), s.Close())
	}
	return nil
}

// FileID is the device and the inode of a file: no other has both as long as it is there.
type FileID struct{ Device, Inode uint64 }

// OpenReadOnly maps the segment that path leads to, of whatever kind, as far as it
// reaches now. Nothing can be changed through s, which stays the only user of its
// descriptor; what another process adds to the segment later is out of bounds.
//
// path may be one of /proc/PID/fd (proc_pid_fd(5)): opening that neither needs nor
// affects the process. If it has come to be another file meanwhile, that is unix.ENOENT.
//
// The file of a named segment may be cut off by its user, who need not be this one: be
// ready for SIGBUS, here already (runtime/debug.SetPanicOnFault), and close s all the same.
func (s *Segment) OpenReadOnly(path string, file FileID) error {
	*s = Segment{FD: -1}
	// Another file might be a FIFO or a terminal by now.
	const flags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	fd, err := unix.Open(path, flags, 0)
	if err != nil {
		return fmt.Errorf("opening a segment: %w", err)
	}
	if err := s.attachReadOnly(fd, file); err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

func (s *Segment) attachReadOnly(fd int, file FileID) error {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	s.FD, s.device, s.inode = int32(fd), st.Dev, st.Ino
	if err == nil && (FileID{st.Dev, st.Ino}) != file {
		err = unix.ENOENT
	}
	if err != nil {
		return fmt.Errorf("opening a segment: %w", err)
	}
	if err := checkFilesystem(fd); err != nil {
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
	s.Kind = h.Kind
	s.size.Store(uint64(st.Size))
	return nil
}

// Device returns the number of a device (makedev(3)).
func Device(major, minor uint64) uint64 { return unix.Mkdev(uint32(major), uint32(minor)) }

// Directory is where the files of named segments are.
func Directory() string { return directory }

// ParseFileName tells whose segment a file in Directory is, and by which name. Other
// files are none's.
func ParseFileName(file string) (user int, name string, ok bool) {
	rest, ok := strings.CutPrefix(file, filePrefix)
	if !ok {
		return 0, "", false
	}
	digits, name, ok := strings.Cut(rest, ".")
	user, err := strconv.Atoi(digits)
	return user, name, ok && err == nil && name != ""
}
