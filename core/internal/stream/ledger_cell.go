package stream

import (
	"math/bits"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// Cell c is the bytes from c*cellSize on of region 0, the rest of chunk 0, of which
// some has memory from the beginning. Region k > 0 is an extent, as large as all
// before it together. An extent becomes the ledger's in this order: it is noted in
// ledger.extents, it is booked, and then gets memory and is used; and ceases to be in
// the opposite one. Killed in between, it belongs to the dead process, and is
// recovered as any other: rebuild forgets extents that are not booked.
const (
	cellSize   = 128
	firstCell  = 17 // behind the links of chunks
	moreCells  = chunkSize / cellSize
	maxRegions = 20
)

// booked is the owner of an extent that is the ledger's: of a region, which belongs to
// no item, or of the item of an entry.
const booked = queued - 1

// regionOf returns the region that cell c is in.
func regionOf(c uint32) int { return bits.Len32(c / moreCells) }

// regionStart returns the first cell of region k > 0.
func regionStart(k int) uint32 { return moreCells << (k - 1) }

func (k books) cell(c uint32) (*cell, error) {
	if c < firstCell || c >= k.fresh.Load() {
		return nil, shm.ErrBounds
	}
	if c < FirstAllocation/cellSize {
		return (*cell)(unsafe.Add(k.s.Base(), uintptr(c)*cellSize)), nil
	}
	return k.place(c)
}

// place is cell for one that need not be in use.
func (k books) place(c uint32) (*cell, error) {
	offset := uint64(c) * cellSize
	if region := regionOf(c); region > 0 {
		if region > maxRegions || k.extents[region-1] == 0 {
			return nil, shm.ErrBounds
		}
		offset = uint64(k.extents[region-1])*chunkSize + uint64(c-regionStart(region))*cellSize
	}
	p, err := k.s.At(offset, cellSize)
	return (*cell)(p), err
}

// most returns how many steps a list of cells can have that does not go round in
// circles. Unless they are many that is not worth a system call.
func (k books) most() uint32 {
	fresh := k.fresh.Load()
	if fresh <= 1<<16 {
		return fresh
	}
	return uint32(min(uint64(fresh), k.s.Memory()/cellSize))
}

// take takes a cell, whose owner is 0.
func (k books) take() (uint32, error) {
	if c := k.free; c != 0 {
		p, err := k.cell(c)
		if err != nil {
			return 0, err
		}
		k.free = p.more
		return c, nil
	}
	c := k.fresh.Load()
	if c >= k.ready {
		if err := k.grow(); err != nil {
			return 0, err
		}
	}
	p, err := k.place(c)
	if err != nil {
		return 0, err
	}
	// Memory that was an extent's has anything in it.
	p.owner.Store(0)
	k.fresh.Store(c + 1)
	return c, nil
}

// drop makes cells free: c, and those that follow it.
func (k books) drop(c uint32) {
	last := c
	for left := k.most(); ; left-- {
		p, err := k.cell(last)
		if err != nil || left == 0 {
			return // corrupt: they stay taken
		}
		if p.more == 0 {
			p.more = k.free
			k.free = c
			return
		}
		last = p.more
	}
}

// grow has more cells have memory.
func (k books) grow() error {
	region := regionOf(k.ready)
	if region == 0 {
		n := min(allocation, chunkSize-k.ready*cellSize)
		if err := k.s.Allocate(uint64(k.ready)*cellSize, uint64(n)); err != nil {
			return err
		}
		k.ready += n / cellSize
		return nil
	}
	if region > maxRegions {
		return shm.ErrBounds
	}
	x := ExtentsOf(k.s)
	start := regionStart(region)
	size := uint64(start) * cellSize
	if k.extents[region-1] == 0 {
		c, e, err := x.take(size, true, &futex.Limit{How: futex.NoWait})
		if err != nil {
			return err
		}
		k.extents[region-1] = c
		fault.Here("ledger extent noted")
		e.owner.Store(booked)
	}
	c := k.extents[region-1]
	e, err := x.at(c)
	if err != nil {
		return err
	}
	ready := e.ready.Load()
	if want := uint64(k.ready-start)*cellSize + pageSize; ready < want {
		step := min(max(allocation, ready/2&^(pageSize-1)), maxStep, size-ready)
		if err := k.s.Allocate(uint64(c)*chunkSize+ready, step); err != nil {
			return err
		}
		ready += step
		e.ready.Store(ready)
	}
	k.ready = start + uint32(min(ready, size)/cellSize)
	return nil
}

// reset gives back the memory of a ledger that has become large and now is empty.
func (k books) reset() {
	if k.extents[0] == 0 || k.t.obtained() > k.t.done.Load() {
		return
	}
	k.fresh.Store(firstCell)
	k.free, k.takers, k.first = 0, 0, 0
	k.shrink(0)
}

// shrink gives back the extents of the regions above one.
func (k books) shrink(region int) {
	x := ExtentsOf(k.s)
	for i := maxRegions; i > region; i-- {
		c := k.extents[i-1]
		if c == 0 {
			continue
		}
		k.ready = min(k.ready, regionStart(i))
		e, err := x.at(c)
		if err != nil || e.owner.Load() != booked || e.item.Load() != none {
			k.extents[i-1] = 0
			continue
		}
		e.owner.Store(futex.Self)
		fault.Here("ledger extent given up")
		k.extents[i-1] = 0
		x.Release(Ref{Offset: uint64(c) * chunkSize})
	}
}

// reading is a place in a stream or in an entry of its ledger, from which the record of
// an item is read.
type reading struct {
	head position
	rest []byte // of the entry's cell, unless
	more uint32
	k    *books // it is nil
}

// readFrom copies the bytes at r to data and advances r.
func (v *view) readFrom(r *reading, data []byte) error {
	if r.k == nil {
		return v.read(&r.head, data)
	}
	for len(data) > 0 {
		if len(r.rest) == 0 {
			p, err := r.k.cell(r.more)
			if err != nil {
				return err
			}
			r.rest, r.more = p.data[:], p.more
		}
		n := copy(data, r.rest)
		data, r.rest = data[n:], r.rest[n:]
	}
	return nil
}

// read begins to read an entry.
func (k *books) read(e *entry) reading { return reading{rest: e.data[:], more: e.more, k: k} }

// refs calls f with the references of an entry that has some.
func (k books) refs(c uint32, f func(Ref) error) error {
	e, err := k.entryAt(c)
	if err != nil {
		return err
	}
	word, err := k.header(e)
	if err != nil {
		return err
	}
	v := view{k.t, k.s}
	r := k.read(e)
	count, _, err := v.references(&r, word&maxItem)
	if err != nil {
		return err
	}
	for range count {
		var b [refSize]byte
		if err := v.readFrom(&r, b[:]); err != nil {
			return err
		}
		if err := f(DecodeRef(b[:])); err != nil {
			return err
		}
	}
	return nil
}
