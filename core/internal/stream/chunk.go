package stream

import (
	"errors"
	"math/bits"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

// Chunk i is the bytes from i*chunkSize on. Chunk 0 begins with the segment's
// header, the streams and the pool of extents; the rest of it is a ledger's.
//
// Each chunk has two links: next leads along the chain, free down a stack. They
// are separate, so that putting a chunk on a stack leaves the chain whole until
// the change is committed. The links of the chunks of window k of the segment
// stand at the beginning of that window (those of window 0 at linkOffset), in
// chunks that are never used for anything else. Links are written under putLock.
const (
	chunkSize  = 64 << 10
	linkOffset = 2048

	window0Chunks = 16 // shm's window 0 in chunks

	// FirstAllocation is how much of a new segment needs memory at once.
	FirstAllocation = 4096

	// allocation is the step in which a chunk gets its memory, so that a
	// queue that hardly holds anything hardly takes anything.
	allocation = 16 << 10

	// warmChunks is how many drained chunks keep their memory: see reclaim.
	warmChunks = 32
)

type link struct{ next, free uint32 }

const linkSize = 8

// tableChunks is how many chunks at the beginning of the window that starts with
// chunk start hold its links; a window has as many chunks as lie before it.
func tableChunks(start uint32) uint32 {
	return uint32((uint64(start)*linkSize + chunkSize - 1) / chunkSize)
}

// hasTable reports whether the segment takes as much memory as the links of chunk c's
// window: if not, c was never used, whatever a corrupt segment says. The tables of the
// greatest windows would take all the memory there is.
func hasTable(s *shm.Segment, c uint32) bool {
	return uint64(windowStart(c))*linkSize <= s.Memory()
}

// windowStart returns the first chunk of the window that chunk c > 0 is in.
func windowStart(c uint32) uint32 {
	if c < window0Chunks {
		return 0
	}
	return 1 << (bits.Len32(c) - 1)
}

func (v *view) link(c uint32) (*link, error) {
	start := windowStart(c)
	offset := uint64(start)*chunkSize + uint64(c-start)*linkSize
	if start == 0 {
		offset += linkOffset
	}
	p, err := v.s.At(offset, linkSize)
	return (*link)(p), err
}

// chunk returns n bytes of chunk c from offset on.
func (v *view) chunk(c, offset, n uint32) ([]byte, error) {
	if offset > chunkSize || n > chunkSize-offset {
		return nil, shm.ErrBounds
	}
	p, err := v.s.At(uint64(c)*chunkSize+uint64(offset), uint64(n))
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), n), nil
}

// next returns the chunk that follows c in the chain.
func (v *view) next(c uint32) (uint32, error) {
	l, err := v.link(c)
	if err != nil {
		return 0, err
	}
	if l.next == 0 {
		return 0, shm.ErrBounds
	}
	return l.next, nil
}

// isOrdinary reports whether chunk c may be in a chain: it is none of those that hold
// the headers or links, nor of the extents' halves of windows.
func isOrdinary(c uint32) bool {
	start := windowStart(c)
	return c > 0 && (start == 0 || c-start >= tableChunks(start) && c-start < start/2)
}

// extend appends a chunk to the chain and moves the tail of st to it.
func (v *view) extend(st *putState) error {
	var c uint32
	ready := uint32(0)
	switch {
	case st.warms > 0:
		c = st.warm
		l, err := v.link(c)
		if err != nil {
			return err
		}
		st.warm = l.free
		st.warms--
		ready = chunkSize
	case st.cold != 0:
		c = st.cold
		l, err := v.link(c)
		if err != nil {
			return err
		}
		st.cold = l.free
	default:
		var err error
		if c, err = v.unused(st); err != nil {
			return err
		}
	}
	if !isOrdinary(c) {
		return shm.ErrBounds
	}
	l, err := v.link(st.tail.chunk())
	if err != nil {
		return err
	}
	fault.Here("chunk popped")
	l.next = c
	fault.Here("chunk linked")
	st.tail = at(c, 0)
	st.ready = ready
	return nil
}

// unused takes a chunk that was never used.
func (v *view) unused(st *putState) (uint32, error) {
	c := st.fresh
	if v.t.stride == 0 || v.t.stride > maxStreams {
		return 0, shm.ErrCorrupt
	}
	if start := windowStart(c); start > 0 && c < start+v.t.stride {
		if !hasTable(v.s, start-1) {
			return 0, shm.ErrBounds
		}
		// Each stream of the segment comes by here; to allocate what has
		// memory already changes nothing.
		if err := v.s.Allocate(uint64(start)*chunkSize, uint64(start)*linkSize); err != nil {
			return 0, err
		}
		fault.Here("table of links allocated")
		for c-start < tableChunks(start) {
			c += v.t.stride
		}
	}
	st.fresh = v.t.after(c)
	return c, nil
}

// after returns the chunk that is used after chunk c. The upper halves of windows
// are the extents'.
func (t *Stream) after(c uint32) uint32 {
	next := c + t.stride
	if start := windowStart(c); start > 0 && next >= start+start/2 {
		next += start / 2
	}
	return next
}

// reserve makes sure that the first n bytes of the tail chunk have memory.
func (v *view) reserve(st *putState, n uint32) error {
	if n <= st.ready {
		return nil
	}
	n = min((n+allocation-1)&^(allocation-1), chunkSize)
	err := v.s.Allocate(uint64(st.tail.chunk())*chunkSize+uint64(st.ready), uint64(n-st.ready))
	if err != nil {
		return err
	}
	fault.Here("tail chunk allocated")
	st.ready = n
	return nil
}

// collect moves drained chunks from the chain to the stacks. The caller holds
// putLock; st is the current state and remains so.
func (v *view) collect(st *putState) error {
	_, head := v.t.consumed()
	stop := head.chunk()
	if st.first == stop {
		return nil
	}
	before := st.cold
	for w := (shm.Walk{}); st.first != stop; {
		c := st.first
		if w.Circles(uint64(c)) {
			return shm.ErrCorrupt
		}
		l, err := v.link(c)
		if err != nil {
			return err
		}
		if l.next == 0 {
			return shm.ErrBounds
		}
		st.first = l.next
		if st.warms < warmChunks {
			l.free = st.warm
			st.warm = c
			st.warms++
			continue
		}
		l.free = st.cold
		st.cold = c
	}
	fault.Here("drained chunks stacked")
	v.t.commit(st)
	fault.Here("drained chunks collected")
	return v.discard(st.cold, before)
}

// discard gives back the memory of the chunks that were put on the cold stack, whose top
// was before. Only after the commit: a chunk without memory must not be found anywhere
// but there, also if this process is killed.
func (v *view) discard(top, before uint32) error {
	var run discardRun
	var w shm.Walk
	for c := top; c != before; {
		if w.Circles(uint64(c)) {
			return shm.ErrCorrupt
		}
		run.add(v.s, c)
		l, err := v.link(c)
		if err != nil {
			return err
		}
		c = l.free
	}
	run.flush(v.s)
	return nil
}

// cool gives back the memory of all drained chunks and reports whether there was any.
// The caller holds putLock; st is the current state and remains so.
func (v *view) cool(st *putState) (bool, error) {
	if err := v.collect(st); err != nil || st.warms == 0 {
		return false, err
	}
	if st.warms > warmChunks {
		return false, shm.ErrCorrupt
	}
	var last *link
	for c, n := st.warm, st.warms; n > 0; n-- {
		l, err := v.link(c)
		if err != nil {
			return false, err
		}
		last, c = l, l.free
	}
	// The warm stack ends by number: killed before the commit, this is still as it was.
	before := st.cold
	last.free = before
	st.cold, st.warm, st.warms = st.warm, 0, 0
	v.t.commit(st)
	return true, v.discard(st.cold, before)
}

// reclaim gives back the memory of a segment that nothing is in, that of free extents and
// of drained chunks, and reports whether there was any. Else it is kept for what comes
// next, but not if that needs it elsewhere and the system has none.
func reclaim(s *shm.Segment) bool {
	some := ExtentsOf(s).shed()
	for i := range Count(s.Kind) {
		v := view{Of(s, i), s}
		l := futex.Briefly()
		if v.t.lockPut(&l) != nil {
			continue // somebody is busy with it, or stopped
		}
		st := v.t.current()
		cooled, err := v.cool(&st)
		v.t.putLock.Unlock()
		some = some || cooled && err == nil
	}
	return some
}

// isNoMemory reports whether the system had none (tmpfs(5), memory of control groups).
func isNoMemory(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.ENOMEM)
}

// discardRun gives back the memory of chunks, neighbours together.
type discardRun struct{ start, end uint32 }

func (r *discardRun) add(s *shm.Segment, c uint32) {
	switch {
	case r.start == r.end:
		r.start, r.end = c, c+1
	case c == r.end:
		r.end++
	case c+1 == r.start:
		r.start--
	default:
		r.flush(s)
		r.start, r.end = c, c+1
	}
}

func (r *discardRun) flush(s *shm.Segment) {
	if r.end > r.start {
		s.Discard(uint64(r.start)*chunkSize, uint64(r.end-r.start)*chunkSize)
	}
	r.start = r.end
}

// giveBack discards the memory that a put that failed had allocated: what lies
// between the states before and after it.
func (v *view) giveBack(before, after *putState) error {
	var run discardRun
	warm := before.warms - after.warms
	var w shm.Walk
	for c := before.tail.chunk(); c != after.tail.chunk(); {
		if w.Circles(uint64(c)) {
			return shm.ErrCorrupt
		}
		next, err := v.next(c)
		if err != nil {
			return err
		}
		c = next
		if warm > 0 {
			warm--
			continue
		}
		run.add(v.s, c)
	}
	run.flush(v.s)
	return nil
}
