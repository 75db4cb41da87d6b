package stream

import (
	"fmt"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// Repair completes what processes left undone that were killed, which otherwise the next
// to put, to get or to need an extent does; and returns what that was. Errors: as
// futex.Mutex.Lock; that the stream is corrupt.
//
// Bells are left to those who have them. They see within futex.Look what has changed.
func (t *Stream) Repair(s *shm.Segment, l *futex.Limit) (done []string, err error) {
	if owner, died := t.putLock.Abandoned(); died {
		before := t.puts.Load()
		if err := t.lockPut(l); err != nil {
			return done, err
		}
		shown := t.puts.Load() - before
		t.putLock.Unlock()
		done = append(done, fmt.Sprintf("the put of %d is over; items shown: %d", owner.PID, shown))
	}
	if owner, died := t.getLock.Abandoned(); died {
		if err := t.lockGet(s, l); err != nil {
			return done, err
		}
		t.getLock.Unlock()
		done = append(done, fmt.Sprintf("the get of %d is over", owner.PID))
	}
	if t.mode&redelivers == 0 {
		return done, nil
	}
	if err := t.lockGet(s, l); err != nil {
		return done, err
	}
	n, err := t.books(s).orphan()
	t.getLock.Unlock()
	if n > 0 {
		t.nonEmpty.Wake(n)
		done = append(done, fmt.Sprintf("items returned that dead processes had: %d", n))
	}
	return done, err
}

// Repair makes the extents free that were lost with their processes, and returns how many
// bytes those take in the segment. Errors: as Stream.Repair.
func (x Extents) Repair(l *futex.Limit) (lost uint64, err error) {
	if x.p.fresh.Load() == 0 {
		return 0, nil
	}
	if err := x.enter(l); err != nil {
		return 0, err
	}
	before := x.p.live
	err = x.recover()
	if err == nil && before != unknown {
		lost = uint64(before-x.p.live) * chunkSize
	}
	c, e := x.excess()
	x.p.lock.Unlock()
	x.trim(c, e)
	return lost, err
}
