//go:build crash

package core

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

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
			w, index, last, err := b.ArriveWithin(uint32(os.Getpid()), true, always())
			switch {
			case err != nil:
				return err
			case last:
				return b.Finish(w, rand.N(10) > 0)
			case rand.N(3) == 0:
				for range 100 {
					// The numbers of those who came later change.
					if n, err := b.Waiting(); n > index+1 || err != nil {
						break
					}
				}
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
	if err := s.b.ResetWithin(always()); err != nil {
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
