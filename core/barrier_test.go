package core

import (
	"context"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newBarrier makes a barrier, at 64 KiB of a new arena.
func newBarrier(t testing.TB, parties uint32) (*Arena, *Barrier) {
	t.Helper()
	a := newArena(t)
	b, err := a.NewBarrier(parties)
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func openBarrier(file *os.File) (*Barrier, error) {
	a, err := OpenArena(file)
	if err != nil {
		return nil, err
	}
	return a.Barrier(64 << 10)
}

func TestBarrier(t *testing.T) {
	_, b := newBarrier(t, 3)
	if _, err := newArena(t).NewBarrier(0); err != unix.EINVAL {
		t.Errorf("a barrier for nobody: %v", err)
	}
	const rounds = 100
	numbers := make(chan int, 3)
	for range 3 {
		go func() {
			for range rounds {
				i, err := b.Wait(t.Context())
				if err != nil {
					t.Error(err)
				}
				numbers <- i
			}
		}()
	}
	sum := 0
	for range 3 * rounds {
		sum += <-numbers
	}
	if sum != 3*rounds {
		t.Errorf("the numbers add up to %d", sum)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := b.Wait(ctx); err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	if _, err := b.Wait(t.Context()); err != ErrBroken || !b.Broken() {
		t.Errorf("got %v", err)
	}
	if err := b.Reset(t.Context()); err != nil || b.Broken() || b.Parties() != 3 {
		t.Error(err)
	}
	done := make(chan error)
	go func() {
		_, err := b.Wait(t.Context())
		done <- err
	}()
	await(t, "it waits", func() bool {
		n, err := b.Waiting()
		return n == 1 || err != nil
	})
	if err := b.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != ErrBroken {
		t.Errorf("got %v", err)
	}
}

func init() {
	children["wait at barrier"] = func(files []*os.File) error {
		b, err := openBarrier(files[0])
		if err != nil {
			return err
		}
		_, err = b.Wait(context.Background())
		return err
	}
	children["act at barrier"] = func(files []*os.File) error {
		b, err := openBarrier(files[0])
		if err != nil {
			return err
		}
		if _, _, last, err := b.ArriveWithin(0, true, within(context.Background())); !last {
			return err
		}
		time.Sleep(time.Hour)
		return nil
	}
	children["use barrier"] = func(files []*os.File) error {
		b, err := openBarrier(files[0])
		if err != nil {
			return err
		}
		for {
			w, _, last, err := b.ArriveWithin(uint32(os.Getpid()), rand.N(2) == 0, within(context.Background()))
			switch {
			case err != nil:
			case last && w != nil:
				err = b.Finish(w, rand.N(10) > 0)
			case !last:
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.N(3_000_000)))
				if _, err = b.WaitWithin(w, within(ctx)); err != nil && err != ErrBroken {
					err = b.Withdraw(w)
				}
				cancel()
			}
			if err == ErrBroken {
				err = b.Reset(context.Background())
			}
			if err != nil {
				return err
			}
		}
	}
}

// The others find out within about a second.
func TestKilledPartyBreaksTheBarrier(t *testing.T) {
	for child, parties := range map[string]uint32{"wait at barrier": 3, "act at barrier": 2} {
		a, b := newBarrier(t, parties)
		done := make(chan error)
		go func() {
			_, err := b.Wait(t.Context())
			done <- err
		}()
		arrived := func(want int) {
			await(t, child, func() bool {
				n, err := b.Waiting()
				return n == want || err != nil
			})
		}
		arrived(1)
		cmd := startChild(t, child, share(t, a))
		arrived(2)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		if err := <-done; err != ErrBroken || !b.Broken() {
			t.Errorf("%s: %v", child, err)
		}
	}
}

// Processes killed at any instruction leave a barrier that works.
func TestBarrierSurvives(t *testing.T) {
	a, b := newBarrier(t, 2)
	killAtRandom(t, 4, "use barrier", a)
	if err := b.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		done := make(chan error)
		go func() {
			_, err := b.Wait(t.Context())
			done <- err
		}()
		if _, err := b.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n, err := b.Waiting(); n != 0 || err != nil {
		t.Errorf("%d wait, %v", n, err)
	}
}

func TestBarrierLeavesNoGarbage(t *testing.T) {
	_, b := newBarrier(t, 2)
	if n := testing.AllocsPerRun(100, func() {
		l := Limit{How: Block, Deadline: 1}
		w, _, _, err := b.ArriveWithin(0, false, &l)
		if err != nil {
			t.Error(err)
		}
		if _, err := b.WaitWithin(w, &l); err != unix.ETIMEDOUT {
			t.Error(err)
		}
		if _, _, last, err := b.ArriveWithin(0, false, &l); !last || err != nil {
			t.Error(err)
		}
		if _, err := b.WaitWithin(w, &l); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
