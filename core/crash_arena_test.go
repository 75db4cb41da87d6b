//go:build crash

package core

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/goprocessing/goprocessing/core/internal/arena"
)

// Objects of the arenas of these tests are made in this order.
const (
	firstSmall  = 1024
	secondSmall = firstSmall + arena.SlotSize
	firstLarge  = 64 << 10
)

// arenaScene is a scene of objects in an arena.
type arenaScene struct {
	a    *Arena
	file *os.File
}

func makeArenaScene(t testing.TB) arenaScene {
	a, err := NewArena()
	if err != nil {
		t.Fatal(err)
	}
	f, err := a.File()
	if err != nil {
		t.Fatal(err)
	}
	return arenaScene{a, f}
}

func (s arenaScene) files() []*os.File                { return []*os.File{s.file} }
func (s arenaScene) bury(*victim, bool) error         { return nil }
func (s arenaScene) settled(gotOn bool) (bool, error) { return gotOn, nil }

func (s arenaScene) close() {
	if err := s.file.Close(); err != nil {
		panic(err)
	}
	if err := s.a.Close(); err != nil {
		panic(err)
	}
}

func onArena(work func(*Arena, *plight) error) func([]*os.File, *plight) error {
	return func(files []*os.File, p *plight) error {
		a, err := OpenArena(files[0])
		if err != nil {
			return err
		}
		return work(a, p)
	}
}

// arenaAlloc is a scene of an arena in which objects are made and freed. They are the
// business of the process that made the arena; so here each process is to be able to
// go on as if it were that one.
type arenaAlloc struct{ arenaScene }

var arenas = primitive{
	sources: []string{"internal/arena/arena", "internal/arena/block", "internal/futex/mutex"},
	fresh:   true,
	make:    func(t testing.TB) scene { return arenaAlloc{makeArenaScene(t)} },
	victims: map[string]func([]*os.File, *plight) error{
		"make and free": onArena(func(a *Arena, _ *plight) error {
			for {
				if err := makeAndFree(a); err != nil {
					return err
				}
			}
		}),
	},
}

func makeAndFree(a *Arena) error {
	var offsets []uint64
	for range 20 {
		m, err := a.NewSemaphore(7)
		if err != nil {
			return err
		}
		if m.Value() != 7 || m.TryAcquire() != true {
			return fmt.Errorf("a new semaphore has value %d", m.Value())
		}
		offsets = append(offsets, m.Offset())
	}
	for range 2 {
		c, err := a.NewCondition()
		if err != nil {
			return err
		}
		for n := range 200 {
			if _, err := c.EnterWithin(0, always()); err != nil {
				return err
			}
			if got, err := c.Waiting(); got != n+1 || err != nil {
				return fmt.Errorf("%d wait instead of %d, %v", got, n+1, err)
			}
		}
		offsets = append(offsets, c.Offset())
	}
	for _, offset := range offsets {
		if err := a.FreeSlot(offset); err != nil {
			return err
		}
	}
	return nil
}

func (s arenaAlloc) survivors() []func(context.Context) error {
	return []func(context.Context) error{func(context.Context) error { return makeAndFree(s.a) }}
}

func (s arenaAlloc) check([]*victim) error { return makeAndFree(s.a) }
