package arena

import (
	"errors"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/process"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// More than a slot and a block have room for.
const many = 300

var atOnce = &futex.Limit{How: futex.NoWait}

// soon is a limit that only a fault reaches.
func soon() *futex.Limit {
	return &futex.Limit{How: futex.Block, Deadline: futex.Now() + 20*futex.Look}
}

// dead is a process that was.
var dead = sync.OnceValue(func() process.ID {
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		panic(err)
	}
	return process.ID{PID: uint32(cmd.Process.Pid), Start: 1}
})

// die makes an entry a dead one's.
func (e *Waiter) die() { e.owner, e.tid = dead(), dead().PID }

func newTable(t testing.TB, kind, parties uint32) (*shm.Segment, *Waiters) {
	t.Helper()
	s := new(shm.Segment)
	if err := Create(s); err != nil {
		t.Fatal(err)
	}
	offset, err := Alloc(s, kind, 0, parties)
	if err != nil {
		t.Fatal(err)
	}
	table := (*Waiters)(unsafe.Pointer(At(s, offset)))
	t.Cleanup(func() {
		check(t, s, table)
		if err := Release(s, offset); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, table
}

// check makes sure that the table is sound.
func check(t rapid.TB, s *shm.Segment, table *Waiters) {
	t.Helper()
	if table.mutex.Held() {
		t.Error("the mutex is held")
	}
	tickets := map[uint64]bool{}
	if _, err := table.lists(s, func(first int, list []Waiter) bool {
		for i := range list {
			e := &list[i]
			switch e.word.Load() {
			case waiting, waiting | sleeps:
				if tickets[e.ticket] {
					t.Errorf("ticket %d twice", e.ticket)
				}
				tickets[e.ticket] = true
			case free, notified, broken:
			default:
				t.Errorf("entry %d is in state %d", first+i, e.word.Load())
			}
			if e.state() != free && first+i >= int(table.high) {
				t.Errorf("entry %d is in use, beyond %d", first+i, table.high)
			}
		}
		return true
	}); err != nil {
		t.Error(err)
	}
}

// checkEmpty makes sure that nobody is in the table.
func checkEmpty(t rapid.TB, s *shm.Segment, table *Waiters) {
	t.Helper()
	if err := table.each(s, func(*Waiter) bool { return true }); err != nil {
		t.Error(err)
	}
	if table.high != 0 {
		t.Errorf("%d entries in use", table.high)
	}
}

func newCondition(t testing.TB) (*shm.Segment, *Condition) {
	s, table := newTable(t, KindCondition, 0)
	return s, (*Condition)(unsafe.Pointer(table))
}

func (c *Condition) enterTest(t rapid.TB, s *shm.Segment) *Waiter {
	t.Helper()
	e, err := c.Enter(s, 0, atOnce)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (c *Condition) leaveTest(t rapid.TB, s *shm.Segment, e *Waiter, pass, want bool) {
	t.Helper()
	if got, err := c.Leave(s, e, pass); got != want || err != nil {
		t.Errorf("notified: %v, %v", got, err)
	}
}

func (c *Condition) notifyTest(t rapid.TB, s *shm.Segment, n, want int) {
	t.Helper()
	if got, err := c.Notify(s, n, atOnce); got != want || err != nil {
		t.Errorf("notified %d, not %d, %v", got, want, err)
	}
}

func TestNotifyInOrder(t *testing.T) {
	s, c := newCondition(t)
	var entries []*Waiter
	for range many {
		entries = append(entries, c.enterTest(t, s))
	}
	// Later ones take the entries of earlier ones that gave up.
	for i := range many / 2 {
		c.leaveTest(t, s, entries[i], false, false)
	}
	entries = entries[many/2:]
	for range many / 2 {
		entries = append(entries, c.enterTest(t, s))
	}
	for i, n := 0, 1; len(entries) > i; n++ {
		want := min(n, len(entries)-i)
		c.notifyTest(t, s, n, want)
		i += want
		for k, e := range entries {
			if got := c.Wait(s, e, atOnce) == nil; got != (k < i) {
				t.Fatalf("%d notified: number %d: %v", i, k, got)
			}
		}
	}
	c.notifyTest(t, s, many, 0)
	for _, e := range entries {
		c.leaveTest(t, s, e, false, true)
	}
	checkEmpty(t, s, c.table())
}

func TestNotifySkipsTheDead(t *testing.T) {
	s, c := newCondition(t)
	for _, n := range []int{1, 2, many} {
		var alive []*Waiter
		for i := range 6 {
			if e := c.enterTest(t, s); i%2 == 0 {
				e.die()
			} else {
				alive = append(alive, e)
			}
		}
		want := min(n, len(alive))
		c.notifyTest(t, s, n, want)
		for i, e := range alive {
			c.leaveTest(t, s, e, false, i < want)
		}
		c.notifyTest(t, s, many, 0)
		checkEmpty(t, s, c.table())
	}
}

// A notification that is not used goes to those who waited at the time only.
func TestPassOn(t *testing.T) {
	s, c := newCondition(t)
	first, second, third := c.enterTest(t, s), c.enterTest(t, s), c.enterTest(t, s)
	c.notifyTest(t, s, 1, 1)
	c.leaveTest(t, s, first, true, true)
	late := c.enterTest(t, s)
	c.leaveTest(t, s, second, true, true)
	c.leaveTest(t, s, third, true, true)
	c.leaveTest(t, s, late, true, false)
	checkEmpty(t, s, c.table())
}

func TestTheDeadPassOn(t *testing.T) {
	s, c := newCondition(t)
	first, second, third := c.enterTest(t, s), c.enterTest(t, s), c.enterTest(t, s)
	c.notifyTest(t, s, 1, 1)
	first.die()
	late := c.enterTest(t, s)
	if err := c.Wait(s, second, soon()); err != nil {
		t.Error(err)
	}
	for e, want := range map[*Waiter]bool{second: true, third: false, late: false} {
		c.leaveTest(t, s, e, false, want)
	}
	checkEmpty(t, s, c.table())
}

func TestEntriesOfTheDeadAreUsedAgain(t *testing.T) {
	s, c := newCondition(t)
	for range 3 * len(c.inline) {
		c.enterTest(t, s).die()
	}
	if c.next != 0 {
		t.Error("a block was added")
	}
	c.notifyTest(t, s, many, 0)
	checkEmpty(t, s, c.table())
}

func TestBlocksAreUsedAgain(t *testing.T) {
	s := new(shm.Segment)
	if err := Create(s); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 5 {
		offset, err := Alloc(s, KindCondition, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		c := (*Condition)(unsafe.Pointer(At(s, offset)))
		for range many {
			c.enterTest(t, s)
		}
		if err := Release(s, offset); err != nil {
			t.Fatal(err)
		}
	}
	if h := headerOf(s); h.blocks != 3 {
		t.Errorf("%d blocks", h.blocks)
	}
}

func TestCorruptChain(t *testing.T) {
	s, c := newCondition(t)
	for range len(c.inline) + 1 {
		c.enterTest(t, s)
	}
	good := c.next
	b, err := blockAt(s, good)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { c.next, b.next = good, 0 }()
	for _, bad := range []uint64{1, 64, 1024, good + 8, good + blockSize, 1 << 40, ^uint64(0), 1 << 63} {
		c.next = bad
		if _, err := c.Enter(s, 0, atOnce); !errors.Is(err, shm.ErrBounds) {
			t.Errorf("%#x: %v", bad, err)
		}
	}
	c.next, b.next = good, good
	for i := range b.entries {
		b.entries[i].word.Store(waiting)
	}
	if _, err := c.Enter(s, 0, atOnce); !errors.Is(err, shm.ErrBounds) {
		t.Errorf("a ring: %v", err)
	}
	for i := range b.entries {
		b.entries[i].word.Store(free)
	}
}

// A process that was forked while its parent waited has no part in it.
func TestEntryOfAnother(t *testing.T) {
	s, c := newCondition(t)
	e := c.enterTest(t, s)
	e.owner.PID++
	if err := c.Wait(s, e, atOnce); err != unix.ESTALE {
		t.Errorf("wait: %v", err)
	}
	if _, err := c.Leave(s, e, true); err != unix.ESTALE || e.state() != waiting {
		t.Errorf("leave: %v", err)
	}
	e.owner.PID--
	c.leaveTest(t, s, e, true, false)
}

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
	for _, acts := range []bool{false, true} {
		for _, change := range []func(*shm.Segment, *futex.Limit) error{b.Reset, b.Abort} {
			entries := []*Waiter{b.arriveTest(t, s, acts, false)}
			if acts {
				entries = append(entries, b.arriveTest(t, s, acts, true))
			}
			if err := change(s, atOnce); err != nil {
				t.Error(err)
			}
			b.waitTest(t, s, entries[0], 0, ErrBroken)
			if acts {
				if err := b.Finish(s, entries[1], true); err != ErrBroken {
					t.Error(err)
				}
			}
			if err := b.Reset(s, atOnce); err != nil {
				t.Error(err)
			}
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
