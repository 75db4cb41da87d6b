package arena

import (
	"sync/atomic"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/process"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// Snapshot is what can be known of an object by looking: no lock is taken and nothing
// written, so it may be of an arena that is mapped read-only. Each field was true at
// some instant during the call.
type Snapshot struct {
	Offset uint64
	Size   uint64
	Kind   uint32

	Value  uint32 // of a semaphore, or of a lock: 0 while it is held; an event's is 1 while it is set
	Limit  uint32 // of a semaphore; a barrier's parties
	Depth  uint32 // how often the holder of an RLock took it
	Broken bool   // a barrier

	// Of a lock, and of a robust semaphore one for each permit. A lock that is held by
	// nobody is so by one who is unknown.
	Holders []Thread

	// Threads may sleep on the word at this offset until they acquire a semaphore or an
	// event is set. Of those that wait for a condition or a barrier more is known.
	Word    uint64
	Awaited bool
	Waiters []Thread
}

// Thread is one of a process.
type Thread struct {
	Process process.ID
	TID     uint32 // 0: which one is unknown
}

// threadOf returns a thread by its number in C and Python.
func threadOf(owner uint64) Thread {
	return Thread{process.ID{PID: uint32(owner >> 32)}, uint32(owner)}
}

// Look calls visit with every object of an arena. Of one that is corrupt, which err says,
// nothing is known but where it is, and the kind.
func Look(s *shm.Segment, visit func(n *Snapshot, err error)) error {
	h := headerOf(s)
	for r, region := range regions {
		// Beyond this, to look would be to take memory.
		allocated := min(atomic.LoadUint64(&h.slots[r].allocated), region.end)
		for offset := region.start; offset+region.slot <= allocated; offset += region.slot {
			n := (offset - region.start) / region.slot
			if atomic.LoadUint64(&h.slots[r].used[n/64])&(1<<(n%64)) == 0 {
				continue
			}
			p, err := s.At(offset, region.slot)
			if err != nil {
				return err
			}
			slot := (*Slot)(p)
			kind := atomic.LoadUint32(&slot.kind)
			if kind == Free || regionOf(kind) != r { // on its way to another state
				continue
			}
			snapshot := Snapshot{Offset: offset, Size: region.slot, Kind: kind}
			visit(&snapshot, slot.look(s, &snapshot))
		}
	}
	return nil
}

func (slot *Slot) look(s *shm.Segment, n *Snapshot) (err error) {
	n.Limit, n.Word = slot.max, n.Offset
	switch n.Kind {
	case KindSemaphore, KindRLock:
		(*Semaphore)(unsafe.Pointer(slot)).describe(n)
	case KindRobustLock, KindRobustRLock:
		(*RobustLock)(unsafe.Pointer(slot)).describe(n)
	case KindRobustSemaphore:
		err = (*RobustSemaphore)(unsafe.Pointer(slot)).describe(s, n)
	case KindEvent:
		word := slot.word.Load()
		n.Awaited = word&eventWaiters != 0
		n.Value = word & eventSet
	case KindCondition:
		n.Waiters, err = (*Waiters)(unsafe.Pointer(slot)).sleepers(s)
	case KindBarrier:
		b := (*Barrier)(unsafe.Pointer(slot))
		n.Broken = b.Broken()
		n.Waiters, err = b.table().sleepers(s)
	}
	return err
}

// describe finds out the owner of one instant, and how often it has taken an RLock.
func (m *Semaphore) describe(n *Snapshot) {
	n.Awaited = m.Waiters()
	for {
		owner := m.owner.Load()
		n.Value, n.Depth = uint32(m.Value()), m.depth.Load()
		if m.owner.Load() != owner {
			continue
		}
		// Of other semaphores owner only says who acquired last.
		if owner != 0 && n.Value == 0 && n.Limit == 1 {
			n.Holders = []Thread{threadOf(owner)}
		}
		return
	}
}

func (k *RobustLock) describe(n *Snapshot) {
	n.Limit, n.Word = 1, n.Offset+uint64(unsafe.Offsetof(Slot{}.holder))
	n.Awaited = k.Waiters()
	for {
		w, owner := k.holder.word.Load(), k.owner.Load()
		n.Depth = k.depth.Load()
		if k.holder.word.Load() != w {
			continue
		}
		n.Value = 1
		if held(w) {
			n.Value = 0
			t := Thread{Process: processOf(w)}
			if uint32(owner>>32) == t.Process.PID {
				t.TID = uint32(owner)
			}
			n.Holders = []Thread{t}
		}
		return
	}
}

func (m *RobustSemaphore) describe(s *shm.Segment, n *Snapshot) error {
	n.Limit, n.Awaited = m.max, m.word.Awaited()
	return m.each(s, func(h *holder) bool {
		if w := h.word.Load(); held(w) {
			n.Holders = append(n.Holders, Thread{Process: processOf(w)})
		} else {
			n.Value++
		}
		return true
	})
}

// sleepers returns those who have no verdict yet.
func (t *Waiters) sleepers(s *shm.Segment) (list []Thread, err error) {
	high := int(atomic.LoadUint32(&t.high))
	_, err = t.lists(s, func(first int, entries []Waiter) bool {
		for i := range entries[:max(0, min(high-first, len(entries)))] {
			if sleeper, ok := entries[i].sleeper(); ok {
				list = append(list, sleeper)
			}
		}
		return first+len(entries) < high
	})
	return list, err
}

// sleeper returns who waits, if somebody does. An entry that is given to another in
// between has another ticket, or is of another round.
func (e *Waiter) sleeper() (t Thread, ok bool) {
	if e.state() != waiting {
		return t, false
	}
	ticket, until := atomic.LoadUint64(&e.ticket), atomic.LoadUint64(&e.until)
	t.Process.PID = atomic.LoadUint32(&e.owner.PID)
	t.Process.Start = atomic.LoadUint32(&e.owner.Start)
	t.TID = atomic.LoadUint32(&e.tid)
	return t, e.state() == waiting &&
		atomic.LoadUint64(&e.ticket) == ticket && atomic.LoadUint64(&e.until) == until
}
