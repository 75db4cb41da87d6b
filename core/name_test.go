package core

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// newName returns a name that is free after the test again.
func newName(t testing.TB) string {
	t.Helper()
	name := strings.ReplaceAll(fmt.Sprint("test-", os.Getpid(), "-", t.Name()), "/", "-")
	t.Cleanup(func() {
		if err := Unlink(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	})
	return name
}

// opened returns what Create and Open return, to be closed when the test ends.
func opened[T interface{ Close() error }](t testing.TB) func(T, error) T {
	return func(object T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = object.Close() })
		return object
	}
}

func TestCreateAndOpen(t *testing.T) {
	name := newName(t)
	if _, err := Open[Queue](name); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("opened before it was made: %v", err)
	}
	q := opened[*Queue](t)(Create[Queue](name, MaxItems(3)))
	if _, err := Create[Queue](name); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	other := opened[*Queue](t)(Open[Queue](name))
	third := opened[*Queue](t)(Open[Queue](name, OrCreate(), MaxItems(7)))
	if got := third.MaxItems(); got != 3 {
		t.Errorf("a queue of %d items was opened as one of %d", 3, got)
	}
	if err := q.Put(t.Context(), []byte("item")); err != nil {
		t.Fatal(err)
	}
	if item, err := other.TryGet(); err != nil || string(item) != "item" {
		t.Errorf("got %q, %v", item, err)
	}
	if names, err := Names(); err != nil || !slices.Contains(names, name) {
		t.Errorf("%q, %v", names, err)
	}
	if err := Unlink(name); err != nil {
		t.Fatal(err)
	}
	if err := Unlink(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unlinked twice: %v", err)
	}
	// Those who use it go on.
	if err := third.Put(t.Context(), []byte("another")); err != nil {
		t.Fatal(err)
	}
	if item, err := q.TryGet(); err != nil || string(item) != "another" {
		t.Errorf("got %q, %v", item, err)
	}
	again := opened[*Queue](t)(Open[Queue](name, OrCreate()))
	if again.MaxItems() != 0 {
		t.Error("the name is still the old queue's")
	}
}

// eachKind calls test with functions that make and open an object of each kind.
func eachKind(t *testing.T, test func(t *testing.T, open func(name string, mode Mode) (object, error))) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { test(t, k.open) })
	}
}

type object interface{ Close() error }

var kinds = []struct {
	name string
	open func(name string, mode Mode) (object, error)
}{
	{"Queue", opener[Queue](MaxItems(5))},
	{"JoinableQueue", opener[JoinableQueue](MaxItems(5), Redeliver())},
	{"Lock", opener[Lock]()},
	{"RLock", opener[RLock]()},
	{"Semaphore", opener[Semaphore](Value(3))},
	{"bounded Semaphore", opener[Semaphore](Value(3), Bounded())},
	{"Event", opener[Event]()},
	{"Condition", opener[Condition]()},
	{"Barrier", opener[Barrier](Parties(2))},
	{"RobustLock", opener[RobustLock]()},
	{"RobustRLock", opener[RobustRLock]()},
	{"RobustSemaphore", opener[RobustSemaphore](Value(200))},
}

func opener[T any, P interface {
	named[T]
	object
}](list ...Option) func(name string, mode Mode) (object, error) {
	return func(name string, mode Mode) (object, error) {
		var p P
		var err error
		switch mode {
		case ModeCreate:
			p, err = Create[T, P](name, list...)
		case ModeOpen:
			p, err = Open[T, P](name)
		default:
			p, err = Open[T, P](name, append(list, OrCreate())...)
		}
		return p, err
	}
}

func TestEachKindByName(t *testing.T) {
	eachKind(t, func(t *testing.T, open func(string, Mode) (object, error)) {
		name := newName(t)
		if _, err := open(name, ModeOpen); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("opened before it was made: %v", err)
		}
		opened[object](t)(open(name, ModeOpenOrCreate))
		if _, err := open(name, ModeCreate); !errors.Is(err, fs.ErrExist) {
			t.Errorf("made twice: %v", err)
		}
		o, err := open(name, ModeOpen)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
		opened[object](t)(open(name, ModeOpenOrCreate))
	})
}

// Whatever is opened as something else says so, and stays as it is.
func TestOpenAsAnotherKind(t *testing.T) {
	same := func(made, as string) bool {
		return made == as || made == "JoinableQueue" && as == "Queue" ||
			strings.HasSuffix(made, "Semaphore") && strings.HasSuffix(as, "Semaphore") && (made == "RobustSemaphore") == (as == "RobustSemaphore") ||
			made == "Lock" && (as == "Semaphore" || as == "bounded Semaphore")
	}
	for _, made := range kinds {
		t.Run(made.name, func(t *testing.T) {
			name := newName(t)
			opened[object](t)(made.open(name, ModeCreate))
			for _, as := range kinds {
				o, err := as.open(name, ModeOpenOrCreate)
				if same(made.name, as.name) {
					opened[object](t)(o, err)
				} else if !errors.Is(err, ErrKind) {
					t.Errorf("opened as %s: %v", as.name, err)
				}
			}
		})
	}
}

func TestOptionsOfNamed(t *testing.T) {
	for what, open := range map[string]func(name string) error{
		"Open with an attribute": func(name string) error { _, err := Open[Queue](name, MaxItems(3)); return err },
		"Create with OrCreate":   func(name string) error { _, err := Create[Queue](name, OrCreate()); return err },
		"a lock with a value":    func(name string) error { _, err := Create[Lock](name, Value(3)); return err },
		"a barrier for nobody":   func(name string) error { _, err := Create[Barrier](name); return err },
		"too large a semaphore":  func(name string) error { _, err := Create[Semaphore](name, Value(1<<31)); return err },
		"NewQueue with a name's": func(string) error { _, err := NewQueue(UnlinkOnClose()); return err },
	} {
		name := newName(t)
		if err := open(name); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v", what, err)
		}
		if err := Unlink(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: left something: %v", what, err)
		}
	}
}

func TestAttributesByName(t *testing.T) {
	m := opened[*Semaphore](t)(Create[Semaphore](newName(t), Value(3), Bounded()))
	if m.Value() != 3 || m.Release() != ErrReleased {
		t.Error("no semaphore bounded by 3")
	}
	name := newName(t) + "2"
	t.Cleanup(func() { _ = Unlink(name) })
	b := opened[*Barrier](t)(Create[Barrier](name, Parties(1)))
	if _, err := b.Wait(t.Context()); err != nil || b.Parties() != 1 {
		t.Error("no barrier for one:", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := b.Close(); err != ErrClosed {
		t.Errorf("closed twice: %v", err)
	}
}

func TestUnlinkOnClose(t *testing.T) {
	name := newName(t)
	maker, err := Open[Queue](name, OrCreate(), UnlinkOnClose())
	if err != nil {
		t.Fatal(err)
	}
	// Not this one's to unlink, for it has not made it.
	user, err := Open[Queue](name, OrCreate(), UnlinkOnClose())
	if err != nil {
		t.Fatal(err)
	}
	if err := user.Close(); err != nil {
		t.Fatal(err)
	}
	user = opened[*Queue](t)(Open[Queue](name))
	if err := maker.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open[Queue](name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
	if err := user.Put(context.Background(), []byte("item")); err != nil {
		t.Error(err)
	}
}

// Another object that has got the name meanwhile is left alone.
func TestUnlinkOnCloseOfAnother(t *testing.T) {
	name := newName(t)
	lock, err := Create[Lock](name, UnlinkOnClose())
	if err != nil {
		t.Fatal(err)
	}
	if err := Unlink(name); err != nil {
		t.Fatal(err)
	}
	opened[*Event](t)(Create[Event](name))
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	opened[*Event](t)(Open[Event](name))
}

func TestStale(t *testing.T) {
	eachKind(t, func(t *testing.T, open func(string, Mode) (object, error)) {
		name := newName(t)
		o := opened[object](t)(open(name, ModeCreate))
		if names, err := Stale(); err != nil || slices.Contains(names, name) {
			t.Errorf("stale, though open: %q, %v", names, err)
		}
		if err := UnlinkStale(name); !errors.Is(err, unix.EBUSY) {
			t.Errorf("unlinked as stale, though open: %v", err)
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		if names, err := Stale(); err != nil || !slices.Contains(names, name) {
			t.Errorf("not stale, though closed: %q, %v", names, err)
		}
		if err := UnlinkStale(name); err != nil {
			t.Error(err)
		}
		if _, err := open(name, ModeOpen); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("still there: %v", err)
		}
	})
}

// The FIFO is empty when everybody has closed the queue; its items are still there.
func TestWatchByName(t *testing.T) {
	name := newName(t)
	q, err := Create[JoinableQueue](name)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Open[JoinableQueue](name)
	if err != nil {
		t.Fatal(err)
	}
	readable := watched(t, other)
	if readable() {
		t.Error("readable, though empty")
	}
	if err := q.TryPut([]byte("item")); err != nil {
		t.Fatal(err)
	}
	if !readable() {
		t.Error("not readable")
	}
	if err := errors.Join(q.Close(), other.Close()); err != nil {
		t.Fatal(err)
	}
	q = opened[*JoinableQueue](t)(Open[JoinableQueue](name))
	other = opened[*JoinableQueue](t)(Open[JoinableQueue](name))
	readable, there := watched(t, q), watched(t, other)
	if !readable() || !there() {
		t.Error("not readable when opened again")
	}
	if _, err := other.TryGet(); err != nil {
		t.Fatal(err)
	}
	if readable() || there() {
		t.Error("readable, though empty again")
	}
	if err := q.TryPut(nil); err != nil {
		t.Fatal(err)
	}
	if !readable() || !there() {
		t.Error("not readable again")
	}
}

// Rung by many who were killed then, the bell is full, and is silenced all the same.
func TestFullBell(t *testing.T) {
	q := opened[*JoinableQueue](t)(Create[JoinableQueue](newName(t)))
	readable := watched(t, q)
	b := q.ringer()
	for range 20_000 { // a FIFO has 64 KiB
		if err := b.Ring(); err != nil {
			t.Fatal(err)
		}
	}
	if !readable() {
		t.Error("not readable")
	}
	if err := b.Silence(); err != nil {
		t.Fatal(err)
	}
	if readable() {
		t.Error("readable")
	}
}

// Without descriptors nothing is made, and nothing is left.
func TestCreateWithoutDescriptors(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	within := func(n uint64, open func() error) error {
		few := unix.Rlimit{Cur: n, Max: limit.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
				t.Fatal(err)
			}
		}()
		return open()
	}
	eachKind(t, func(t *testing.T, open func(string, Mode) (object, error)) {
		name := newName(t)
		before := len(descriptors())
		failures := 0
		for n := uint64(3); ; n++ {
			var o object
			err := within(n, func() (err error) {
				o, err = open(name, ModeCreate)
				return err
			})
			if err == nil {
				t.Cleanup(func() { _ = o.Close() })
				break
			}
			if !errors.Is(err, unix.EMFILE) {
				t.Fatalf("with %d descriptors: %v", n, err)
			}
			failures++
			if names, err := Names(); err != nil || slices.Contains(names, name) {
				t.Fatalf("with %d descriptors: the name is left, %v", n, err)
			}
			if now := len(descriptors()); now != before {
				t.Fatalf("with %d descriptors: %d are open, and were %d", n, now, before)
			}
		}
		if failures == 0 {
			t.Error("no descriptor was needed")
		}
	})
}
