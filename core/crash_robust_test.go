//go:build crash

package core

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/fault"
)

// robustScene is robust locks of all kinds. Nothing is left to the user but to go on
// when told that a holder died.
type robustScene struct {
	arenaScene
	all    []robust
	inside [3]atomic.Int32 // survivors that hold them
}

var robustLocks = primitive{
	sources: []string{"internal/arena/robust_", "internal/arena/holder", "internal/futex/limit"},
	make: func(t testing.TB) scene {
		s := &robustScene{arenaScene: makeArenaScene(t)}
		lock, err := s.a.NewRobustLock()
		if err != nil {
			t.Fatal(err)
		}
		rlock, err := s.a.NewRobustRLock()
		if err != nil {
			t.Fatal(err)
		}
		sem, err := s.a.NewRobustSemaphore(1)
		if err != nil {
			t.Fatal(err)
		}
		s.all = robusts(lock, rlock, sem)
		return s
	},
	victims: map[string]func([]*os.File, *plight) error{
		"take": func(files []*os.File, _ *plight) error {
			all, err := openRobusts(files[0])
			if err != nil {
				return err
			}
			for {
				for _, r := range all {
					if err := r.pass(context.Background()); err != nil {
						return err
					}
				}
			}
		},
	},
}

// pass takes r and gives it back.
func (r *robust) pass(ctx context.Context) error {
	err := r.lock(ctx)
	if err == ErrOwnerDied && rand.N(4) == 0 {
		return r.abandon()
	}
	if err != nil && err != ErrOwnerDied {
		return err
	}
	time.Sleep(time.Duration(rand.N(100_000)))
	return r.unlock()
}

func (s *robustScene) survivors() (work []func(context.Context) error) {
	for k := range s.all {
		r := &s.all[k]
		work = append(work, func(ctx context.Context) error {
			if err := r.lock(ctx); err != nil && err != ErrOwnerDied {
				return err
			}
			if n := s.inside[k].Add(1); n != 1 {
				return fmt.Errorf("%s: %d are inside", r.name, n)
			}
			s.inside[k].Add(-1)
			return r.unlock()
		})
	}
	return work
}

// check makes sure that nobody but the dead has any of them, and that a mark goes when
// they are given back.
func (s *robustScene) check([]*victim) error {
	for _, r := range s.all {
		if err := r.lock(context.Background()); err != nil && err != ErrOwnerDied {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if err := r.unlock(); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if taken, err := r.try(); !taken || err != nil {
			return fmt.Errorf("%s: %v, %w after it was freed", r.name, taken, err)
		}
		if err := r.unlock(); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if err := r.unlock(); err != ErrNotHolder {
			return fmt.Errorf("%s: %w when it was free", r.name, err)
		}
	}
	return nil
}

// A process that finds everything held by a dead one is killed at each point, the
// first time that it passes there or a later one. The next one finds out.
func TestRobustKilledAtEachPoint(t *testing.T) {
	for _, p := range []struct {
		point  string
		passes int
	}{
		{"robust lock taken", 4},
		{"robust lock inherited", 2}, // for each death
		{"robust lock's owner cleared", 2},
		{"robust lock about to be freed", 3},
		{"robust lock freed", 4},
		{"permit of the dead freed", 1},
		{"permit given back", 2},
	} {
		for pass := range p.passes {
			name := p.point + ":" + strconv.Itoa(pass)
			t.Run(name, func(t *testing.T) { killRobustAt(t, name) })
		}
	}
}

func killRobustAt(t *testing.T, point string) {
	a, all := newRobusts(t)
	journals := newJournals(t, all)
	kill(t, holderOf(t, a, all))
	t.Setenv(fault.Variable, point)
	victim := startChild(t, "work with robust locks", filesOf(t, a, journals)...)
	if err := victim.Wait(); victim.ProcessState.ExitCode() != -1 {
		t.Errorf("not killed: %v", err)
	}
	for k, r := range all {
		err := r.lock(t.Context())
		if err != nil && err != ErrOwnerDied {
			t.Fatal(err)
		}
		if err := journals[k].work(err == ErrOwnerDied); err != nil {
			t.Errorf("%s: %v", r.name, err)
		}
		free(t, r)
	}
}
