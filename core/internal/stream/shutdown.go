package stream

import (
	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// Shutdown makes TryPut refuse all that comes from now on, and TryGet too once
// the stream is empty. If immediate, that is at once: what is in the stream is
// gone, and counts as done. b is as for TryPut. Error: unix.EBUSY or as
// futex.Mutex.Lock; nothing was changed then.
//
// The flags come into force with one store. A process killed after it leaves the
// rest undone: sleepers find out when they look (futex.Look), and the memory of
// items that are gone is given back with the segment, or by another Shutdown.
func (t *Stream) Shutdown(s *shm.Segment, b Bell, immediate bool, l *futex.Limit) error {
	if err := t.lockPut(l); err != nil {
		return err
	}
	defer t.putLock.Unlock()
	fault.Here("shutdown locked")
	flags := uint32(shut)
	if immediate {
		// Nobody locks the other way round.
		if err := t.lockGet(s, l); err != nil {
			return err
		}
		defer t.getLock.Unlock()
		flags |= gone
		t.countDropped()
		fault.Here("dropped items counted")
	}
	rung, err := t.ring(b, l)
	if err != nil {
		return err
	}
	fault.Here("bell rung for shutdown")
	t.putFlags.Or(flags)
	fault.Here("shut down")
	if rung {
		t.Doorbell.Lock.Unlock()
	}
	if immediate {
		t.getFlags.Or(gone)
		fault.Here("consumers' flags set")
		t.discard(view{t, s})
		fault.Here("items discarded")
		t.books(s).dropReturned()
		t.idle.Wake(futex.All)
	}
	t.nonEmpty.Wake(futex.All)
	t.nonFull.Wake(futex.All)
	return nil
}

// countDropped counts the items that gone will make disappear. The caller holds
// both locks.
func (t *Stream) countDropped() {
	if t.putFlags.Load()&gone == 0 {
		t.dropped.Store(t.puts.Load() - t.gets.Load())
	}
}

// discard moves the head to the tail, and has the memory between given back. The
// caller holds both locks, and gone is set, so no consumer follows the head.
func (t *Stream) discard(v view) {
	st := t.current()
	for gets := t.gets.Load(); gets != st.puts; gets = t.gets.Load() {
		// The next state goes into the slot that is not current. That is the
		// one of the last state only if an odd number of items is left.
		to := st.puts
		if (to-gets)&1 == 0 {
			to = gets + 1
		}
		t.commitGet(to, st.tail, st.bytes)
		fault.Here("head moved towards the tail")
	}
	// What fails here keeps its memory.
	_ = v.collect(&st)
	fault.Here("discarded chunks collected")
	ExtentsOf(v.s).RecoverLost()
}
