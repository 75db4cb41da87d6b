//go:build crash

package core

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/arena"
	"golang.org/x/sys/unix"
)

// What a victim knows of a lock, or of a permit.
const (
	wants = 1 + iota // it may have it
	has
	frees // it may have it still
)

// In plight.words: the permits that a victim has besides, and whether it may have another.
const (
	surplus = iota
	oneMore
)

// deadHolders are those who died with a lock or semaphore: to release on their behalf is
// left to the user, who here is the test.
type deadHolders struct {
	m       *arena.Semaphore
	limit   int
	unknown int           // that may have held it
	taken   atomic.Uint64 // how often a survivor took it
	stable  stability
}

func (d *deadHolders) bury(v *victim, alone bool) error {
	for range v.plight.words[surplus].Load() {
		if err := d.m.Release(); err != nil {
			return err
		}
	}
	d.unknown += int(v.plight.words[oneMore].Load())
	switch v.plight.state.Load() {
	case 0:
	case has:
		if err := d.m.Release(); err != nil {
			return err
		}
	default:
		d.unknown++
	}
	if alone {
		return d.release()
	}
	return nil
}

// settled: what the dead have may keep the others waiting, until check.
func (d *deadHolders) settled(gotOn bool) (bool, error) {
	waits := d.unknown > 0 && d.m.Value() == 0
	return gotOn || waits && d.stable.stable(d.taken.Load(), 20*time.Millisecond), nil
}

// release releases what the dead have, when nobody is at work.
func (d *deadHolders) release() error {
	for ; d.m.Value() < d.limit; d.unknown-- {
		if d.unknown == 0 {
			return fmt.Errorf("value %d of %d, and nobody has it", d.m.Value(), d.limit)
		}
		if err := d.m.Release(); err != nil {
			return err
		}
	}
	d.unknown = 0
	return nil
}

// check makes sure that nobody but the dead has any of it.
func (d *deadHolders) check([]*victim) error {
	d.stable = stability{}
	if err := d.release(); err != nil {
		return err
	}
	if err := d.m.Release(); err != unix.EOVERFLOW {
		return fmt.Errorf("released too often: %v", err)
	}
	return nil
}

// stability tells that a value has not changed for a while.
type stability struct {
	value uint64
	since time.Time
}

func (s *stability) stable(value uint64, period time.Duration) bool {
	if value != s.value || s.since.IsZero() {
		*s = stability{value, time.Now()}
	}
	return time.Since(s.since) > period
}

type semaphoreScene struct {
	arenaScene
	deadHolders
	inside atomic.Int64
}

func semaphores(limit uint32) primitive {
	return primitive{
		sources: []string{"internal/arena/semaphore", "internal/futex/limit"},
		make: func(t testing.TB) scene {
			s := &semaphoreScene{arenaScene: makeArenaScene(t)}
			m, err := s.a.NewBoundedSemaphore(limit)
			if err != nil {
				t.Fatal(err)
			}
			s.deadHolders = deadHolders{m: m.at(), limit: int(limit)}
			return s
		},
		victims: map[string]func([]*os.File, *plight) error{
			"acquire": onArena(func(a *Arena, p *plight) error {
				return acquireAlways(a, p, 0)
			}),
			// So that one who slept finds more than it takes.
			"acquire more": onArena(func(a *Arena, p *plight) error {
				return acquireAlways(a, p, limit-1)
			}),
		},
	}
}

// acquireAlways acquires a permit, and besides so many more as it gets at once.
func acquireAlways(a *Arena, p *plight, besides uint32) error {
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
		p.words[oneMore].Store(1)
		for range besides {
			if m.TryAcquire() {
				p.words[surplus].Add(1)
			}
		}
		p.words[oneMore].Store(0)
		time.Sleep(time.Duration(rand.N(100_000)))
		p.words[oneMore].Store(1)
		for p.words[surplus].Load() > 0 {
			p.words[surplus].Add(^uint64(0))
			if err := m.Release(); err != nil {
				return err
			}
		}
		p.words[oneMore].Store(0)
		p.state.Store(frees)
		if err := m.Release(); err != nil {
			return err
		}
		p.state.Store(0)
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

func (s *semaphoreScene) bury(v *victim, alone bool) error { return s.deadHolders.bury(v, alone) }
func (s *semaphoreScene) settled(gotOn bool) (bool, error) { return s.deadHolders.settled(gotOn) }
func (s *semaphoreScene) check(dead []*victim) error       { return s.deadHolders.check(dead) }

type rlockScene struct {
	arenaScene
	deadHolders
	k *RLock
}

var rlocks = primitive{
	sources: []string{"internal/arena/rlock", "internal/arena/semaphore", "internal/arena/repair"},
	make: func(t testing.TB) scene {
		s := &rlockScene{arenaScene: makeArenaScene(t)}
		k, err := s.a.NewRLock()
		if err != nil {
			t.Fatal(err)
		}
		s.k = k
		s.deadHolders = deadHolders{m: (*arena.Semaphore)(arena.At(s.a.s, firstSmall)), limit: 1}
		return s
	},
	victims: map[string]func([]*os.File, *plight) error{
		// As one who knows that the thread has died which has the lock.
		"free": onArena(func(a *Arena, p *plight) error {
			k, err := a.RLock(firstSmall)
			if err != nil {
				return err
			}
			me := NewOwner()
			for {
				p.state.Store(wants)
				if err := k.Lock(context.Background(), me); err != nil {
					return err
				}
				p.state.Store(frees)
				if !arena.FreeLock(a.s, firstSmall, uint32(me>>32), uint32(me)) {
					return errors.New("somebody else has freed the lock")
				}
				p.state.Store(0)
			}
		}),
		"acquire": onArena(func(a *Arena, p *plight) error {
			k, err := a.RLock(firstSmall)
			if err != nil {
				return err
			}
			me := NewOwner()
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
	for range 2 {
		me := NewOwner()
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

func (s *rlockScene) bury(v *victim, alone bool) error { return s.deadHolders.bury(v, alone) }
func (s *rlockScene) settled(gotOn bool) (bool, error) { return s.deadHolders.settled(gotOn) }
func (s *rlockScene) check(dead []*victim) error       { return s.deadHolders.check(dead) }
