package core

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/goprocessing/goprocessing/core/internal/arena"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// member is an object of an arena.
type member struct {
	s      *Segment // nil, if this was closed
	offset uint64
	alone  bool // s is this handle's
	unlink bool // Close takes the name away
}

func memberOf(a *Arena, offset uint64) member { return member{s: a.s, offset: offset} }

// slot returns the object. It is looked up each time, so that a handle that was closed
// does not lead to memory that is no longer there.
func (m *member) slot() *arena.Slot {
	if err := m.closed(); err != nil {
		panic(err)
	}
	return arena.At(m.s, m.offset)
}

// closed returns ErrClosed if this handle, or its arena, was closed.
func (m *member) closed() error { return closed(m.s) }

// closed returns ErrClosed if the arena was closed whose segment that is.
func closed(s *Segment) error {
	if s == nil || s.Base() == nil {
		return ErrClosed
	}
	return nil
}

// Offset tells where in its arena the object is.
func (m *member) Offset() uint64 { return m.offset }

// Close releases the handle of an object that was opened by name, or inherited. Objects of
// an Arena go with that. No other method may be under way; those that are called
// afterwards return ErrClosed, or panic with it if they return no error.
func (m *member) Close() error {
	if !m.alone {
		return nil
	}
	if m.s == nil {
		return ErrClosed
	}
	var err error
	if m.unlink {
		err = m.s.Unlink()
	}
	err = errors.Join(err, m.s.Close())
	m.s = nil
	return err
}

func (m *member) pass() ([]*os.File, string, error) {
	if err := m.closed(); err != nil {
		return nil, "", err
	}
	f, err := file(int(m.s.FD), "goprocessing-arena")
	return []*os.File{f}, fmt.Sprint(m.offset), err
}

// inheritAs makes m an object of that kind.
func (m *member) inheritAs(kind uint32, fds []int, note string) error {
	offset, err := strconv.ParseUint(note, 10, 64)
	if err != nil || len(fds) != 1 {
		return errors.Join(ErrKind, closeAll(fds))
	}
	s := new(Segment)
	if err := s.Open(fds[0], shm.KindArena); err != nil {
		return errors.Join(err, closeAll(fds))
	}
	if err := arena.Check(s, offset, kind); err != nil {
		return errors.Join(err, s.Close())
	}
	*m = member{s: s, offset: offset, alone: true}
	return nil
}

// openNamed makes m the only object of an arena of that name.
func (m *member) openNamed(name string, mode Mode, o *options, kind, value, limit uint32) error {
	s := new(Segment)
	a := Arena{s}
	offset, made, err := a.openNamed(name, mode, kind, value, limit)
	if err != nil {
		return err
	}
	*m = member{s: s, offset: offset, alone: true, unlink: made && o.unlinkOnClose}
	return nil
}

// OpenNamed makes the segment that ArenaOn was given one with that name and a single
// object, whose offset it returns, for language bindings. mode says whether it makes the
// object, as NewSlot does, or opens one of that kind, which has its own value and limit.
func (a *Arena) OpenNamed(name string, mode Mode, kind, value, limit uint32) (offset uint64, err error) {
	offset, _, err = a.openNamed(name, mode, kind, value, limit)
	return offset, err
}

func (a *Arena) openNamed(name string, mode Mode, kind, value, limit uint32) (offset uint64, made bool, err error) {
	made, err = mode.do(func() error {
		value, limit, err := attributes(kind, value, limit)
		if err != nil {
			return fmt.Errorf("creating %q: %w", name, err)
		}
		if err := arena.CreateFile(a.s, kind, value, limit); err != nil {
			return err
		}
		if err := a.s.Link(name); err != nil {
			return errors.Join(err, a.s.Close())
		}
		return nil
	}, func() error {
		if err := a.s.OpenNamed(name, shm.KindArena); err != nil {
			return err
		}
		err := a.CheckSlot(arena.First(kind), kind)
		if errors.Is(err, shm.ErrBounds) { // there is none of its size
			err = ErrKind
		}
		if err != nil {
			return errors.Join(fmt.Errorf("opening %q: %w", name, err), a.s.Close())
		}
		return nil
	})
	return arena.First(kind), made, err
}
