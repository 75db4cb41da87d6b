package stream

import (
	"cmp"
	"slices"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/process"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// looksEvery is how much time passes at least between two looks whether takers have
// died, whoever looks. Whoever waits does so each futex.Look.
const looksEvery = futex.Look / 2

// hasReturned reports whether there is something to be got again.
func (t *Stream) hasReturned() bool { return uint32(t.ledger.returned.Load()) != 0 }

// Look sees whether takers have died, unless somebody did a moment ago, and returns
// their items to the stream if it redelivers. It reports whether the stream may have
// changed: Settle is to follow.
//
// Whoever waits for an item or for the last one to be done looks, and whoever gets one.
// So it is not necessary that the one which was to find out survives.
func (t *Stream) Look(s *shm.Segment) bool {
	if t.mode&keeps == 0 || t.obtained() <= t.done.Load() {
		return false
	}
	now, last := futex.Now(), t.ledger.looked.Load()
	if uint64(now-last) < uint64(looksEvery) || !t.ledger.looked.CompareAndSwap(last, now) {
		return false
	}
	l := futex.Briefly()
	if t.lockGet(s, &l) != nil {
		return false // somebody was stopped inside
	}
	n := 0
	if t.mode&redelivers != 0 {
		// What is corrupt is told to those who get.
		n, _ = t.books(s).orphan()
	}
	t.getLock.Unlock()
	if n > 0 {
		t.nonEmpty.Wake(n)
	}
	return true
}

// Abandon takes the first item of those that processes had taken which have died, as
// TryReceive, unless the stream redelivers them: from now on this process has it.
// ErrEmpty: there is none.
func (t *Stream) Abandon(s *shm.Segment, buf []byte, l *futex.Limit) (Received, error) {
	return t.abandon(s, buf, nil, l)
}

// AbandonCopy is Abandon, but takes an item as TryGet.
func (t *Stream) AbandonCopy(s *shm.Segment, buf []byte, l *futex.Limit) (int, error) {
	var ref [refSize]byte
	r, err := t.abandon(s, buf, ref[:], l)
	return r.Len, err
}

func (t *Stream) abandon(s *shm.Segment, buf, ref []byte, l *futex.Limit) (Received, error) {
	if t.mode != keeps {
		return Received{}, ErrEmpty
	}
	if err := t.lockGet(s, l); err != nil {
		return Received{}, err
	}
	defer t.getLock.Unlock()
	k := t.books(s)
	if k.first == 0 {
		if _, err := k.orphan(); err != nil {
			return Received{}, err
		}
	}
	if k.first == 0 {
		return Received{}, ErrEmpty
	}
	v := view{t, s}
	return v.retake(buf, ref, l)
}

// orphan takes the entries of takers that have died away from them, and returns how
// many.
func (k books) orphan() (n int, err error) {
	err = k.eachTaker(func(_ uint32, by *taker) (bool, error) {
		if by.first == 0 || by.owner == futex.Self || alive(by.owner) {
			return true, nil
		}
		at := &k.first
		for left := k.most(); by.first != 0; left-- {
			c := by.first
			e, err := k.entryAt(c)
			if err != nil || left == 0 {
				return false, shm.ErrBounds
			}
			by.first = e.next
			e.owner.Store(orphaned)
			fault.Here("ledger entry orphaned")
			if at, err = k.insert(c, e, at); err != nil {
				return false, err
			}
			k.count(1)
			n++
		}
		return true, nil
	})
	k.dropReturned()
	return n, err
}

func alive(owner uint64) bool {
	return process.ID{PID: uint32(owner), Start: uint32(owner >> 32)}.Alive()
}

// insert inserts an entry where it belongs in the list of those that can be got again,
// which is not before the place that it returned last if that was for an older item.
func (k books) insert(c uint32, e *entry, at *uint32) (*uint32, error) {
	if at != &k.first {
		if older, err := k.entryAt(*at); err != nil || older.n > e.n {
			at = &k.first
		}
	}
	for left := k.most(); *at != 0; left-- {
		other, err := k.entryAt(*at)
		if err != nil || left == 0 {
			return nil, shm.ErrBounds
		}
		if other.n > e.n {
			break
		}
		at = &other.next
	}
	e.next = *at
	*at = c
	return at, nil
}

// dropReturned marks done what could be got again if the stream were not gone.
func (k books) dropReturned() {
	if k.t.mode&redelivers == 0 || k.t.putFlags.Load()&gone == 0 {
		return
	}
	for k.first != 0 {
		if k.mark(&k.first) != nil {
			break
		}
	}
	k.t.idle.Wake(futex.All)
}

// listed is an entry on its way into a list.
type listed struct {
	key uint64
	c   uint32
}

func byKey(a, b listed) int { return cmp.Compare(a.key, b.key) }

// rebuild makes all but the entries anew, after a process was killed that had getLock,
// and completes what that one left undone.
func (k books) rebuild() error {
	k.forgetRegions()
	fresh := k.fresh.Load()
	if fresh < firstCell || fresh > k.most() {
		return shm.ErrBounds
	}
	if fresh > firstCell {
		if _, err := k.cell(fresh - 1); err != nil {
			return err
		}
	}
	if err := k.finishMarked(); err != nil {
		return err
	}
	k.kept = 0
	used := make([]bool, fresh)
	var taken, returned []listed
	for c := uint32(firstCell); c < fresh; c++ {
		p, err := k.cell(c)
		if err != nil {
			return err
		}
		e := p.entry()
		switch owner := p.owner.Load(); {
		case owner == 0:
			continue
		case owner == ofTaker:
			p.owner.Store(0)
			continue
		case owner == finished:
			k.release(c, e)
			p.owner.Store(0)
			continue
		case e.n >= k.t.gets.Load():
			k.void(c, e)
			p.owner.Store(0)
			continue
		case owner == orphaned:
			returned = append(returned, listed{e.n, c})
		default:
			taken = append(taken, listed{e.order, c})
		}
		for d := c; d != 0; d = p.more {
			if p, err = k.cell(d); err != nil || used[d] {
				return shm.ErrBounds
			}
			used[d] = true
		}
		k.kept += k.size(c, e)
	}
	k.free, k.takers, k.first = 0, 0, 0
	fault.Here("ledger's lists emptied")
	for c := fresh - 1; c >= firstCell; c-- {
		if p, err := k.cell(c); err == nil && !used[c] {
			p.more = k.free
			k.free = c
		}
	}
	return k.relist(taken, returned)
}

// finishMarked takes the entry away that a process was killed with that had counted it
// as done or as forgotten, or counts the forgotten one as done that it was to.
func (k books) finishMarked() error {
	entries := uint64(0)
	var marked *entry
	for c := uint32(firstCell); c < k.fresh.Load(); c++ {
		p, err := k.cell(c)
		if err != nil {
			return err
		}
		e := p.entry()
		switch p.owner.Load() {
		case 0, ofTaker, finished:
			continue
		}
		if e.n < k.t.gets.Load() {
			entries++
			if c == k.marked {
				marked = e
			}
		}
	}
	counted := k.t.done.Load() + k.forgotten + entries
	switch got := k.t.obtained(); {
	case got < counted && marked != nil:
		marked.owner.Store(finished)
		fault.Here("dead process's mark completed")
	case got > counted:
		k.t.done.Add(got - counted)
		k.t.idle.Wake(futex.All)
	}
	return nil
}

// relist makes the lists.
func (k books) relist(taken, returned []listed) error {
	slices.SortFunc(taken, byKey)
	slices.SortFunc(returned, byKey)
	k.order = 0
	for _, i := range taken {
		e, err := k.entryAt(i.c)
		if err != nil {
			return err
		}
		_, by, err := k.takerOf(e.owner.Load())
		if err != nil {
			return err
		}
		e.next = 0
		k.enlist(i.c, by)
		k.order = i.key + 1
	}
	at := &k.first
	for _, i := range returned {
		e, err := k.entryAt(i.c)
		if err != nil {
			return err
		}
		*at, at, e.next = i.c, &e.next, 0
	}
	fault.Here("ledger's lists made")
	k.count(len(returned) - int(uint32(k.t.ledger.returned.Load())))
	k.dropReturned()
	return nil
}

// void hands the extents of an entry that was not in force back to its item.
func (k books) void(c uint32, e *entry) {
	x := ExtentsOf(k.s)
	if e.word&hasRefs != 0 {
		_ = k.refs(c, func(r Ref) error { return x.enqueue([]Ref{r}, e.n) }) // or it is corrupt
	}
}

// forgetRegions forgets an extent that a process was killed with that was about to make
// it the ledger's, or to give it up.
func (k books) forgetRegions() {
	for region := 1; region <= maxRegions; region++ {
		c := k.extents[region-1]
		if c == 0 {
			continue
		}
		e, err := ExtentsOf(k.s).at(c)
		if err != nil || e.owner.Load() != booked || e.item.Load() != none {
			k.fresh.Store(min(k.fresh.Load(), regionStart(region)))
			k.shrink(region - 1)
			return
		}
	}
}
