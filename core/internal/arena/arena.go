// Package arena keeps small objects, semaphores and events, many to a segment.
package arena

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

// What a slot holds.
const (
	Free          = 0
	KindSemaphore = 1
	KindEvent     = 2
)

const (
	// SlotSize is the size of an object: a cache line, so that neighbours
	// do not slow each other down.
	SlotSize = 64

	size      = 64 << 10
	firstSlot = 1024
	numSlots  = (size - firstSlot) / SlotSize
	pageSize  = 4096
)

// Slot is an object, or room for one.
type Slot struct {
	word atomic.Uint32 // see Semaphore and Event
	kind uint32
	max  uint32 // of a semaphore
	spin uint32 // futex.Limit's budget, shared: a hint

	// owner is for inspection: who acquired a semaphore last, as C callers say.
	owner uint64
	_     [40]byte
}

// header stands behind the segment's. Only the process that made the arena
// allocates in it, so that nothing here has to survive that process; lock is
// for its threads.
type header struct {
	lock      futex.Mutex
	allocated uint32 // bytes of the segment that have memory
	_         [52]byte
	used      [(numSlots + 63) / 64]uint64 // a bit for each slot
}

var _ [firstSlot - shm.HeaderSize - unsafe.Sizeof(header{})]byte

func headerOf(s *shm.Segment) *header {
	return (*header)(unsafe.Add(s.Base(), shm.HeaderSize))
}

// Create makes s a new, empty arena.
func Create(s *shm.Segment) error {
	if err := s.Create("goprocessing-arena", shm.KindArena, pageSize); err != nil {
		return err
	}
	headerOf(s).allocated = pageSize
	return nil
}

// Alloc takes a free slot and returns its offset. When there is none it returns
// unix.ENOSPC; other errors say that there is no memory.
func Alloc(s *shm.Segment, kind, value, limit uint32) (offset uint64, err error) {
	h := headerOf(s)
	if _, err := h.lock.Lock(&futex.Limit{How: futex.NoWait}); err != nil {
		return 0, err
	}
	defer h.lock.Unlock()
	for i, word := range h.used {
		n := i*64 + bits.TrailingZeros64(^word)
		if word == ^uint64(0) {
			continue
		}
		if n >= numSlots {
			break
		}
		offset = firstSlot + uint64(n)*SlotSize
		if end := uint32(offset) + SlotSize; end > h.allocated {
			if err := s.Allocate(uint64(h.allocated), pageSize); err != nil {
				return 0, err
			}
			h.allocated += pageSize
		}
		h.used[i] |= 1 << (n % 64)
		slot := At(s, offset)
		slot.kind, slot.max, slot.spin, slot.owner = kind, limit, 0, 0
		slot.word.Store(value)
		return offset, nil
	}
	return 0, unix.ENOSPC
}

// Release makes a slot free again, which nobody else may know.
func Release(s *shm.Segment, offset uint64) error {
	h := headerOf(s)
	if _, err := h.lock.Lock(&futex.Limit{How: futex.NoWait}); err != nil {
		return err
	}
	defer h.lock.Unlock()
	if err := Check(s, offset, Free); err != nil {
		return err
	}
	n := (offset - firstSlot) / SlotSize
	At(s, offset).kind = Free
	h.used[n/64] &^= 1 << (n % 64)
	return nil
}

// Check makes sure that there is an object of the given kind at offset, of any
// kind if that is Free.
func Check(s *shm.Segment, offset uint64, kind uint32) error {
	if offset < firstSlot || offset%SlotSize != 0 || offset > size-SlotSize {
		return shm.ErrBounds
	}
	p, err := s.At(offset, SlotSize)
	if err != nil {
		return err
	}
	slot := (*Slot)(p)
	if slot.kind == Free || kind != Free && slot.kind != kind {
		return shm.ErrKind
	}
	return nil
}

// At returns the slot at offset, which passed Check.
func At(s *shm.Segment, offset uint64) *Slot {
	return (*Slot)(unsafe.Add(s.Base(), offset))
}
