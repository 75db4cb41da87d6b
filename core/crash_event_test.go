//go:build crash

package core

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

type eventScene struct {
	arenaScene
	e *Event
}

func useEvent(e *Event, ctx context.Context) error {
	seen := e.at().Word()
	e.Clear()
	e.Set()
	return e.at().Wait(seen, within(ctx))
}

var events = primitive{
	sources: []string{"internal/arena/event", "internal/futex/limit"},
	make: func(t testing.TB) scene {
		s := &eventScene{arenaScene: makeArenaScene(t)}
		e, err := s.a.NewEvent()
		if err != nil {
			t.Fatal(err)
		}
		s.e = e
		return s
	},
	victims: map[string]func([]*os.File, *plight) error{
		"set and clear": onEvent(func(e *Event) error { return useEvent(e, context.Background()) }),
		"wait":          onEvent(func(e *Event) error { return e.Wait(context.Background()) }),
	},
}

func onEvent(work func(*Event) error) func([]*os.File, *plight) error {
	return onArena(func(a *Arena, _ *plight) error {
		e, err := a.Event(firstSmall)
		for err == nil {
			err = work(e)
		}
		return err
	})
}

func (s *eventScene) survivors() []func(context.Context) error {
	return []func(context.Context) error{
		func(ctx context.Context) error {
			time.Sleep(100 * time.Microsecond)
			return useEvent(s.e, ctx)
		},
		func(ctx context.Context) error { return s.e.Wait(ctx) },
		func(ctx context.Context) error { return s.e.Wait(ctx) },
	}
}

func (s *eventScene) check([]*victim) error {
	s.e.Set()
	if err := s.e.at().Wait(0, atOnce()); err != nil || !s.e.IsSet() {
		return fmt.Errorf("set, but: %v", err)
	}
	s.e.Clear()
	if err := s.e.at().Wait(s.e.at().Word(), atOnce()); err != unix.EAGAIN || s.e.IsSet() {
		return fmt.Errorf("cleared, but: %v", err)
	}
	return nil
}
