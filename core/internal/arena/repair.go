package arena

import (
	"fmt"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// Repair completes what processes that were killed left undone in an object, which
// otherwise the next to use it does, and frees the places of dead waiters. It returns what
// that was. Errors: as futex.Mutex.Lock; that the object is corrupt.
func Repair(s *shm.Segment, n *Snapshot, l *futex.Limit) (done []string, err error) {
	slot := At(s, n.Offset)
	var t *Waiters
	switch n.Kind {
	case KindCondition, KindBarrier:
		t = (*Waiters)(unsafe.Pointer(slot))
	default:
		return nil, nil
	}
	if owner, died := t.mutex.Abandoned(); died {
		done = append(done, fmt.Sprintf("what %d was doing is over", owner.PID))
	}
	dead := 0
	for _, w := range n.Waiters {
		if !w.Process.Alive() {
			dead++
		}
	}
	if len(done) == 0 && dead == 0 {
		return nil, nil
	}
	if n.Kind == KindBarrier {
		b := (*Barrier)(unsafe.Pointer(t))
		if err := b.lock(s, l); err != nil {
			return nil, err
		}
		defer b.unlock()
		err = b.check(s, (*Waiter).gone)
	} else {
		c := (*Condition)(unsafe.Pointer(t))
		if _, err := c.mutex.Lock(l); err != nil {
			return nil, err
		}
		defer c.mutex.Unlock()
		err = c.reap(s, waiting)
	}
	if dead > 0 {
		done = append(done, fmt.Sprintf("dead waiters removed: %d", dead))
	}
	return done, err
}

// FreeLock makes a lock free, an RLock however often it was taken, that a thread had which
// has died, and reports whether it still had it. It is for those who know that what
// the lock guards is sound, and that nobody else is about to release it.
//
// Only who clears owner frees the lock: so once for each time that it was taken. Killed
// in between, the lock stays taken by nobody who is known.
func FreeLock(s *shm.Segment, offset uint64, pid, tid uint32) bool {
	m := (*Semaphore)(unsafe.Pointer(At(s, offset)))
	if !m.owner.CompareAndSwap(uint64(pid)<<32|uint64(tid), 0) {
		return false
	}
	m.depth.Store(0)
	return m.Release() == nil
}
