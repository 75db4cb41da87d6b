package core

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

const racers, raced = 4, 100

func init() {
	children["race for names"] = func([]*os.File) error {
		name := os.Getenv(nameVariable)
		made, err := Open[Queue](name, OrCreate())
		if err != nil {
			return err
		}
		start, err := Open[Barrier](name+"-start", OrCreate(), Parties(racers))
		if err != nil {
			return err
		}
		if _, err := start.Wait(context.Background()); err != nil {
			return err
		}
		for i := range raced {
			if err := race(made, fmt.Sprint(name, "-", i), strconv.Itoa(i)); err != nil {
				return err
			}
		}
		return errors.Join(made.Close(), start.Close())
	}
}

// race makes a queue, unless another has, and opens it.
func race(made *Queue, name, item string) error {
	first, err := Create[JoinableQueue](name, MaxItems(77))
	if err == nil {
		err = made.TryPut([]byte(item))
	}
	if errors.Is(err, fs.ErrExist) {
		first, err = Open[JoinableQueue](name, OrCreate(), MaxItems(78))
	}
	if err != nil {
		return err
	}
	second, err := Open[JoinableQueue](name)
	if err != nil {
		return err
	}
	if first.MaxItems() != 77 || second.MaxItems() != 77 {
		return fmt.Errorf("queues of %d and %d items", first.MaxItems(), second.MaxItems())
	}
	_, err = second.Watch()
	return errors.Join(err, first.Close(), second.Close())
}

// Of those who make an object at once one does, and all have that.
func TestRaceForNames(t *testing.T) {
	name := newName(t)
	t.Cleanup(func() {
		if err := Unlink(name + "-start"); err != nil {
			t.Error(err)
		}
		for i := range raced {
			if err := Unlink(fmt.Sprint(name, "-", i)); err != nil {
				t.Error(err)
			}
		}
	})
	for range racers {
		cmd := startNamed(t, "race for names", name)
		defer func() {
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		}()
	}
	made := opened[*Queue](t)(Open[Queue](name, OrCreate()))
	seen := map[string]bool{}
	for range raced {
		item, err := made.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if seen[string(item)] {
			t.Errorf("%s was made twice", item)
		}
		seen[string(item)] = true
	}
}

// Nobody opens what is half made.
func TestOpenWhileMade(t *testing.T) {
	name := newName(t)
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 3 {
		group.Go(func() {
			for ctx.Err() == nil {
				b, err := Open[Barrier](name)
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if b.Parties() != 3 {
					t.Errorf("a barrier of %d", b.Parties())
				}
				if err := b.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 500 {
		b, err := Create[Barrier](name, Parties(3))
		if err != nil {
			t.Error(err)
			break
		}
		if err := errors.Join(Unlink(name), b.Close()); err != nil {
			t.Error(err)
			break
		}
	}
	cancel()
	group.Wait()
}

// What somebody uses keeps its name, however often others unlink what is stale.
func TestUnlinkStaleWhileOpened(t *testing.T) {
	name := newName(t)
	var group sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	group.Go(func() {
		for ctx.Err() == nil {
			err := UnlinkStale(name)
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EBUSY) {
				t.Error(err)
				return
			}
		}
	})
	for range 500 {
		q, err := Open[Queue](name, OrCreate())
		if err != nil {
			t.Error(err)
			break
		}
		other, err := Open[Queue](name)
		if err != nil {
			t.Error(err)
			break
		}
		if err := other.TryPut(nil); err != nil {
			t.Error(err)
		}
		if q.Len() == 0 {
			t.Error("the name was another queue's")
		}
		if err := errors.Join(q.Close(), other.Close()); err != nil {
			t.Error(err)
			break
		}
	}
	cancel()
	group.Wait()
}
