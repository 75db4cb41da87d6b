package arena

import (
	"testing"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/process"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// repair repairs the objects of an arena, in which it finds so much to do.
func repair(t *testing.T, s *shm.Segment, want int) {
	t.Helper()
	var done []string
	err := Look(s, func(n *Snapshot, err error) {
		if err != nil {
			t.Fatal(err)
		}
		more, err := Repair(s, n, soon())
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, more...)
	})
	if err != nil || len(done) != want {
		t.Errorf("done: %q, %v", done, err)
	}
}

func TestRepairRemovesDeadWaiters(t *testing.T) {
	s, c := newCondition(t)
	repair(t, s, 0)
	alive, e := c.enterTest(t, s), c.enterTest(t, s)
	repair(t, s, 0)
	e.die()
	*(*process.ID)(unsafe.Pointer(&c.mutex)) = dead()
	repair(t, s, 2)
	if n, err := c.Waiting(s); n != 1 || err != nil {
		t.Errorf("%d wait, %v", n, err)
	}
	repair(t, s, 0)
	c.notifyTest(t, s, many, 1)
	c.leaveTest(t, s, alive, false, true)
	checkEmpty(t, s, c.table())
}

func TestRepairBreaksTheBarrierOfTheDead(t *testing.T) {
	s, b := newBarrier(t, 2)
	b.arriveTest(t, s, false, false).die()
	repair(t, s, 1)
	if !b.Broken() {
		t.Error("not broken")
	}
	repair(t, s, 0)
}

func TestFreeLock(t *testing.T) {
	s := new(shm.Segment)
	if err := Create(s); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, kind := range []uint32{KindSemaphore, KindRLock} {
		offset, err := Alloc(s, kind, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		m, pid := (*Semaphore)(unsafe.Pointer(At(s, offset))), dead().PID
		if FreeLock(s, offset, pid, pid) {
			t.Error("freed what nobody had")
		}
		owner := uint64(pid)<<32 | uint64(pid)
		for range 2 {
			if kind == KindRLock {
				err = (*RLock)(m).Acquire(owner, soon())
			} else if m.Value() == 1 {
				err = m.Acquire(soon())
				m.owner.Store(owner)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if FreeLock(s, offset, pid, pid+1) || m.Value() != 0 {
			t.Error("freed another's")
		}
		if !FreeLock(s, offset, pid, pid) || m.Value() != 1 || m.owner.Load() != 0 || m.depth.Load() != 0 {
			t.Errorf("kind %d is not free", kind)
		}
		if FreeLock(s, offset, pid, pid) || m.Value() != 1 {
			t.Error("freed twice")
		}
	}
}
