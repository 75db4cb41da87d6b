package arena

import (
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/process"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

func newBarrier(t testing.TB, parties uint32) (*shm.Segment, *Barrier) {
	s, table := newTable(t, KindBarrier, parties)
	return s, (*Barrier)(unsafe.Pointer(table))
}

func (b *Barrier) arriveTest(t testing.TB, s *shm.Segment, acts, wantLast bool) *Waiter {
	t.Helper()
	e, _, last, err := b.Arrive(s, 0, acts, atOnce)
	if err != nil || last != wantLast {
		t.Fatalf("last %v, %v", last, err)
	}
	return e
}

func (b *Barrier) waitTest(t testing.TB, s *shm.Segment, e *Waiter, index int, err error) {
	t.Helper()
	if i, got := b.Wait(s, e, soon()); got != err || err == nil && i != index {
		t.Errorf("number %d, %v", i, got)
	}
}

// The rounds of a barrier do not wait for the waiters of earlier ones to run.
func TestRounds(t *testing.T) {
	s, b := newBarrier(t, 3)
	var entries []*Waiter
	for range many {
		entries = append(entries, b.arriveTest(t, s, false, false), b.arriveTest(t, s, false, false))
		b.arriveTest(t, s, false, true)
	}
	for i, e := range entries {
		b.waitTest(t, s, e, i%2, nil)
	}
	checkEmpty(t, s, b.table())
}

func TestAction(t *testing.T) {
	s, b := newBarrier(t, 2)
	for _, ok := range []bool{true, false} {
		e, actor := b.arriveTest(t, s, true, false), b.arriveTest(t, s, true, true)
		if _, _, _, err := b.Arrive(s, 0, true, &futex.Limit{How: futex.Spin}); err != unix.EAGAIN {
			t.Errorf("arrived during the action: %v", err)
		}
		if _, err := b.TimeOut(s, e); err != unix.EBUSY {
			t.Errorf("timed out during the action: %v", err)
		}
		var want error
		if !ok {
			want = ErrBroken
		}
		if err := b.Finish(s, actor, ok); err != want {
			t.Error(err)
		}
		b.waitTest(t, s, e, 0, want)
	}
	if !b.Broken() {
		t.Error("not broken")
	}
	checkEmpty(t, s, b.table())
}

// Reset and Abort break no round whose action runs, unless they are the action.
func TestChangeDuringTheAction(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	self := uint32(unix.Gettid())
	for _, change := range []func(*Barrier, *shm.Segment, *futex.Limit) error{(*Barrier).Reset, (*Barrier).Abort} {
		for _, tid := range []uint32{0, 1, self} {
			s, b := newBarrier(t, 2)
			e := b.arriveTest(t, s, true, false)
			actor, _, _, err := b.Arrive(s, tid, true, atOnce)
			if err != nil {
				t.Fatal(err)
			}
			if tid == self {
				if err := change(b, s, atOnce); err != nil {
					t.Error(err)
				}
				b.waitTest(t, s, e, 0, ErrBroken)
				if err := b.Finish(s, actor, true); err != ErrBroken {
					t.Error(err)
				}
				continue
			}
			if err := change(b, s, &futex.Limit{How: futex.Spin}); err != unix.EAGAIN {
				t.Errorf("changed during the action: %v", err)
			}
			done := make(chan error)
			go func() { done <- change(b, s, soon()) }()
			time.Sleep(time.Millisecond) // whether it sleeps already or not
			if err := b.Finish(s, actor, true); err != nil {
				t.Error(err)
			}
			b.waitTest(t, s, e, 0, nil)
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
}

// Whoever is killed while it looks for the dead leaves them to the next who does.
func TestKilledAsItBreaksTheBarrier(t *testing.T) {
	s, b := newBarrier(t, 4)
	b.arriveTest(t, s, false, false).die()
	e := b.arriveTest(t, s, false, false)
	b.arriveTest(t, s, false, false).die()
	calls := 0
	for killed := true; killed; {
		calls++
		func() {
			defer func() { killed = recover() != nil }()
			left := calls
			_ = b.check(s, func(e *Waiter) bool {
				if left--; left < 0 {
					panic("killed")
				}
				return e.gone()
			})
		}()
		if n, err := b.table().waiting(s); !b.Broken() && n != 3 || err != nil {
			t.Fatalf("killed at the %dth entry: %d wait, and the barrier is not broken, %v", calls, n, err)
		}
	}
	b.waitTest(t, s, e, 0, ErrBroken)
	checkEmpty(t, s, b.table())
}

func TestArriveAfterTheAction(t *testing.T) {
	s, b := newBarrier(t, 1)
	actor := b.arriveTest(t, s, true, true)
	done := make(chan error)
	go func() {
		e, _, last, err := b.Arrive(s, 0, true, soon())
		if err == nil && last {
			err = b.Finish(s, e, true)
		}
		done <- err
	}()
	time.Sleep(time.Millisecond) // whether it sleeps already or not
	if err := b.Finish(s, actor, true); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTimeOut(t *testing.T) {
	s, b := newBarrier(t, 3)
	first, second := b.arriveTest(t, s, false, false), b.arriveTest(t, s, false, false)
	if _, err := b.TimeOut(s, first); err != ErrBroken {
		t.Error(err)
	}
	b.waitTest(t, s, second, 0, ErrBroken)
	if _, _, _, err := b.Arrive(s, 0, false, atOnce); err != ErrBroken {
		t.Error(err)
	}
	if err := b.Reset(s, atOnce); err != nil || b.Broken() {
		t.Error(err)
	}
	first, second = b.arriveTest(t, s, false, false), b.arriveTest(t, s, false, false)
	b.arriveTest(t, s, false, true)
	if i, err := b.TimeOut(s, second); i != 1 || err != nil {
		t.Errorf("too late to time out: %d, %v", i, err)
	}
	b.waitTest(t, s, first, 0, nil)
	checkEmpty(t, s, b.table())
}

func TestWithdraw(t *testing.T) {
	s, b := newBarrier(t, 4)
	var entries []*Waiter
	for range 3 {
		entries = append(entries, b.arriveTest(t, s, false, false))
	}
	if err := b.Withdraw(s, entries[0]); err != nil {
		t.Error(err)
	}
	entries = append(entries[1:], b.arriveTest(t, s, false, false))
	b.arriveTest(t, s, false, true)
	for i, e := range entries {
		b.waitTest(t, s, e, i, nil)
	}
	checkEmpty(t, s, b.table())
}

func TestResetAndAbort(t *testing.T) {
	s, b := newBarrier(t, 2)
	for _, change := range []func(*shm.Segment, *futex.Limit) error{b.Reset, b.Abort} {
		e := b.arriveTest(t, s, false, false)
		if err := change(s, atOnce); err != nil {
			t.Error(err)
		}
		b.waitTest(t, s, e, 0, ErrBroken)
		if err := b.Reset(s, atOnce); err != nil {
			t.Error(err)
		}
	}
	checkEmpty(t, s, b.table())
}

// The others find out when they look.
func TestADeadPartyBreaksTheBarrier(t *testing.T) {
	for _, acts := range []bool{false, true} {
		s, b := newBarrier(t, 3)
		first, second := b.arriveTest(t, s, acts, false), b.arriveTest(t, s, acts, false)
		if acts {
			second = b.arriveTest(t, s, acts, true)
		}
		second.die()
		b.waitTest(t, s, first, 0, ErrBroken)
		if !b.Broken() {
			t.Error("not broken")
		}
	}
}

// One who arrives during the action of one who is dead does not wait for ever.
func TestADeadActor(t *testing.T) {
	s, b := newBarrier(t, 1)
	b.arriveTest(t, s, true, true).die()
	if _, _, _, err := b.Arrive(s, 0, true, soon()); err != ErrBroken {
		t.Error(err)
	}
	checkEmpty(t, s, b.table())
}

// Killed after a round has ended but before everyone has a verdict.
func TestTakeOverOfAnUnsettledRound(t *testing.T) {
	for _, passed := range []uint32{0, complete} {
		s, b := newBarrier(t, 5)
		var entries []*Waiter
		for range 4 {
			entries = append(entries, b.arriveTest(t, s, false, false))
		}
		entries[2].word.Store(map[uint32]uint32{0: broken, complete: notified}[passed])
		b.word.Store(oneRound | passed)
		*(*process.ID)(unsafe.Pointer(&b.mutex)) = dead()
		late, _, _, err := b.Arrive(s, 0, false, soon())
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range entries {
			want := ErrBroken
			if passed != 0 {
				want = nil
			}
			b.waitTest(t, s, e, i, want)
		}
		if err := b.Withdraw(s, late); err != nil {
			t.Error(err)
		}
		checkEmpty(t, s, b.table())
	}
}

// Each gets a number of its own, in every round.
func TestPartiesMeet(t *testing.T) {
	const parties, rounds = 7, 300
	s, b := newBarrier(t, parties)
	var group sync.WaitGroup
	numbers := make([][]int, parties)
	for p := range parties {
		group.Go(func() {
			for round := range rounds {
				e, i, last, err := b.Arrive(s, 0, round%2 == 0, soon())
				if err == nil && last && e != nil {
					i, err = parties-1, b.Finish(s, e, true)
				} else if err == nil && !last {
					i, err = b.Wait(s, e, soon())
				}
				if err != nil {
					t.Error(err)
					return
				}
				numbers[p] = append(numbers[p], i)
			}
		})
	}
	group.Wait()
	for round := range rounds {
		var got []int
		for p := range parties {
			if round < len(numbers[p]) {
				got = append(got, numbers[p][round])
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 6}) {
			t.Fatalf("round %d: %v", round, got)
		}
	}
	checkEmpty(t, s, b.table())
}
