package arena

import (
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

// RobustSemaphore is a large slot that holds a semaphore whose permits come back when
// a process dies that has some. Each permit is a holder, in the slot or in a chain of
// blocks that is as long as it has to be from the beginning; so each of them is taken
// and given back with one compare-and-swap, and whoever is killed anywhere either has
// the permit or has not. There is nothing else to be kept in step.
//
// Those who find no free permit sleep on word (futex.Word). Whoever frees one wakes
// one, who wakes the next if another permit is free, because several may have been
// freed before it ran. Killed in between: the others look by themselves
// (futex.Look), for free permits and for permits of the dead.
type RobustSemaphore struct {
	word   futex.Word
	kind   uint32
	max    uint32 // how many permits there are
	spin   uint32
	_      [16]byte
	looked looked
	next   uint64 // offset of the first block, 0: none; where Waiters has it
	_      [16]byte
	inline [120]holder
}

var (
	_ [LargeSize]byte                       = [unsafe.Sizeof(RobustSemaphore{})]byte{}
	_ [unsafe.Offsetof(Waiters{}.next)]byte = [unsafe.Offsetof(RobustSemaphore{}.next)]byte{}
)

// MaxPermits is how many permits a robust semaphore can have. Calls look through all
// of them.
const MaxPermits = 1 << 14

// permits is what a block of a robust semaphore holds.
func (b *block) permits() *[4 * len(block{}.entries)]holder {
	return (*[4 * len(block{}.entries)]holder)(unsafe.Pointer(&b.entries))
}

// addBlocks adds the blocks for the permits that do not fit into the slot.
func (m *RobustSemaphore) addBlocks(s *shm.Segment) error {
	link := &m.next
	for left := int(m.max) - len(m.inline); left > 0; {
		offset, err := allocBlock(s)
		if err != nil {
			return err
		}
		*link = offset
		b, err := blockAt(s, offset)
		if err != nil {
			return err
		}
		link = &b.next
		left -= len(b.permits())
	}
	return nil
}

// each calls visit with one permit after the other until it returns false.
func (m *RobustSemaphore) each(s *shm.Segment, visit func(h *holder) bool) error {
	list, next := m.inline[:], m.next
	for left := int(min(m.max, MaxPermits)); ; {
		for i := range list[:min(left, len(list))] {
			if !visit(&list[i]) {
				return nil
			}
		}
		if left -= len(list); left <= 0 {
			return nil
		}
		b, err := blockAt(s, next)
		if err != nil {
			return err
		}
		list, next = b.permits()[:], b.next
	}
}

// Acquire takes a permit, waiting as l allows. With unix.EOWNERDEAD the permit is
// taken, too: a process had it that died, and nobody has repaired since what it left.
func (m *RobustSemaphore) Acquire(s *shm.Segment, l *futex.Limit) error {
	err := m.take(s)
	if err == unix.EAGAIN && m.look(s) {
		err = m.take(s)
	}
	if err != unix.EAGAIN {
		return err
	}
	// The end of each look comes to us, whether it is to reach the caller or not.
	within := *l
	within.Interruptible = true
	slept := false
	for {
		again, err := futex.AwaitWord(&m.word, &within, &m.spin, permits{s, m})
		slept = slept || again
		looked := err == unix.EINTR && m.look(s)
		if err != nil && err != unix.EINTR {
			return err
		}
		if err == nil || looked {
			taken := m.take(s)
			if slept && m.ready(s) {
				m.word.Wake(1)
			}
			if taken != unix.EAGAIN {
				return taken
			}
		}
		if err != nil && l.Interruptible {
			return err
		}
		if !l.Sleeps() {
			return unix.EAGAIN
		}
	}
}

// permits is a futex.Readiness.
type permits struct {
	s *shm.Segment
	m *RobustSemaphore
}

func (p permits) Ready() bool { return p.m.ready(p.s) }

// ready reports whether a permit is free; also if that cannot be found out, which
// take then tells.
func (m *RobustSemaphore) ready(s *shm.Segment) bool {
	free := false
	err := m.each(s, func(h *holder) bool {
		free = !held(h.word.Load())
		return !free
	})
	return free || err != nil
}

// take takes a permit that is free, one that is marked rather than another, so that a
// death is told soon. unix.EAGAIN: none is free.
func (m *RobustSemaphore) take(s *shm.Segment) error {
	for {
		var found *holder
		var seen uint64
		err := m.each(s, func(h *holder) bool {
			w := h.word.Load()
			if !held(w) && (found == nil || w != 0) {
				found, seen = h, w
			}
			return seen == 0
		})
		if err != nil {
			return err
		}
		if found == nil {
			return unix.EAGAIN
		}
		if found.take(seen, 0) {
			return told(seen)
		}
	}
}

// look frees the permits of processes that have died and reports whether there were
// some.
func (m *RobustSemaphore) look(s *shm.Segment) bool {
	if !m.looked.again(int(min(m.max, MaxPermits))) {
		return false
	}
	freed, alive := 0, uint64(0)
	// What fails is told by take.
	_ = m.each(s, func(h *holder) bool {
		w := h.word.Load()
		switch {
		case !held(w) || w&^holderFlags == alive:
		case !heldByDead(w):
			alive = w &^ holderFlags
		case h.word.CompareAndSwap(w, holderMarked):
			fault.Here("permit of the dead freed")
			freed++
		}
		return true
	})
	if freed > 1 {
		m.word.Wake(freed - 1) // one is for the caller
	}
	return freed > 0
}

// Release gives back a permit of this process; unix.EPERM: it has none. One that is
// not marked comes first, since another thread may be about to repair what it was
// told of. If `keep` it is the other way round, and the mark stays, if there is one.
//
// So there are never fewer marked permits than threads that were told: a thread that
// was not told gives back a marked one only after one that was told has given back
// another, and has repaired. Who was told finds a mark to keep.
func (m *RobustSemaphore) Release(s *shm.Segment, keep bool) error {
	kept := uint64(0)
	if keep {
		kept = holderMarked
	}
	for {
		var mine *holder
		var seen uint64
		err := m.each(s, func(h *holder) bool {
			if w := h.word.Load(); holds(w) {
				mine, seen = h, w
				return w&holderMarked != kept
			}
			return true
		})
		if err != nil {
			return err
		}
		if mine == nil {
			return unix.EPERM
		}
		if mine.word.CompareAndSwap(seen, seen&kept) {
			fault.Here("permit given back")
			m.word.Wake(1)
			return nil
		}
	}
}

// Value returns how many permits are free.
func (m *RobustSemaphore) Value(s *shm.Segment) (n int, err error) {
	err = m.each(s, func(h *holder) bool {
		if !held(h.word.Load()) {
			n++
		}
		return true
	})
	return n, err
}

// Held returns how many permits this process has.
func (m *RobustSemaphore) Held(s *shm.Segment) (n int, err error) {
	err = m.each(s, func(h *holder) bool {
		if holds(h.word.Load()) {
			n++
		}
		return true
	})
	return n, err
}
