package stream

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/process"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

// Extents hold large items, each in one piece, so that a consumer may use one
// where it lies: it owns the extent until it releases it.
//
// An extent is a run of 2^class chunks, aligned to its size, in the upper half of
// a window of the segment; the chunks of streams are in the lower halves. It has
// memory only as far as it was ever filled, and keeps it when it is free, because
// touched pages are several times faster than fresh ones; what is free beyond the
// needs of the items that came by last is given back.
//
// Its descriptor stands in the segment's table of links, in the place of those of
// its first four chunks, which no chain needs.
type extent struct {
	// Who is responsible for it: nobody if it is free; the process that fills
	// or reads it; or, while it is on its way from one to the other, its item.
	owner atomic.Uint64
	item  atomic.Uint64 // the item that it belongs to, with its stream; or none
	ready atomic.Uint64 // bytes that have memory, from the beginning on; the owner's
	free  uint32        // the next one on a stack; under Pool.lock
	class atomic.Uint32 // written once; 0: no extent begins here
}

// Values of owner: 0, those of futex.Mutex, booked (see ledger), and
const queued = 1<<64 - 1

// An item is the number of items put before it, and in the upper bit its stream.
const (
	stream1 = 1 << 63
	none    = stream1 - 1
)

// Pool is the shared state of the extents of a segment.
//
// Under lock an extent is taken from a stack and gets an owner, or loses its owner
// and is put on a stack. A producer fills the extents of its item, notes its
// number, makes them queued and then commits the item, all but the first under
// putLock; a consumer makes them its own and then commits, under getLock.
//
// So a process that is killed leaves extents that have an owner, but are lost:
//
//   - It owns them, and they belong to no item, or to one that was got. No other
//     process knows them any more.
//   - They are queued for an item that was got. Whoever gets an item makes its
//     extents its own before; so they were of one that was never committed, whose
//     number another item bears, or of one that was dropped (see Shutdown).
//
// As long as the number of an item is that of one that may still be got, nothing is
// concluded, and sooner or later it is not, at the latest when the stream is gone:
// then nobody who lives is getting an item, or putting one.
//
// Whoever finds no free extent, once twice as much has owners as at the least since
// the last time, or takes over lock from a process that was killed inside, looks for
// the lost ones, and builds the stacks anew (see recover): what is lost stays in
// proportion to what is in use. An extent is declared free by a compare-and-swap of
// its owner, in case somebody comes to own it in between.
type Pool struct {
	lock   futex.Mutex
	fresh  atomic.Uint32 // the first chunk beyond all extents
	live   uint32        // chunks of extents on no stack
	low    uint32        // the fewest of them since lost ones were looked for
	_      uint32
	kept   uint64             // bytes of memory of free extents
	recent uint64             // bytes that an item takes, of late
	warm   [numClasses]uint32 // tops of the stacks of free extents with memory
	cold   [numClasses]uint32 // and of those without

	releases atomic.Uint32 // how often one was released; under lock
	released futex.Word    // one was
	_        [poolSize - 48 - 8*numClasses]byte
}

const (
	extentSize = 32
	pageSize   = 4096 // or a part of a page
	minClass   = 2    // the links of so many chunks have room for a descriptor
	numClasses = 30
	maxChunks  = 1 << 31

	poolOffset = shm.HeaderSize + maxStreams*Size
	poolSize   = linkOffset - poolOffset

	unknown = maxChunks // of Pool.live: more than there can be in a segment

	minLooking = 8 << 20 / chunkSize
	minKept    = 16 << 20

	// An extent gets its memory in steps, because in Linux 6.1 and before any signal
	// makes fallocate(2) undo what it did. Where a timer runs, a large one never ends.
	maxStep = 1 << 20
)

var (
	_ [extentSize]byte           = [unsafe.Sizeof(extent{})]byte{}
	_ [linkSize << minClass]byte = [extentSize]byte{}
	_ [poolSize]byte             = [unsafe.Sizeof(Pool{})]byte{}
)

// Ref tells where data lies in a segment.
type Ref struct {
	Offset uint64 // of an extent, in bytes
	Len    uint64 // bytes
}

// Extents are the extents of a segment.
type Extents struct {
	p *Pool
	s *shm.Segment
}

// ExtentsOf returns the extents of a segment that was made by Init.
func ExtentsOf(s *shm.Segment) Extents {
	return Extents{(*Pool)(unsafe.Add(s.Base(), poolOffset)), s}
}

// at returns the descriptor of the extent that begins with chunk c.
func (x Extents) at(c uint32) (*extent, error) {
	start := windowStart(c)
	if start == 0 || c < start+start/2 || c%(1<<minClass) != 0 {
		return nil, shm.ErrBounds
	}
	p, err := x.s.At(uint64(start)*chunkSize+uint64(c-start)*linkSize, extentSize)
	return (*extent)(p), err
}

// find returns the descriptor of the extent that holds what r refers to.
func (x Extents) find(r Ref) (*extent, error) {
	c := r.Offset / chunkSize
	if r.Offset%chunkSize != 0 || c >= uint64(x.p.fresh.Load()) {
		return nil, shm.ErrBounds
	}
	e, err := x.at(uint32(c))
	if err != nil {
		return nil, err
	}
	if class := e.class.Load(); class < minClass || class >= numClasses || r.Len > chunkSize<<class {
		return nil, shm.ErrBounds
	}
	return e, nil
}

// Bytes returns what r refers to.
func (x Extents) Bytes(r Ref) ([]byte, error) {
	if _, err := x.find(r); err != nil {
		return nil, err
	}
	p, err := x.s.At(r.Offset, r.Len)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), r.Len), nil
}

// Take returns an extent of n bytes that have memory, of which this process is the
// owner. Errors: unix.EFBIG; that there is no memory; as futex.Mutex.Lock; unix.EAGAIN,
// if l allows only to spin, and it is better to sleep a little.
func (x Extents) Take(n uint64, l *futex.Limit) (Ref, error) {
	r, err := x.tryTake(n, l)
	if isNoMemory(err) && reclaim(x.s) {
		return x.tryTake(n, l)
	}
	return r, err
}

// tryTake is Take with what memory the system has.
func (x Extents) tryTake(n uint64, l *futex.Limit) (Ref, error) {
	if n > chunkSize<<(numClasses-1) {
		return Ref{}, unix.EFBIG
	}
	need := (max(n, 1) + pageSize - 1) &^ (pageSize - 1)
	before := x.p.releases.Load()
	waits := (l.Spins() || l.Sleeps()) && before != atomic.LoadUint32(&x.s.Spin[4])
	c, e, err := x.take(need, !waits, l)
	if err == nil && e == nil {
		if !l.Sleeps() {
			return Ref{}, unix.EAGAIN
		}
		x.awaitRelease(before, n, l)
		c, e, err = x.take(need, true, l)
	}
	if err != nil {
		return Ref{}, err
	}
	r := Ref{uint64(c) * chunkSize, n}
	for ready := e.ready.Load(); ready < need; {
		step := min(need-ready, maxStep)
		if err := x.s.Allocate(r.Offset+ready, step); err != nil {
			x.empty(c, e)
			x.Release(r)
			return Ref{}, err
		}
		fault.Here("step of an extent allocated")
		ready += step
		e.ready.Store(ready)
	}
	return r, nil
}

// awaitRelease waits a moment for an extent to be released. Producers that are faster
// than the consumers would go on taking fresh memory, which costs more than to wait for
// what the consumers are about to release (see patience). If they have released
// something since this handle last took an extent, it waits for about as long as
// fresh memory would take, a nanosecond for each byte.
func (x Extents) awaitRelease(before uint32, n uint64, l *futex.Limit) {
	moment := *l
	moment.How, moment.Deadline = futex.Sleep, min(l.Deadline, futex.Now()+int64(n))
	// However it ends, the item is to be put.
	_, _ = futex.AwaitWord(&x.p.released, &moment, &x.s.Spin[4], hasRelease{x.p, before})
}

type hasRelease struct {
	p      *Pool
	before uint32
}

func (r hasRelease) Ready() bool { return r.p.releases.Load() != r.before }

// empty gives back the memory of an extent of this process.
func (x Extents) empty(c uint32, e *extent) {
	n := e.ready.Load()
	e.ready.Store(0)
	fault.Here("extent marked empty")
	x.s.Discard(uint64(c)*chunkSize, n)
}

func classOf(n uint64) uint32 {
	chunks := (n + chunkSize - 1) / chunkSize
	return max(uint32(bits.Len64(max(chunks, 1)-1)), minClass)
}

// take takes an extent for so many bytes, or returns nil if that would need fresh
// memory, unless grow.
func (x Extents) take(need uint64, grow bool, l *futex.Limit) (uint32, *extent, error) {
	if err := x.enter(l); err != nil {
		return 0, nil, err
	}
	defer x.p.lock.Unlock()
	fault.Here("pool locked")
	class := classOf(need)
	c, e, err := x.pop(&x.p.warm, class)
	if err == nil && e == nil && !grow {
		return 0, nil, nil
	}
	if err == nil && e == nil {
		c, e, err = x.grow(class, need)
	}
	if err != nil {
		return 0, nil, err
	}
	fault.Here("extent popped")
	x.own(e, class)
	atomic.StoreUint32(&x.s.Spin[4], x.p.releases.Load())
	return c, e, nil
}

// own makes this process the owner of an extent that is on no stack any more.
func (x Extents) own(e *extent, class uint32) {
	e.item.Store(none)
	e.owner.Store(futex.Self)
	fault.Here("extent owned")
	x.p.live += 1 << class
}

// grow takes an extent that is lost, or has no memory, or is new.
func (x Extents) grow(class uint32, need uint64) (c uint32, e *extent, err error) {
	if x.p.live/2 >= max(x.p.low, minLooking) {
		if err := x.recover(); err != nil {
			return 0, nil, err
		}
		if c, e, err = x.pop(&x.p.warm, class); e != nil || err != nil {
			return c, e, err
		}
	}
	if c, e, err = x.pop(&x.p.cold, class); e != nil || err != nil {
		return c, e, err
	}
	return x.extend(class, need)
}

// enter takes the lock.
func (x Extents) enter(l *futex.Limit) error {
	inherited, err := x.p.lock.Lock(l)
	if err != nil {
		return err
	}
	if inherited {
		fault.Here("pool inherited")
		if err := x.recover(); err != nil {
			x.p.lock.Unlock()
			return err
		}
	}
	return nil
}

// pop takes an extent from a stack; nil if there is none. Whatever the stacks of a
// corrupt segment say, what it returns is a free extent of that class.
func (x Extents) pop(tops *[numClasses]uint32, class uint32) (uint32, *extent, error) {
	c := tops[class]
	if c == 0 {
		return 0, nil, nil
	}
	e, err := x.at(c)
	if err != nil {
		return 0, nil, err
	}
	ready := e.ready.Load()
	if e.owner.Load() != 0 || e.class.Load() != class || ready > 0 != (tops == &x.p.warm) {
		return 0, nil, shm.ErrBounds
	}
	tops[class] = e.free
	x.p.kept -= ready
	return c, e, nil
}

// push puts an extent that has no owner on a stack, and returns its class.
func (x Extents) push(c uint32, e *extent) (class uint32) {
	class = min(e.class.Load(), numClasses-1)
	top := &x.p.cold[class]
	if ready := e.ready.Load(); ready > 0 {
		top = &x.p.warm[class]
		x.p.kept += ready
	}
	e.free = *top
	fault.Here("extent put before the stack")
	*top = c
	return class
}

// extend makes a new extent, for so many bytes. Killed before it has a class, it is a
// gap.
func (x Extents) extend(class uint32, need uint64) (uint32, *extent, error) {
	fresh := x.p.fresh.Load()
	if fresh > 0 && !hasTable(x.s, fresh-1) {
		return 0, nil, shm.ErrBounds
	}
	c, ok := place(fresh, class)
	if !ok {
		return 0, nil, unix.EFBIG
	}
	for start := windowStart(max(fresh, window0Chunks)); start <= c; start *= 2 {
		if fresh > start+start/2 {
			continue
		}
		// The first one of its window, or there is none in this window. What of
		// the table has memory already, that of the chunks' links, stays as it is.
		if err := x.s.Allocate(uint64(start)*chunkSize, uint64(start)*linkSize); err != nil {
			return 0, nil, err
		}
	}
	// A file that must not become so long (RLIMIT_FSIZE) tells now, while the place
	// is still there for a smaller one.
	if err := x.s.Allocate(uint64(c)*chunkSize+need-pageSize, pageSize); err != nil {
		return 0, nil, err
	}
	e, err := x.at(c)
	if err != nil {
		return 0, nil, err
	}
	fault.Here("place of an extent allocated")
	x.p.fresh.Store(c + 1<<class)
	fault.Here("gap made for an extent")
	e.class.Store(class)
	fault.Here("extent made")
	return c, e, nil
}

// place returns where the next extent of a class lies if those up to chunk fresh are
// taken.
func place(fresh, class uint32) (c uint32, ok bool) {
	size := uint64(1) << class
	for start := uint64(windowStart(max(fresh, window0Chunks))); start < maxChunks; start *= 2 {
		c := (max(uint64(fresh), start+start/2) + size - 1) &^ (size - 1)
		if c+size <= 2*start {
			return uint32(c), true
		}
	}
	return 0, false
}

// Release makes an extent of this process free, and gives back memory of free
// extents that exceeds the needs, that of the largest first.
func (x Extents) Release(r Ref) {
	e, err := x.find(r)
	if err != nil || e.owner.Load() != futex.Self {
		return
	}
	x.trim(x.release(uint32(r.Offset/chunkSize), e, e.ready.Load()))
}

// trim gives back the memory of e, which excess returned, and of others.
func (x Extents) trim(c uint32, e *extent) {
	for e != nil {
		x.empty(c, e)
		c, e = x.release(c, e, 0)
	}
}

// release makes e free, and returns excess. n is how much an item took, 0 if none did.
func (x Extents) release(c uint32, e *extent, n uint64) (uint32, *extent) {
	l := futex.Briefly()
	if x.enter(&l) != nil {
		// Somebody was stopped inside. It is free all the same, and will be
		// found.
		e.owner.Store(0)
		return 0, nil
	}
	defer x.p.lock.Unlock()
	e.owner.Store(0)
	fault.Here("extent disowned")
	x.p.live -= 1 << x.push(c, e)
	fault.Here("extent stacked")
	x.p.low = min(x.p.low, x.p.live)
	x.p.releases.Add(1)
	fault.Here("release counted")
	x.p.released.Wake(1)
	if n > 0 {
		x.p.recent = max(n, x.p.recent-x.p.recent/64)
	}
	return x.excess()
}

// excess takes an extent whose memory is to be given back, if any is.
func (x Extents) excess() (uint32, *extent) { return x.spare(max(2*x.p.recent, minKept)) }

// spare takes a free extent with memory, if free ones have more than so many bytes.
func (x Extents) spare(kept uint64) (uint32, *extent) {
	if x.p.kept <= kept {
		return 0, nil
	}
	for class := uint32(numClasses - 1); class >= minClass; class-- {
		if c, e, err := x.pop(&x.p.warm, class); err == nil && e != nil {
			fault.Here("excess popped")
			x.own(e, class)
			return c, e
		}
	}
	return 0, nil
}

// shed gives back the memory of all free extents and reports whether there was any.
func (x Extents) shed() (some bool) {
	for {
		l := futex.Briefly()
		if x.enter(&l) != nil {
			return some
		}
		c, e := x.spare(0)
		x.p.lock.Unlock()
		if e == nil {
			return some
		}
		x.trim(c, e)
		some = true
	}
}

// RecoverLost makes the extents of items that were dropped free.
func (x Extents) RecoverLost() {
	l := futex.Briefly()
	if x.enter(&l) != nil {
		return
	}
	_ = x.recover() // what is corrupt stays lost
	c, e := x.excess()
	x.p.lock.Unlock()
	x.trim(c, e)
}

// recover builds the stacks anew, with the extents that are lost. The caller holds
// the lock. After an error so much seems to be in use that the next one who finds no
// free extent tries again.
func (x Extents) recover() error {
	p := x.p
	fresh := p.fresh.Load()
	if fresh > 0 && !hasTable(x.s, fresh-1) {
		return shm.ErrBounds
	}
	p.warm, p.cold = [numClasses]uint32{}, [numClasses]uint32{}
	p.kept, p.live = 0, unknown
	fault.Here("stacks emptied")
	live := uint32(0)
	var known judgement
	for c := uint32(window0Chunks); c < fresh; {
		start := windowStart(c)
		if half := start + start/2; c < half {
			c = half
			continue
		}
		e, err := x.at(c)
		if err != nil {
			return err
		}
		class := e.class.Load()
		if class < minClass || class >= numClasses {
			// A gap: extents are aligned.
			c += 1 << minClass
			continue
		}
		owner := e.owner.Load()
		if owner != 0 && x.lost(e, owner, &known) {
			x.forget(c, e, class)
			fault.Here("lost extent's memory given back")
			if e.owner.CompareAndSwap(owner, 0) {
				fault.Here("lost extent freed")
				owner = 0
			}
		}
		if owner == 0 {
			x.push(c, e)
		} else {
			live += 1 << class
		}
		c += 1 << class
	}
	fault.Here("stacks rebuilt")
	p.live, p.low = live, live
	return nil
}

// forget gives back the memory of a lost extent that its owner, killed as it allocated
// or discarded it, had not noted.
func (x Extents) forget(c uint32, e *extent, class uint32) {
	if ready, size := e.ready.Load(), uint64(chunkSize)<<class; ready < size {
		x.s.Discard(uint64(c)*chunkSize+ready, size-ready)
	}
}

// judgement remembers whether a process is dead, since many extents have the same
// owner.
type judgement struct {
	owner uint64
	dead  bool
}

func (x Extents) lost(e *extent, owner uint64, known *judgement) bool {
	if owner == booked {
		return false
	}
	item := e.item.Load()
	if item != none {
		t := Of(x.s, uint32(item/stream1))
		if t.putFlags.Load()&gone == 0 && t.gets.Load() <= item&^stream1 {
			return false
		}
		if owner == queued {
			return true
		}
	} else if owner == queued {
		return false
	}
	if known.owner != owner {
		*known = judgement{owner, !process.ID{PID: uint32(owner), Start: uint32(owner >> 32)}.Alive()}
	}
	return known.dead
}

// enqueue hands the extents of an item over to it. The caller holds putLock of its
// stream, and is about to commit the item.
func (x Extents) enqueue(refs []Ref, item uint64) error {
	for _, r := range refs {
		e, err := x.find(r)
		if err != nil {
			return err
		}
		e.item.Store(item)
		fault.Here("extent numbered")
		e.owner.Store(queued)
		fault.Here("extent queued")
	}
	return nil
}

// dequeue takes the extents of an item that cannot be committed back.
func (x Extents) dequeue(refs []Ref) {
	for _, r := range refs {
		if e, err := x.find(r); err == nil {
			e.owner.Store(futex.Self)
			e.item.Store(none)
		}
	}
}

// claim makes this process the owner of an extent, and returns how many bytes it
// holds. The caller holds getLock, and is about to commit that it got the item.
func (x Extents) claim(r Ref) (uint64, error) {
	e, err := x.find(r)
	if err != nil {
		return 0, err
	}
	e.owner.Store(futex.Self)
	return r.Len, nil
}

// book makes the ledger of item n's stream the owner of an extent of that item, from
// whatever a process that was killed left it to. The caller holds getLock, and is about
// to commit that it got the item.
func (x Extents) book(r Ref, n uint64) error {
	e, err := x.find(r)
	if err != nil {
		return err
	}
	if e.item.Load() != n {
		return shm.ErrBounds
	}
	e.owner.Store(booked)
	return nil
}

// unbook makes this process the owner of an extent, if the ledger is, for item n.
func (x Extents) unbook(r Ref, n uint64) bool {
	e, err := x.find(r)
	return err == nil && e.item.Load() == n && e.owner.CompareAndSwap(booked, futex.Self)
}
