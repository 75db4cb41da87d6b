//go:build crash

package core

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/arena"
	"golang.org/x/sys/unix"
)

// What a victim knows of a lock.
const (
	wants = 1 + iota // it may have it
	has
	frees // it may have it still
)

// deadHolders are those who died with a lock or semaphore: to release on their behalf is
// left to the user, who here is the test.
type deadHolders struct {
	m       *arena.Semaphore
	unknown int           // that may have held it
	taken   atomic.Uint64 // how often a survivor took it
	stable  stability
}

func (d *deadHolders) bury(v *victim) error {
	switch v.plight.state.Load() {
	case has:
		return d.m.Release()
	case wants, frees:
		d.unknown++
	}
	return nil
}

// settled: what the dead have may keep the others waiting, until check.
func (d *deadHolders) settled(gotOn bool) (bool, error) {
	return gotOn || d.unknown > 0 && d.stable.stable(d.taken.Load(), quietly), nil
}

// check makes sure that nobody but the dead has any of it.
func (d *deadHolders) check(limit int) error {
	d.stable = stability{}
	for ; d.m.Value() < limit; d.unknown-- {
		if d.unknown == 0 {
			return fmt.Errorf("value %d of %d, and nobody has it", d.m.Value(), limit)
		}
		if err := d.m.Release(); err != nil {
			return err
		}
	}
	d.unknown = 0
	if err := d.m.Release(); err != unix.EOVERFLOW {
		return fmt.Errorf("released too often: %v", err)
	}
	return nil
}

type semaphoreScene struct {
	arenaScene
	deadHolders
	limit  int
	inside atomic.Int64
}

func semaphores(limit uint32) primitive {
	return primitive{
		sources: []string{"internal/arena/semaphore", "internal/futex/limit"},
		make: func(t testing.TB) scene {
			s := &semaphoreScene{arenaScene: makeArenaScene(t), limit: int(limit)}
			m, err := s.a.NewBoundedSemaphore(limit)
			if err != nil {
				t.Fatal(err)
			}
			s.m = m.at()
			return s
		},
		victims: map[string]func([]*os.File, *plight) error{
			"acquire": onArena(func(a *Arena, p *plight) error {
				m, err := a.Semaphore(firstSmall)
				if err != nil {
					return err
				}
				for {
					p.state.Store(wants)
					if err := m.Acquire(context.Background()); err != nil {
						return err
					}
					p.state.Store(has)
					time.Sleep(time.Duration(rand.N(100_000)))
					p.state.Store(frees)
					if err := m.Release(); err != nil {
						return err
					}
					p.state.Store(0)
				}
			}),
		},
	}
}

func (s *semaphoreScene) survivors() []func(context.Context) error {
	work := func(ctx context.Context) error {
		if err := s.m.Acquire(within(ctx)); err != nil {
			return err
		}
		s.taken.Add(1)
		if n := s.inside.Add(1); n > int64(s.limit) {
			return fmt.Errorf("%d are inside", n)
		}
		s.inside.Add(-1)
		if s.m.Acquire(atOnce()) == nil {
			// Two at once, for one sleeper to leave the second to the next.
			if err := s.m.Release(); err != nil {
				return err
			}
		}
		return s.m.Release()
	}
	return []func(context.Context) error{work, work}
}

func (s *semaphoreScene) bury(v *victim) error             { return s.deadHolders.bury(v) }
func (s *semaphoreScene) settled(gotOn bool) (bool, error) { return s.deadHolders.settled(gotOn) }
func (s *semaphoreScene) check([]*victim) error            { return s.deadHolders.check(s.limit) }

type rlockScene struct {
	arenaScene
	deadHolders
	k *RLock
}

var rlocks = primitive{
	sources: []string{"internal/arena/rlock", "internal/arena/semaphore"},
	make: func(t testing.TB) scene {
		s := &rlockScene{arenaScene: makeArenaScene(t)}
		k, err := s.a.NewRLock()
		if err != nil {
			t.Fatal(err)
		}
		s.k = k
		s.m = (*arena.Semaphore)(arena.At(s.a.s, firstSmall))
		return s
	},
	victims: map[string]func([]*os.File, *plight) error{
		"acquire": onArena(func(a *Arena, p *plight) error {
			k, err := a.RLock(firstSmall)
			if err != nil {
				return err
			}
			me := uint64(os.Getpid())
			for depth := 1; ; depth = depth%3 + 1 {
				for range depth {
					p.state.Store(max(wants, p.state.Load()))
					if err := k.Lock(context.Background(), me); err != nil {
						return err
					}
					p.state.Store(has)
				}
				for left := range depth {
					if left == depth-1 {
						p.state.Store(frees)
					}
					if err := k.Unlock(me); err != nil {
						return err
					}
				}
				p.state.Store(0)
			}
		}),
	},
}

func (s *rlockScene) survivors() (work []func(context.Context) error) {
	for me := uint64(1) << 40; me < 1<<40+2; me++ {
		work = append(work, func(ctx context.Context) error {
			for range 2 {
				if err := s.k.Lock(ctx, me); err != nil {
					return err
				}
			}
			s.taken.Add(1)
			if owner, depth := s.k.Owner(); owner != me || depth != 2 {
				return fmt.Errorf("%x has it %d times", owner, depth)
			}
			if err := s.k.Unlock(me); err != nil {
				return err
			}
			return s.k.Unlock(me)
		})
	}
	return work
}

func (s *rlockScene) bury(v *victim) error             { return s.deadHolders.bury(v) }
func (s *rlockScene) settled(gotOn bool) (bool, error) { return s.deadHolders.settled(gotOn) }
func (s *rlockScene) check([]*victim) error            { return s.deadHolders.check(1) }
