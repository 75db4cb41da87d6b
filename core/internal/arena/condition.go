package arena

import (
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// Condition is a large slot that holds a condition variable: those who wait, in
// the order of their tickets. The lock that goes with it is the caller's affair.
//
// A notification goes to one waiter. That waiter frees its entry after it has the
// caller's lock again, also if its wait failed at the same moment (Quit). If it is
// killed before, the notification goes on to the next of those who were waiting at the
// time, whose tickets are up to until:
//
//   - Killed before it was notified: Notify finds nobody and turns to the next.
//   - Killed at that very moment or later, also while it waits for the caller's
//     lock: the others find it when they look (futex.Look). First the next one is
//     notified and then the dead one's entry freed: whoever is killed in between
//     has notified one too many, not one too few.
//
// Killed inside Notify, after a verdict and before the futex is woken: the waiter
// finds the verdict when it looks.
type Condition Waiters

func (c *Condition) table() *Waiters { return (*Waiters)(unsafe.Pointer(c)) }

// Enter makes the calling thread, tid, one that waits. It returns unix.EBUSY if l
// is Try and another is inside.
func (c *Condition) Enter(s *shm.Segment, tid uint32, l *futex.Limit) (*Waiter, error) {
	if _, err := c.mutex.Lock(l); err != nil {
		return nil, err
	}
	defer c.mutex.Unlock()
	fault.Here("condition locked")
	c.tickets++
	return c.table().enter(s, tid, c.tickets, 0, func() error { return c.reap(s, waiting) })
}

// Wait waits, as l allows, until e was notified.
func (c *Condition) Wait(s *shm.Segment, e *Waiter, l *futex.Limit) error {
	if !e.mine() {
		return errStale
	}
	w := verdictWait[*Condition]{s, c, c.table(), e}
	if w.Try(false) {
		return nil
	}
	_, err := futex.Await(l, e.futex(), &c.spin, w)
	return err
}

// look passes on the notifications of the dead. What fails is tried at the next
// look.
func (c *Condition) look(s *shm.Segment) {
	l := lookLimit()
	if _, err := c.mutex.Lock(&l); err != nil {
		return
	}
	defer c.mutex.Unlock()
	fault.Here("condition locked to look")
	_ = c.reap(s, notified)
}

// reap frees the entries of those who died after they were notified; if from is
// waiting, also of those who died before.
func (c *Condition) reap(s *shm.Segment, from uint32) error {
	var failed error
	err := c.table().each(s, func(e *Waiter) bool {
		was := e.state()
		// Again: who lived to take its verdict may be gone since.
		if was < from || !e.gone() || e.state() != was {
			return true
		}
		if was == notified {
			_, failed = c.notify(s, 1, e.until)
		}
		if failed == nil {
			fault.Here("dead waiter's notification passed on")
			e.word.Store(free)
		}
		return failed == nil
	})
	if err == nil {
		err = failed
	}
	return err
}

// Quit ends a wait that has failed, so that notifications pass e over, unless e was
// notified meanwhile, which it reports: then Leave is to follow, as if the wait had not
// failed.
func (c *Condition) Quit(e *Waiter) (wasNotified bool, err error) {
	if !e.mine() {
		return false, errStale
	}
	for w := e.word.Load(); w&state == waiting; w = e.word.Load() {
		if e.word.CompareAndSwap(w, free) {
			fault.Here("waiter left")
			return false, nil
		}
	}
	return true, nil
}

// Leave ends a wait, however it ended, and reports whether e was notified. pass
// gives the notification to the next.
func (c *Condition) Leave(s *shm.Segment, e *Waiter, pass bool) (wasNotified bool, err error) {
	if wasNotified, err = c.Quit(e); !wasNotified {
		return false, err
	}
	if pass {
		if _, err = c.mutex.Lock(&futex.Limit{How: futex.NoWait}); err == nil {
			_, err = c.notify(s, 1, e.until)
			fault.Here("notification passed on")
			c.mutex.Unlock()
		}
	}
	e.word.Store(free)
	return true, err
}

// Notify notifies n waiters, those that have waited longest, and returns how many
// there were. It returns unix.EBUSY if l is Try and another is inside.
func (c *Condition) Notify(s *shm.Segment, n int, l *futex.Limit) (int, error) {
	if _, err := c.mutex.Lock(l); err != nil {
		return 0, err
	}
	defer c.mutex.Unlock()
	fault.Here("condition locked to notify")
	return c.notify(s, n, c.tickets)
}

// notify notifies n of the waiters whose tickets are up to until.
func (c *Condition) notify(s *shm.Segment, n int, until uint64) (count int, err error) {
	if n >= int(c.high) {
		err = c.table().each(s, func(e *Waiter) bool {
			if e.state() == waiting && e.ticket <= until && e.notify(until) {
				count++
			}
			return true
		})
		return count, err
	}
	for count < n {
		var first *Waiter
		if err := c.table().each(s, func(e *Waiter) bool {
			if e.state() == waiting && e.ticket <= until && (first == nil || e.ticket < first.ticket) {
				first = e
			}
			return true
		}); err != nil || first == nil {
			return count, err
		}
		if first.notify(until) {
			count++
		}
	}
	return count, nil
}

func (e *Waiter) notify(until uint64) bool {
	e.until = until
	fault.Here("range of a notification noted")
	return e.resolve(notified)
}

// Waiting returns how many wait and were not notified.
func (c *Condition) Waiting(s *shm.Segment) (int, error) {
	if _, err := c.mutex.Lock(&futex.Limit{How: futex.NoWait}); err != nil {
		return 0, err
	}
	defer c.mutex.Unlock()
	return c.table().waiting(s)
}
