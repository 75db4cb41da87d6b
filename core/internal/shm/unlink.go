package shm

import (
	"errors"
	"fmt"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"golang.org/x/sys/unix"
)

// Bytes of a named segment's file that are locked. The locks are of the open file
// description (fcntl(2), F_OFD_SETLK): all who share one by fork(2), or were sent its
// descriptor, have the lock together, and the kernel undoes it with the last of their
// descriptors and mappings.
//
//   - inUse is read-locked by whoever has the segment by its name, from before it has
//     one, or from the opening on. One who opens it while it is locked for writing, to
//     be unlinked as stale, waits, and then finds it without a name.
//   - unlinking is write-locked by whoever takes the name away, from before the look
//     whether the name still is the segment's: unlink(2) goes by the name, which might
//     otherwise belong to another one by then. What is unlinked is never named again.
const (
	inUse = iota
	unlinking
	lockBytes
)

func lockFile(fd, command int, kind int16, first, n int64) error {
	l := unix.Flock_t{Type: kind, Start: first, Len: n}
	return unix.FcntlFlock(uintptr(fd), command, &l)
}

// use marks a named segment as one that a process has.
func use(fd int) error { return lockFile(fd, unix.F_OFD_SETLKW, unix.F_RDLCK, inUse, 1) }

// Unlink takes a name away, whatever has it. A segment lives on as long as it is mapped.
func Unlink(name string) error {
	err := unlink(name, awaitUnlinking)
	switch {
	case errors.Is(err, ErrOwner), errors.Is(err, ErrKind), errors.Is(err, unix.ELOOP):
		at, _ := path(name)
		err = wrapUnlink(name, unix.Unlink(at))
	}
	return err
}

// UnlinkStale is Unlink for a segment that no process has any more; unix.EBUSY: one has.
func UnlinkStale(name string) error {
	return unlink(name, func(fd int) error {
		err := lockFile(fd, unix.F_OFD_SETLK, unix.F_WRLCK, 0, lockBytes)
		if err == unix.EAGAIN || err == unix.EACCES {
			return unix.EBUSY
		}
		return err
	})
}

// Unlink takes the segment's name away, if it still has one.
func (s *Segment) Unlink() error {
	name, err := s.Name()
	if err == nil {
		err = s.unlink(name)
	}
	if errors.Is(err, ErrUnlinked) {
		return nil
	}
	return err
}

// UnlinkFile is Unlink for the segment of a descriptor, which need not be mapped.
func UnlinkFile(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("looking at a segment: %w", err)
	}
	s := Segment{FD: int32(fd), device: st.Dev, inode: st.Ino}
	return s.Unlink()
}

// unlink takes that name away, if it is the segment's.
func (s *Segment) unlink(name string) error {
	at, err := path(name)
	if err != nil {
		return wrapUnlink(name, err)
	}
	unlock, err := s.lockUnlinking()
	if err != nil {
		return wrapUnlink(name, err)
	}
	err = unlinkLocked(at, FileID{s.device, s.inode})
	unlock()
	if err == errRenamed {
		return nil
	}
	if err == nil {
		err = Sweep()
	}
	return wrapUnlink(name, err)
}

// lockUnlinking locks byte unlinking by a file description of this process's alone: FD's
// may be another's as well, which could unlink at once, and would have the lock for good
// if this one were killed. But whoever gets no other descriptor undoes by FD what he has
// done.
func (s *Segment) lockUnlinking() (unlock func(), err error) {
	fd, err := unix.Open(byDescriptor(int(s.FD)), unix.O_RDWR|unix.O_CLOEXEC, 0)
	unlock = func() { _ = unix.Close(fd) }
	if err == unix.EMFILE || err == unix.ENFILE {
		fd, err = int(s.FD), nil
		unlock = func() { _ = lockFile(fd, unix.F_OFD_SETLK, unix.F_UNLCK, unlinking, 1) }
	}
	if err != nil {
		return nil, err
	}
	if err := awaitUnlinking(fd); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

func awaitUnlinking(fd int) error {
	return lockFile(fd, unix.F_OFD_SETLKW, unix.F_WRLCK, unlinking, 1)
}

// errRenamed: another file had the name once its lock was taken.
var errRenamed = errors.New("renamed")

// unlink takes a name away from a segment once lock has locked its file. It takes its
// bell away as well, and those that others left when they were killed here.
func unlink(name string, lock func(fd int) error) error {
	at, err := path(name)
	if err != nil {
		return err
	}
	err = errRenamed
	for err == errRenamed {
		err = unlinkFile(at, lock)
	}
	if err == nil {
		err = Sweep()
	}
	return wrapUnlink(name, err)
}

func wrapUnlink(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("removing the name %q: %w", name, err)
}

func unlinkFile(at string, lock func(fd int) error) error {
	fd, err := openFile(at, unix.O_RDWR)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if !isPrivate(&st) {
		return ErrOwner
	}
	if err := lock(fd); err != nil {
		return err
	}
	return unlinkLocked(at, FileID{st.Dev, st.Ino})
}

// unlinkLocked takes the name away from a file whose byte unlinking this process has
// locked, and its bell as well. errRenamed: it is not the file's.
func unlinkLocked(at string, file FileID) error {
	fault.Here("segment locked to be unlinked")
	var st unix.Stat_t
	err := unix.Fstatat(unix.AT_FDCWD, at, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == unix.ENOENT || err == nil && (FileID{st.Dev, st.Ino}) != file {
		return errRenamed
	}
	if err == nil {
		err = unix.Unlink(at)
	}
	if err != nil {
		return err
	}
	fault.Here("segment unlinked")
	return removeBell(bellPath(file.Inode))
}

// Stale returns the names of this user's segments that no process has any more, in
// order.
func Stale() (stale []string, err error) {
	names, err := Names()
	for _, name := range names {
		if isStale(name) {
			stale = append(stale, name)
		}
	}
	return stale, err
}

// isStale changes nothing: it asks whether a lock could be had. What cannot be opened as
// a segment is not stale, but not one.
func isStale(name string) bool {
	at, err := path(name)
	if err != nil {
		return false
	}
	fd, err := openFile(at, unix.O_RDONLY)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || !isPrivate(&st) {
		return false
	}
	l := unix.Flock_t{Type: unix.F_WRLCK, Start: inUse, Len: 1}
	return unix.FcntlFlock(uintptr(fd), unix.F_OFD_GETLK, &l) == nil && l.Type == unix.F_UNLCK
}
