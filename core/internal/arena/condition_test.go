package arena

import (
	"errors"
	"testing"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

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

// Notified just after its wait had failed, and killed before it has the lock again.
func TestTheDeadPassOnWhatCameLate(t *testing.T) {
	s, c := newCondition(t)
	first, second, third := c.enterTest(t, s), c.enterTest(t, s), c.enterTest(t, s)
	if err := c.Wait(s, first, atOnce); err != unix.EAGAIN {
		t.Error(err)
	}
	c.notifyTest(t, s, 1, 1)
	if notified, err := c.Quit(first); !notified || err != nil {
		t.Error(notified, err)
	}
	first.die()
	if err := c.Wait(s, second, soon()); err != nil {
		t.Error(err)
	}
	if notified, err := c.Quit(third); notified || err != nil {
		t.Error(notified, err)
	}
	c.leaveTest(t, s, second, false, true)
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
	if _, err := c.Enter(s, 0, atOnce); !errors.Is(err, shm.ErrCorrupt) {
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
	if _, err := c.Quit(e); err != unix.ESTALE || e.state() != waiting {
		t.Errorf("quit: %v", err)
	}
	e.owner.PID--
	c.leaveTest(t, s, e, true, false)
}
