package arena

import (
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

// block is room for more waiters than fit in a slot, or for more permits of a robust
// semaphore. Once linked to a slot, it stays there until the slot is released.
type block struct {
	next    uint64 // offset of the next block of the chain, 0: none
	_       [24]byte
	entries [127]Waiter
}

const (
	blockSize  = uint64(unsafe.Sizeof(block{}))
	firstBlock = 1 << 20
	maxBlocks  = 1 << 16
)

var _ [pageSize - blockSize]byte

func blockAt(s *shm.Segment, offset uint64) (*block, error) {
	if offset < firstBlock || offset%blockSize != 0 {
		return nil, shm.ErrBounds
	}
	p, err := s.At(offset, blockSize)
	return (*block)(p), err
}

// allocBlock returns an empty block.
func allocBlock(s *shm.Segment) (offset uint64, err error) {
	h := headerOf(s)
	if _, err := h.lock.Lock(&futex.Limit{How: futex.NoWait}); err != nil {
		return 0, err
	}
	defer h.lock.Unlock()
	offset = h.block
	if offset == 0 {
		if h.blocks >= maxBlocks {
			return 0, unix.ENOSPC
		}
		offset = firstBlock + h.blocks*blockSize
		if err := s.Allocate(offset, blockSize); err != nil {
			return 0, err
		}
		fault.Here("block allocated")
		h.blocks++
	}
	b, err := blockAt(s, offset)
	if err != nil {
		return 0, err
	}
	if offset == h.block {
		h.block = b.next
		fault.Here("block taken off the list")
	}
	*b = block{}
	fault.Here("block cleared")
	return offset, nil
}

// freeBlocks takes the blocks away from t. h.lock is held.
func (h *header) freeBlocks(s *shm.Segment, t *Waiters) error {
	last, err := t.lists(s, func(int, []Waiter) bool { return true })
	if err != nil || last == &t.next {
		return err
	}
	chain := t.next
	t.next = 0
	fault.Here("blocks taken away from a slot")
	*last = h.block
	fault.Here("blocks linked to the list")
	h.block = chain
	return nil
}
