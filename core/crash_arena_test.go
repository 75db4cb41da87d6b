//go:build crash

package core

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/arena"
	"golang.org/x/sys/unix"
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
func (s arenaScene) bury(*victim) error               { return nil }
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

// What a victim knows of a lock.
const (
	wants = 1 + iota // it may have it
	has
	frees // it may have it still
)

// dead are the dead holders of a lock or semaphore: to release on their behalf is left
// to the user, who here is the test.
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

// settle releases for one of the dead, if nobody else can have taken it.
func (d *deadHolders) settle() error {
	if d.m.Value() == 0 && d.stable.stable(d.taken.Load()) && d.unknown > 0 {
		d.unknown--
		d.stable = stability{}
		return d.m.Release()
	}
	return nil
}

// check makes sure that nobody but the dead has any of it.
func (d *deadHolders) check(limit int) error {
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
			s.m = m.m
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
		return s.m.Release()
	}
	return []func(context.Context) error{work, work}
}

func (s *semaphoreScene) bury(v *victim) error             { return s.deadHolders.bury(v) }
func (s *semaphoreScene) settled(gotOn bool) (bool, error) { return gotOn, s.settle() }
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
func (s *rlockScene) settled(gotOn bool) (bool, error) { return gotOn, s.settle() }
func (s *rlockScene) check([]*victim) error            { return s.deadHolders.check(1) }

type eventScene struct {
	arenaScene
	e *Event
}

func useEvent(e *Event, ctx context.Context) error {
	seen := e.e.Word()
	e.Clear()
	e.Set()
	return e.e.Wait(seen, within(ctx))
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
	if err := s.e.e.Wait(0, atOnce()); err != nil || !s.e.IsSet() {
		return fmt.Errorf("set, but: %v", err)
	}
	s.e.Clear()
	if err := s.e.e.Wait(s.e.e.Word(), atOnce()); err != unix.EAGAIN || s.e.IsSet() {
		return fmt.Errorf("cleared, but: %v", err)
	}
	return nil
}

// conditionScene has a producer of tokens and consumers that wait for them: no token
// may lie about while a consumer waits.
type conditionScene struct {
	arenaScene
	deadHolders
	c      *Condition
	lock   *Lock
	tokens *Semaphore // its value is changed with the lock only
	quiet  atomic.Bool
}

// inWait and hasWaited: what a consumer knows besides. In the wait it may have the
// lock; after it, it has the lock, and may have taken a notification along.
const (
	inWait = 10 + iota
	hasWaited
)

var conditions = primitive{
	sources: []string{"condition", "internal/arena/condition", "internal/arena/waiters", "internal/futex/mutex", "internal/futex/limit", "internal/arena/block"},
	fresh:   true,
	make: func(t testing.TB) scene {
		s := &conditionScene{arenaScene: makeArenaScene(t)}
		var err error
		if s.lock, err = s.a.NewLock(); err != nil {
			t.Fatal(err)
		}
		if s.tokens, err = s.a.NewSemaphore(0); err != nil {
			t.Fatal(err)
		}
		if s.c, err = s.a.NewCondition(); err != nil {
			t.Fatal(err)
		}
		s.m = s.lock.m.m
		return s
	},
	victims: map[string]func([]*os.File, *plight) error{
		"consume": onCondition(func(c *Condition, lock *Lock, tokens *Semaphore, p *plight) error {
			return consumeToken(context.Background(), c, lock, tokens, p)
		}),
		"consume in time": onCondition(func(c *Condition, lock *Lock, tokens *Semaphore, p *plight) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.N(200_000)))
			defer cancel()
			err := consumeToken(ctx, c, lock, tokens, p)
			if err == context.DeadlineExceeded {
				return nil
			}
			return err
		}),
		// Many wait, so that there have to be blocks.
		"enter": onCondition(func(c *Condition, _ *Lock, _ *Semaphore, _ *plight) error {
			var waiters []*Waiter
			for range 35 {
				w, err := c.EnterWithin(uint32(os.Getpid()), always())
				if err != nil {
					return err
				}
				waiters = append(waiters, w)
			}
			for _, w := range waiters {
				if _, err := c.Leave(w, true); err != nil {
					return err
				}
			}
			return nil
		}),
		"notify": onCondition(func(c *Condition, _ *Lock, _ *Semaphore, _ *plight) error {
			_, err := c.NotifyWithin(rand.N(5), always())
			return err
		}),
	},
}

func onCondition(work func(*Condition, *Lock, *Semaphore, *plight) error) func([]*os.File, *plight) error {
	return onArena(func(a *Arena, p *plight) error {
		lock, err := a.Lock(firstSmall)
		if err != nil {
			return err
		}
		tokens, err := a.Semaphore(secondSmall)
		if err != nil {
			return err
		}
		c, err := a.Condition(firstLarge)
		for err == nil {
			err = work(c, lock, tokens, p)
		}
		return err
	})
}

// consumeToken takes a token, waiting for it.
func consumeToken(ctx context.Context, c *Condition, lock *Lock, tokens *Semaphore, p *plight) error {
	p.state.Store(wants)
	if err := lock.Lock(context.Background()); err != nil {
		return err
	}
	p.state.Store(has)
	var err error
	for err == nil && !tokens.TryAcquire() {
		p.state.Store(inWait)
		err = c.Wait(ctx, lock)
		p.state.Store(hasWaited)
	}
	p.state.Store(frees)
	if e := lock.Unlock(); e != nil {
		return e
	}
	p.state.Store(0)
	return err
}

func (s *conditionScene) survivors() []func(context.Context) error {
	s.quiet.Store(false)
	work := []func(context.Context) error{
		func(ctx context.Context) error {
			time.Sleep(20 * time.Microsecond)
			if s.quiet.Load() || s.tokens.Value() > 3 {
				return nil
			}
			if err := s.lock.Lock(ctx); err != nil {
				return err
			}
			s.taken.Add(1)
			if err := s.tokens.Release(); err != nil {
				return err
			}
			if _, err := s.c.NotifyWithin(1, always()); err != nil {
				return err
			}
			return s.lock.Unlock()
		},
	}
	for range 3 {
		work = append(work, func(ctx context.Context) error {
			err := consumeToken(ctx, s.c, s.lock, s.tokens, new(plight))
			s.taken.Add(1)
			return err
		})
	}
	return work
}

func (s *conditionScene) bury(v *victim) error {
	switch v.plight.state.Load() {
	case inWait:
		s.unknown++
		return nil
	case hasWaited:
		if _, err := s.c.NotifyWithin(1, always()); err != nil {
			return err
		}
		return s.m.Release()
	default:
		return s.deadHolders.bury(v)
	}
}

// settled: there are no tokens any more, since consumers wait for them. No more come,
// whose notifications would stand in for those that were swallowed.
func (s *conditionScene) settled(bool) (bool, error) {
	s.quiet.Store(true)
	err := s.settle()
	return s.tokens.Value() == 0 && s.m.Value() == 1, err
}

func (s *conditionScene) check([]*victim) error {
	if err := s.deadHolders.check(1); err != nil {
		return err
	}
	if _, err := s.c.NotifyAll(); err != nil {
		return err
	}
	if n, err := s.c.Waiting(); n != 0 || err != nil {
		return fmt.Errorf("%d wait, %v", n, err)
	}
	return nil
}

type barrierScene struct {
	arenaScene
	b *Barrier
}

const parties = 3

var barriers = primitive{
	sources: []string{"internal/arena/barrier", "internal/arena/waiters", "internal/futex/mutex"},
	make: func(t testing.TB) scene {
		s := &barrierScene{arenaScene: makeArenaScene(t)}
		b, err := s.a.NewBarrier(parties)
		if err != nil {
			t.Fatal(err)
		}
		s.b = b
		return s
	},
	victims: map[string]func([]*os.File, *plight) error{
		"wait": onBarrier(func(b *Barrier) error {
			_, err := b.Wait(context.Background())
			return err
		}),
		"time out": onBarrier(func(b *Barrier) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.N(200_000)))
			defer cancel()
			_, err := b.Wait(ctx)
			if err == context.DeadlineExceeded {
				return nil
			}
			return err
		}),
		"act": onBarrier(func(b *Barrier) error {
			w, _, last, err := b.ArriveWithin(uint32(os.Getpid()), true, always())
			switch {
			case err != nil:
				return err
			case last:
				return b.Finish(w, rand.N(10) > 0)
			case rand.N(3) == 0:
				time.Sleep(time.Duration(rand.N(300_000)))
				return b.Withdraw(w)
			default:
				_, err := b.WaitWithin(w, always())
				return err
			}
		}),
		"reset": onBarrier(func(b *Barrier) error {
			time.Sleep(10 * time.Microsecond)
			if rand.N(2) == 0 {
				return b.ResetWithin(always())
			}
			return b.AbortWithin(always())
		}),
	},
}

func onBarrier(work func(*Barrier) error) func([]*os.File, *plight) error {
	return onArena(func(a *Arena, _ *plight) error {
		b, err := a.Barrier(firstLarge)
		for err == nil {
			if err = work(b); err == ErrBroken {
				err = b.ResetWithin(always())
			}
		}
		return err
	})
}

func (s *barrierScene) survivors() []func(context.Context) error {
	return slices.Repeat([]func(context.Context) error{func(ctx context.Context) error {
		_, err := s.b.Wait(ctx)
		if err == ErrBroken {
			err = s.b.ResetWithin(always())
		}
		return err
	}}, parties)
}

func (s *barrierScene) check([]*victim) error {
	if err := s.b.Reset(); err != nil {
		return err
	}
	if n, err := s.b.Waiting(); n != 0 || err != nil {
		return fmt.Errorf("%d wait, %v", n, err)
	}
	type result struct {
		index int
		err   error
	}
	results := make(chan result, parties)
	for range parties {
		go func() {
			index, err := s.b.Wait(context.Background())
			results <- result{index, err}
		}()
	}
	came := map[int]bool{}
	for range parties {
		select {
		case r := <-results:
			if r.err != nil || came[r.index] {
				return fmt.Errorf("index %d comes twice, or: %v", r.index, r.err)
			}
			came[r.index] = true
		case <-time.After(patienceOfSurvivors):
			return fmt.Errorf("%d of %d parties have passed", len(came), parties)
		}
	}
	return nil
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
