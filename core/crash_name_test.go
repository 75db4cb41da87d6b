//go:build crash

package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// nameScene is a scene of a queue and a pipe that are opened by name, by processes that
// have nothing else in common.
type nameScene struct{ queue, pipe string }

// namesOf returns the names that the test of that pid uses.
func namesOf(pid int) nameScene {
	name := "crash-" + strconv.Itoa(pid)
	return nameScene{name, name + "-pipe"}
}

var names = primitive{
	sources: []string{"internal/shm/name", "internal/shm/unlink", "internal/shm/bell", "internal/socket/listener", "internal/stream/doorbell", "rendezvous"},
	make:    func(testing.TB) scene { return namesOf(os.Getpid()) },
	victims: map[string]func([]*os.File, *plight) error{
		"use":    onNames(nameScene.use),
		"create": onNames(nameScene.create),
		"unlink": onNames(func(s nameScene) error { return unlinked(Unlink(s.queue)) }),
		"meet":   onNames(func(s nameScene) error { return s.meet(context.Background()) }),
	},
	plots: [][]fate{
		{{"create", "segment unlinked"}, {"create", "bell swept away"}},
		{{"use", "doorbell settled"}, {"use", "doorbell listened to"}},
	},
}

func onNames(work func(nameScene) error) func([]*os.File, *plight) error {
	return func([]*os.File, *plight) error {
		s := namesOf(os.Getppid())
		for {
			if err := work(s); err != nil {
				return err
			}
		}
	}
}

// use leaves one item, or a few, in the queue, and the bell rung.
func (s nameScene) use() error {
	q, err := Open[Queue](s.queue, OrCreate())
	if err != nil {
		return err
	}
	if _, err := q.Watch(); err != nil {
		return err
	}
	if err := q.TryPut([]byte("item")); err != nil {
		return err
	}
	for q.Len() > 1 {
		if _, err := q.TryGet(); err != nil && err != ErrEmpty {
			return err
		}
	}
	return q.Close()
}

func (s nameScene) create() error {
	q, err := Create[Queue](s.queue, UnlinkOnClose())
	if errors.Is(err, fs.ErrExist) {
		return unlinked(Unlink(s.queue))
	}
	if err != nil {
		return err
	}
	return q.Close()
}

// unlinked is the error for a name that was to be taken away, which others may have done.
func unlinked(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// meet exchanges a message with whoever comes, and may die.
func (s nameScene) meet(ctx context.Context) error {
	c, err := OpenPipe(ctx, s.pipe)
	if err != nil {
		return err
	}
	err = c.Send(ctx, []byte("hello"))
	if err == nil {
		var msg []byte
		if msg, err = c.Recv(ctx); err == nil && string(msg) != "hello" {
			err = fmt.Errorf("received %q", msg)
		}
	}
	if err == io.EOF || Errno(err) == unix.EPIPE {
		err = nil
	}
	return errors.Join(err, c.Close())
}

func (s nameScene) files() []*os.File { return nil }

func (s nameScene) survivors() []func(context.Context) error {
	return []func(context.Context) error{
		func(context.Context) error { return s.use() },
		func(context.Context) error { return s.create() },
		s.meet,
		s.meet,
	}
}

func (s nameScene) bury(*victim, bool) error         { return nil }
func (s nameScene) settled(gotOn bool) (bool, error) { return gotOn, nil }

// check makes sure that the names can be taken away, and had again.
func (s nameScene) check([]*victim) error {
	for _, name := range []string{s.queue, s.pipe} {
		if err := unlinked(Unlink(name)); err != nil {
			return err
		}
		q, err := Create[Queue](name)
		if err != nil {
			return err
		}
		if err := errors.Join(Unlink(name), q.Close()); err != nil {
			return err
		}
	}
	all, err := Names()
	if err == nil && (slices.Contains(all, s.queue) || slices.Contains(all, s.pipe)) {
		err = errors.New("a name is still there")
	}
	return err
}

func (s nameScene) close() {}
