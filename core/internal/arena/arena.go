// Package arena keeps small objects, semaphores, events and the like, many to a
// segment.
package arena

import (
	"errors"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

// What a slot holds. Those that keep a list, of who waits or of who holds what, take
// LargeSize bytes, the others SlotSize.
const (
	Free                = 0
	KindSemaphore       = 1
	KindEvent           = 2
	KindRLock           = 3
	KindCondition       = 4 // large
	KindBarrier         = 5 // large
	KindRobustLock      = 6
	KindRobustRLock     = 7
	KindRobustSemaphore = 8 // large
)

const (
	// SlotSize is a cache line, so that neighbours do not slow each other down.
	SlotSize = 64
	// LargeSize has room for the header of Waiters and thirty of them.
	LargeSize = 1024

	pageSize = 4096
)

// The segment: its header and this package's in the first KiB, slots up to 64 KiB,
// large slots up to 1 MiB, then blocks. Memory is allocated page by page as it is
// needed; the file is sparse.
var regions = [2]struct{ start, end, slot uint64 }{
	{1024, 64 << 10, SlotSize},
	{64 << 10, 1 << 20, LargeSize},
}

func regionOf(kind uint32) int {
	switch kind {
	case KindCondition, KindBarrier, KindRobustSemaphore:
		return 1
	}
	return 0
}

func regionAt(offset uint64) int {
	if offset >= regions[1].start {
		return 1
	}
	return 0
}

// Slot is an object of SlotSize, or room for one. Larger objects begin like it.
type Slot struct {
	word atomic.Uint32 // see Semaphore and Event
	kind uint32
	max  uint32 // of a semaphore, robust or not; a barrier's parties
	spin uint32 // futex.Limit's budget, shared: a hint

	owner atomic.Uint64 // see Semaphore, RLock and RobustLock
	depth atomic.Uint32 // of an RLock, robust or not
	_     [4]byte

	holder holder // of a robust lock
	looked looked // of a robust lock
	_      [16]byte
}

var _ [SlotSize]byte = [unsafe.Sizeof(Slot{})]byte{}

// header stands behind the segment's. Only the process that made the arena
// allocates slots in it, so that nothing about them has to survive that process:
// lock is for its threads. Blocks are allocated by every process.
//
// A process killed while it allocates a block has at worst taken it off the list,
// and nobody will use it again: 4 KiB less until the arena goes.
type header struct {
	lock   futex.Mutex
	block  uint64 // offset of the first free block, 0: none
	blocks uint64 // how many the file has
	slots  [len(regions)]struct {
		allocated uint64     // up to this offset the region has memory
		used      [16]uint64 // a bit for each slot
	}
}

var _ [1024 - shm.HeaderSize - unsafe.Sizeof(header{})]byte

func headerOf(s *shm.Segment) *header {
	return (*header)(unsafe.Add(s.Base(), shm.HeaderSize))
}

// Create makes s a new, empty arena.
func Create(s *shm.Segment) error {
	if err := s.Create("goprocessing-arena", shm.KindArena, pageSize); err != nil {
		return err
	}
	format(s)
	return nil
}

// CreateFile makes s an arena with one object, at First(kind), that is to get a name.
func CreateFile(s *shm.Segment, kind, value, limit uint32) error {
	if err := s.CreateFile(shm.KindArena, pageSize); err != nil {
		return err
	}
	format(s)
	if _, err := Alloc(s, kind, value, limit); err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

// First returns the offset of the first object of that kind in an arena.
func First(kind uint32) uint64 { return regions[regionOf(kind)].start }

func format(s *shm.Segment) {
	h := headerOf(s)
	h.slots[0].allocated = pageSize
	h.slots[1].allocated = regions[1].start
}

// Alloc takes a free slot and returns its offset. When there is none it returns
// unix.ENOSPC; other errors say that there is no memory.
func Alloc(s *shm.Segment, kind, value, limit uint32) (offset uint64, err error) {
	offset, err = alloc(s, kind, value, limit)
	if err != nil || kind != KindRobustSemaphore {
		return offset, err
	}
	if err := (*RobustSemaphore)(unsafe.Pointer(At(s, offset))).addBlocks(s); err != nil {
		return 0, errors.Join(err, Release(s, offset))
	}
	return offset, nil
}

func alloc(s *shm.Segment, kind, value, limit uint32) (offset uint64, err error) {
	h := headerOf(s)
	if _, err := h.lock.Lock(&futex.Limit{How: futex.NoWait}); err != nil {
		return 0, err
	}
	defer h.lock.Unlock()
	region, slots := regions[regionOf(kind)], &h.slots[regionOf(kind)]
	for i, word := range slots.used {
		if word == ^uint64(0) {
			continue
		}
		n := i*64 + bits.TrailingZeros64(^word)
		offset = region.start + uint64(n)*region.slot
		if offset >= region.end {
			break
		}
		if offset+region.slot > slots.allocated {
			if err := s.Allocate(slots.allocated, pageSize); err != nil {
				return 0, err
			}
			fault.Here("page of slots allocated")
			slots.allocated += pageSize
		}
		p, err := s.At(offset, region.slot)
		if err != nil {
			return 0, err
		}
		slots.used[i] |= 1 << (n % 64)
		fault.Here("slot marked used")
		slot := (*Slot)(p)
		clear(unsafe.Slice((*byte)(unsafe.Pointer(slot)), region.slot))
		slot.kind, slot.max = kind, limit
		fault.Here("slot filled in")
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
	slot := At(s, offset)
	r := regionAt(offset)
	if r == 1 {
		if err := h.freeBlocks(s, (*Waiters)(unsafe.Pointer(slot))); err != nil {
			return err
		}
	}
	n := (offset - regions[r].start) / regions[r].slot
	fault.Here("slot's blocks freed")
	slot.kind = Free
	fault.Here("slot freed")
	h.slots[r].used[n/64] &^= 1 << (n % 64)
	fault.Here("slot marked unused")
	return nil
}

// Check makes sure that there is an object of the given kind at offset, of any
// kind if that is Free.
func Check(s *shm.Segment, offset uint64, kind uint32) error {
	r := regionAt(offset)
	region := regions[r]
	if offset < region.start || offset >= region.end || offset%region.slot != 0 {
		return shm.ErrBounds
	}
	p, err := s.At(offset, region.slot)
	if err != nil {
		return err
	}
	slot := (*Slot)(p)
	if is := slot.kind; is == Free || regionOf(is) != r || kind != Free && is != kind {
		return shm.ErrKind
	}
	return nil
}

// Limit returns the greatest value of a semaphore, or how many parties a barrier has.
func (o *Slot) Limit() uint32 { return o.max }

// At returns the slot at offset, which passed Check.
func At(s *shm.Segment, offset uint64) *Slot {
	return (*Slot)(unsafe.Add(s.Base(), offset))
}
