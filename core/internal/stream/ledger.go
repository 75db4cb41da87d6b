package stream

import (
	"sync/atomic"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// ledger is what a stream that keeps one (see Keep) knows of the items that were
// taken and not yet marked done: for each an entry, with the process that took it and
// the item itself. All of it is under getLock.
//
// The entries alone are the truth; the lists, the stack and the counts below are
// made of them anew by whoever takes getLock over from a process that was killed (see
// rebuild). An entry is in force as long as it has an owner and its item was got:
//
//   - A get writes the entry, gives it an owner, and commits gets. Killed before
//     that, the item is still in the stream, and the entry void: its number is not
//     below gets. Nobody gets anything before it is gone, for that takes getLock.
//   - One that is returned gets another owner by one store, and when its owner has
//     died it is returned by one store.
//   - To mark it done is to count it in done, after the entry was noted in marked, and
//     before it is taken away. So killed in between, there is one entry more than there
//     should be: one for each item that was got, but for those done and those forgotten.
//     Items that are marked done before they are got have none.
//   - A program that never marks anything must not make the ledger grow for ever. So
//     unless the stream redelivers, who is about to get an item first forgets the oldest
//     of its own, but for the last, as long as the ledger holds more than maxKept: as
//     marking, but counted in forgotten. These are the first to be marked. One is taken
//     off forgotten before it is counted in done; killed in between, there is one entry
//     less than there should be, and done follows.
//
// Thus each item that was put is in the stream, in the ledger, or done. The extents of
// an item belong to its entry (booked) from before the commit of gets until they are
// released, so an entry that has some is first declared finished, which is as good as
// having no owner: what is killed then leaves it to rebuild to release the rest.
type ledger struct {
	forgotten uint64 // items that were got and are not done, but have no entry
	kept      uint64 // bytes of the items that have entries

	returned atomic.Uint64 // bits 0..31: how many entries can be got; 32..63: changes
	looked   atomic.Int64  // when somebody looked whether takers have died
	order    uint64        // how many were taken
	fresh    atomic.Uint32 // the first cell that was never used
	ready    uint32        // the first cell without memory
	free     uint32        // a stack of cells
	takers   uint32        // a list of the processes that have taken items
	first    uint32        // a list of entries whose takers died, in the order of their items
	extents  [maxRegions]uint32
	marked   uint32 // the entry that was counted last, as done or forgotten
}

// maxKept is how many bytes of items the ledger holds of a stream that does not
// redeliver: those of some hundred thousand small ones.
var maxKept uint64 = 64 << 20 // a variable for tests

// Modes of a stream.
const (
	keeps      = 1 << iota // there is a ledger
	redelivers             // what a taker that died has not done can be got again
	unused                 // see Disuse
)

// Values of an entry's owner: 0, those of futex.Mutex, and
const (
	orphaned = 1<<64 - 1 - iota // its taker died
	finished                    // done, but for the release of its extents
	ofTaker                     // this is no entry, but a taker
)

// A cell is a part of an entry, a taker, or free.
type cell struct {
	owner atomic.Uint64 // 0, unless an entry begins here
	next  uint32        // in a list
	more  uint32        // the next cell of the entry, or of the stack of free ones
	data  [cellSize - 16]byte
}

type entry struct {
	owner atomic.Uint64
	next  uint32
	more  uint32
	n     uint64 // how many items were put before this one
	order uint64 // how many items were taken before this one was
	word  uint64 // the header of its record, and in its cells what follows that
	data  [cellSize - 40]byte
}

// taker is a process with the entries that it owns, in the order in which it took
// them. One that has none may be replaced by another.
type taker struct {
	mark  atomic.Uint64 // ofTaker
	next  uint32
	_     uint32
	owner uint64
	first uint32
	last  uint32
	_     [cellSize - 32]byte
}

// books is the ledger of a stream as this process sees it. All of its methods are for
// those who hold getLock.
type books struct {
	*ledger
	t *Stream
	s *shm.Segment
}

func (t *Stream) books(s *shm.Segment) books { return books{&t.ledger, t, s} }

// Keep gives a new stream, the only one of its segment, a ledger. redeliver: what was
// taken by a process that died is to be got again.
func (t *Stream) Keep(redeliver bool) {
	t.mode = keeps
	if redeliver {
		t.mode |= redelivers
	}
	t.ledger.fresh.Store(firstCell)
	t.ledger.ready = FirstAllocation / cellSize
}

// Keeps reports whether the stream has a ledger.
func (t *Stream) Keeps() bool { return t.mode&keeps != 0 }

// obtained returns how many items were got, which is not what gets says once the rest was
// dropped.
func (t *Stream) obtained() uint64 {
	if t.putFlags.Load()&gone != 0 {
		return t.due()
	}
	return t.gets.Load()
}

// book makes an entry for the item before which n were put, of its record: its header
// and what follows that, at from.
func (k books) book(n, word uint64, from reading) (uint32, error) {
	by, err := k.self()
	if err != nil {
		return 0, err
	}
	c, err := k.take()
	if err != nil {
		return 0, err
	}
	p, err := k.cell(c)
	if err != nil {
		return 0, err
	}
	p.more = 0
	e := p.entry()
	e.n, e.word = n, word
	v := view{k.t, k.s}
	room := e.data[:]
	for left := word & maxItem; ; {
		size := min(left, uint64(len(room)))
		if err = v.readFrom(&from, room[:size]); err != nil {
			break
		}
		if left -= size; left == 0 {
			break
		}
		if p, err = k.append(p); err != nil {
			break
		}
		room = p.data[:]
	}
	if err != nil {
		k.drop(c)
		return 0, err
	}
	k.give(c, e, by)
	k.kept += k.size(c, e)
	fault.Here("ledger entry written")
	return c, nil
}

// append gives an entry that ends with cell p another one.
func (k books) append(p *cell) (*cell, error) {
	c, err := k.take()
	if err != nil {
		return nil, err
	}
	next, err := k.cell(c)
	if err != nil {
		return nil, err
	}
	next.more = 0
	p.more = c
	return next, nil
}

// give makes a taker the owner of an entry that is in no list.
func (k books) give(c uint32, e *entry, by *taker) {
	e.next, e.order = 0, k.order
	k.order++
	e.owner.Store(by.owner)
	k.enlist(c, by)
}

// enlist appends an entry to the list of its owner.
func (k books) enlist(c uint32, by *taker) {
	if by.first == 0 {
		by.first = c
	} else if last, err := k.cell(by.last); err == nil {
		last.next = c
	}
	by.last = c
}

// self returns this process as a taker.
func (k books) self() (*taker, error) {
	if by := k.known(); by != nil {
		return by, nil
	}
	c, by, err := k.takerOf(futex.Self)
	if err == nil {
		atomic.StoreUint32(&k.s.Spin[5], c)
	}
	return by, err
}

// known returns this process as a taker if this handle knows it as one.
func (k books) known() *taker {
	c := atomic.LoadUint32(&k.s.Spin[5])
	if c == 0 {
		return nil
	}
	if p, err := k.cell(c); err == nil && p.owner.Load() == ofTaker && p.taker().owner == futex.Self {
		return p.taker()
	}
	return nil
}

// takerOf returns a process as a taker.
func (k books) takerOf(owner uint64) (found uint32, by *taker, err error) {
	err = k.eachTaker(func(c uint32, other *taker) (bool, error) {
		if other.owner == owner || other.first == 0 {
			found, by = c, other
		}
		return other.owner != owner, nil
	})
	if err != nil {
		return 0, nil, err
	}
	if found != 0 {
		by.owner = owner
		return found, by, nil
	}
	c, err := k.take()
	if err != nil {
		return 0, nil, err
	}
	p, err := k.cell(c)
	if err != nil {
		return 0, nil, err
	}
	by = p.taker()
	by.owner, by.first, by.last, by.next = owner, 0, 0, k.takers
	by.mark.Store(ofTaker)
	k.takers = c
	return c, by, nil
}

// eachTaker calls f for each taker, until it says no.
func (k books) eachTaker(f func(c uint32, by *taker) (bool, error)) error {
	left := k.most()
	for c := k.takers; c != 0; left-- {
		by, err := k.takerAt(c)
		if err != nil || left == 0 {
			return shm.ErrBounds
		}
		if more, err := f(c, by); err != nil || !more {
			return err
		}
		c = by.next
	}
	return nil
}

func (k books) takerAt(c uint32) (*taker, error) {
	p, err := k.cell(c)
	if err != nil {
		return nil, err
	}
	if p.owner.Load() != ofTaker {
		return nil, shm.ErrBounds
	}
	return p.taker(), nil
}

func (k books) entryAt(c uint32) (*entry, error) {
	p, err := k.cell(c)
	if err != nil {
		return nil, err
	}
	e := p.entry()
	if owner := p.owner.Load(); owner == 0 || owner == ofTaker {
		return nil, shm.ErrBounds
	}
	return e, nil
}

// header returns the header of an entry's record, which is to be read once: it is what
// the rest was checked against.
func (k books) header(e *entry) (uint64, error) {
	word := e.word
	if n := word & maxItem; n > uint64(k.fresh.Load())*cellSize || n >= largeItem && n > k.s.Memory() {
		return 0, shm.ErrBounds
	}
	return word, nil
}

// done takes the entry that this process took first out of the ledger, or, if it has
// none, the one that any process did, and counts it, or an item yet to be got.
func (k books) done() error {
	if k.forgotten > 0 {
		k.forgotten--
		k.t.done.Add(1)
		k.reset()
		return nil
	}
	from, err := k.oldest()
	if err != nil {
		return err
	}
	if *from == 0 {
		k.t.done.Add(1)
		return nil
	}
	return k.mark(from)
}

// mark counts the first entry of a list as done, and takes it away.
func (k books) mark(from *uint32) error {
	c := *from
	e, err := k.entryAt(c)
	if err != nil {
		return err
	}
	k.marked = c
	k.t.done.Add(1)
	fault.Here("ledger entry counted as done")
	*from = e.next
	if from == &k.first {
		k.count(-1)
	}
	k.finish(c, e)
	fault.Here("ledger entry finished")
	k.reset()
	return nil
}

// forget takes entries of this process away if the ledger holds too much.
func (k books) forget() error {
	if k.kept <= maxKept || k.t.mode&redelivers != 0 {
		return nil
	}
	by, err := k.self()
	if err != nil {
		return err
	}
	for k.kept > maxKept && by.first != by.last {
		c := by.first
		e, err := k.entryAt(c)
		if err != nil {
			return err
		}
		if e.n >= k.t.gets.Load() {
			break // of the batch that is being got
		}
		k.marked = c
		k.forgotten++
		by.first = e.next
		k.finish(c, e)
	}
	return nil
}

// size returns how many bytes an entry counts for in kept.
func (k books) size(c uint32, e *entry) uint64 {
	n := max(e.word&maxItem, cellSize)
	if e.word&hasRefs != 0 {
		_ = k.refs(c, func(r Ref) error { // what is corrupt counts for less
			n += r.Len
			return nil
		})
	}
	return n
}

// oldest returns the head of the list whose first entry is to be marked done next.
func (k books) oldest() (head *uint32, err error) {
	if by := k.known(); by != nil && by.first != 0 {
		return &by.first, nil
	}
	head = &k.first
	order := uint64(1<<64 - 1)
	err = k.eachTaker(func(_ uint32, by *taker) (bool, error) {
		if by.first == 0 {
			return true, nil
		}
		e, err := k.entryAt(by.first)
		if err != nil {
			return false, err
		}
		mine := by.owner == futex.Self
		if mine || e.order < order {
			head, order = &by.first, e.order
		}
		return !mine, nil
	})
	return head, err
}

// finish takes an entry that is in no list any more out of force.
func (k books) finish(c uint32, e *entry) {
	k.kept -= min(k.size(c, e), k.kept)
	if e.word&hasRefs != 0 {
		e.owner.Store(finished)
		fault.Here("ledger entry with extents finished")
		k.release(c, e)
	}
	e.owner.Store(0)
	k.drop(c)
}

// release releases the extents, if it has any, of an entry that is finished.
func (k books) release(c uint32, e *entry) {
	if e.word&hasRefs == 0 {
		return
	}
	x := ExtentsOf(k.s)
	_ = k.refs(c, func(r Ref) error { // what is corrupt stays taken
		if x.unbook(r, e.n) {
			x.Release(r)
		}
		return nil
	})
}

// count changes the number of entries that can be got.
func (k books) count(by int) {
	if k.t.mode&redelivers != 0 {
		was := k.returned.Load()
		k.returned.Store((was>>32+1)<<32 | uint64(uint32(was)+uint32(by)))
	}
}

// Compile-time checks of the layout.
var (
	_ [cellSize]byte                       = [unsafe.Sizeof(cell{})]byte{}
	_ [cellSize]byte                       = [unsafe.Sizeof(entry{})]byte{}
	_ [cellSize]byte                       = [unsafe.Sizeof(taker{})]byte{}
	_ [firstCell * cellSize]byte           = [linkOffset + window0Chunks*linkSize]byte{}
	_ [unsafe.Offsetof(entry{}.n)]byte     = [unsafe.Offsetof(cell{}.data)]byte{}
	_ [unsafe.Offsetof(taker{}.owner)]byte = [unsafe.Offsetof(cell{}.data)]byte{}
)

func (p *cell) entry() *entry { return (*entry)(unsafe.Pointer(p)) }
func (p *cell) taker() *taker { return (*taker)(unsafe.Pointer(p)) }
