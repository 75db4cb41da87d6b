package core

import (
	"errors"

	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

// named is what can have a name.
type named[T any] interface {
	*T
	// takes returns the names of the options that apply.
	takes() []string
	// openNamed makes the object, or opens it, as mode says.
	openNamed(name string, mode Mode, o *options) error
}

// Create makes an object, and gives it a name by which other processes of this user can
// open it:
//
//	q, err := core.Create[core.Queue]("jobs", core.MaxItems(100))
//
// It may be a Queue, JoinableQueue, Lock, RLock, Semaphore, Event, Condition, Barrier,
// RobustLock, RobustRLock or RobustSemaphore. Nobody finds it before it is complete.
//
// The object remains, also when nobody uses it, until Unlink takes its name away, or
// the system goes down; or see UnlinkOnClose. A name is any file name, but those longer
// than some 230 bytes; all kinds of objects share them. Options: those of NewQueue and
// NewJoinableQueue, Value, Bounded, Parties, UnlinkOnClose. Errors: fs.ErrExist, if
// there is an object of that name; unix.EINVAL and unix.ENAMETOOLONG, if it is no name;
// unix.EINVAL, if an option does not apply, or has no value that is allowed, as Parties if
// it is not given.
func Create[T any, P named[T]](name string, list ...Option) (*T, error) {
	p := P(new(T))
	o, err := choose(list, append(p.takes(), "UnlinkOnClose")...)
	if err != nil {
		return nil, err
	}
	if err := p.openNamed(name, ModeCreate, &o); err != nil {
		return nil, err
	}
	return p, nil
}

// Open opens the object of that name that another process, or this one, made. With
// OrCreate it makes it if there is none, and only then do the options count that Create
// has. Errors: fs.ErrNotExist; fs.ErrPermission, if it belongs, or is accessible, to
// others; ErrKind, if it is something else; ErrLayout; with OrCreate those of Create;
// without, unix.EINVAL, if one of those options is given.
func Open[T any, P named[T]](name string, list ...Option) (*T, error) {
	p := P(new(T))
	o, err := choose(list, append(p.takes(), "UnlinkOnClose", "OrCreate")...)
	mode := ModeOpenOrCreate
	if err == nil && !o.orCreate {
		mode = ModeOpen
		_, err = choose(list)
	}
	if err != nil {
		return nil, err
	}
	if err := p.openNamed(name, mode, &o); err != nil {
		return nil, err
	}
	return p, nil
}

// Unlink takes a name away. Those who use the object go on; it goes with the last of
// them. Error: fs.ErrNotExist.
func Unlink(name string) error { return shm.Unlink(name) }

// UnlinkFile takes the name of an object away, if it still has one, and whoever may have
// got that meanwhile keeps it: UnlinkOnClose for language bindings. fd is one of the
// object's segment.
func UnlinkFile(fd int) error { return shm.UnlinkFile(fd) }

// Names returns the names of this user's objects, in order.
func Names() ([]string, error) { return shm.Names() }

// Stale returns the names of this user's objects that no process has open, in order.
// They may be meant to last; if not, a process was killed before it called Unlink.
func Stale() ([]string, error) { return shm.Stale() }

// UnlinkStale is Unlink for an object that no process has open; unix.EBUSY: one has.
func UnlinkStale(name string) error { return shm.UnlinkStale(name) }

// Mode says how an object is opened by name, for language bindings.
type Mode int

const (
	ModeOpen         Mode = iota // it must exist
	ModeCreate                   // it must not
	ModeOpenOrCreate             // one or the other, at once
)

// do makes or opens an object and reports whether it was made.
func (m Mode) do(create, open func() error) (made bool, err error) {
	for {
		if m != ModeCreate {
			if err := open(); m == ModeOpen || !errors.Is(err, unix.ENOENT) {
				return false, err
			}
		}
		// There was none a moment ago.
		err := create()
		switch {
		case errors.Is(err, shm.ErrUnlinked): // nobody has it but this process
		case m == ModeCreate || !errors.Is(err, unix.EEXIST):
			return err == nil, err
		}
	}
}
