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
)

// conditionScene has a producer of tokens and consumers that wait for them: no token
// may lie about while a consumer waits.
type conditionScene struct {
	arenaScene
	deadHolders
	c      *Condition
	lock   *Lock
	tokens *Semaphore // its value is changed with the lock only
	quiet  atomic.Bool
	alive  [4]atomic.Uint64 // the survivors' states
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
		s.deadHolders = deadHolders{m: s.lock.at(), limit: 1}
		return s
	},
	victims: map[string]func([]*os.File, *plight) error{
		"consume": onCondition(func(c *Condition, lock *Lock, tokens *Semaphore, p *plight) error {
			return consumeToken(context.Background(), c, lock, tokens, &p.state)
		}),
		"consume in time": onCondition(func(c *Condition, lock *Lock, tokens *Semaphore, p *plight) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.N(200_000)))
			defer cancel()
			err := consumeToken(ctx, c, lock, tokens, &p.state)
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
func consumeToken(ctx context.Context, c *Condition, lock *Lock, tokens *Semaphore, state *atomic.Uint64) error {
	state.Store(wants)
	if err := lock.Lock(context.Background()); err != nil {
		return err
	}
	state.Store(has)
	var err error
	for err == nil && !tokens.TryAcquire() {
		state.Store(inWait)
		err = c.Wait(ctx, lock)
		state.Store(hasWaited)
	}
	state.Store(frees)
	if e := lock.Unlock(); e != nil {
		return e
	}
	state.Store(0)
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
			s.alive[0].Store(has)
			defer s.alive[0].Store(0)
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
	for i := range s.alive[1:] {
		work = append(work, func(ctx context.Context) error {
			err := consumeToken(ctx, s.c, s.lock, s.tokens, &s.alive[1+i])
			s.taken.Add(1)
			return err
		})
	}
	return work
}

func (s *conditionScene) bury(v *victim, alone bool) error {
	state := v.plight.state.Load()
	if state == hasWaited {
		if _, err := s.c.NotifyWithin(1, always()); err != nil {
			return err
		}
	}
	switch {
	case arena.FreeLock(s.a.s, firstSmall, uint32(v.cmd.Process.Pid), 0):
		return nil
	case state == has, state == hasWaited:
		return errors.New("the lock does not say who has it")
	}
	return s.deadHolders.bury(v, alone)
}

// settled: there are no tokens any more, since consumers wait for them. No more come,
// whose notifications would stand in for those that were swallowed.
func (s *conditionScene) settled(bool) (bool, error) {
	s.quiet.Store(true)
	if s.m.Value() == 0 {
		// Either a survivor has the lock, or one of the dead: those who wait for a
		// notification cannot even give up without the lock. A survivor says soon that it
		// has it; on a busy machine it may not run for some hundred milliseconds.
		if s.unknown == 0 || s.held() || !s.stable.stable(s.taken.Load(), 2*time.Second) {
			return false, nil
		}
		s.unknown--
		s.stable = stability{}
		return false, s.m.Release()
	}
	s.stable = stability{}
	return s.tokens.Value() == 0, nil
}

// held reports whether a survivor knows that it has the lock.
func (s *conditionScene) held() bool {
	for i := range s.alive {
		switch s.alive[i].Load() {
		case has, hasWaited:
			return true
		}
	}
	return false
}

func (s *conditionScene) check(dead []*victim) error {
	if err := s.deadHolders.check(dead); err != nil {
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
