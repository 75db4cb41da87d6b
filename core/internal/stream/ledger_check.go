package stream

import "fmt"

// ledgerCheck is what is known of a ledger as it is validated.
type ledgerCheck struct {
	books
	seen    map[uint32]string // cells and where they were found
	entries uint64
	size    uint64
}

// check validates a ledger that nobody uses: each cell is in one entry, a taker or free;
// each entry is in the list where it belongs, and its extents are its own; and there are
// as many as items that were got and are neither done nor forgotten.
func (k books) check() error {
	v := ledgerCheck{books: k, seen: map[uint32]string{}}
	if err := k.eachTaker(func(c uint32, by *taker) (bool, error) {
		if _, err := v.visit(c, "a taker"); err != nil {
			return false, err
		}
		last, _, err := v.list(by.first, by.owner, func(e *entry) uint64 { return e.order })
		if err == nil && last != by.last && by.first != 0 {
			err = fmt.Errorf("the list of %x ends with %d, not %d", by.owner, last, by.last)
		}
		return true, err
	}); err != nil {
		return err
	}
	_, orphans, err := v.list(k.first, orphaned, func(e *entry) uint64 { return e.n })
	if err != nil {
		return err
	}
	if k.t.mode&redelivers == 0 {
		orphans = 0
	}
	if counted := uint32(k.returned.Load()); counted != orphans {
		return fmt.Errorf("%d items have returned, counted %d", orphans, counted)
	}
	for c := k.free; c != 0; {
		p, err := v.visit(c, "free")
		if err != nil {
			return err
		}
		if owner := p.owner.Load(); owner != 0 {
			return fmt.Errorf("free cell %d has owner %x", c, owner)
		}
		c = p.more
	}
	for c := uint32(firstCell); c < k.fresh.Load(); c++ {
		if v.seen[c] == "" {
			return fmt.Errorf("cell %d is lost", c)
		}
	}
	done := k.t.done.Load()
	if want := max(k.t.obtained(), done) - done - k.forgotten; v.entries != want {
		return fmt.Errorf("%d entries, not %d", v.entries, want)
	}
	if v.size != k.kept {
		return fmt.Errorf("entries of %d bytes, counted %d", v.size, k.kept)
	}
	return nil
}

func (v *ledgerCheck) visit(c uint32, where string) (*cell, error) {
	if old := v.seen[c]; old != "" {
		return nil, fmt.Errorf("cell %d is in %s and in %s", c, old, where)
	}
	v.seen[c] = where
	return v.cell(c)
}

// list validates the entries of an owner, which are in the order of key.
func (v *ledgerCheck) list(c uint32, owner uint64, key func(*entry) uint64) (last, n uint32, err error) {
	before := uint64(0)
	for ; c != 0; n++ {
		last = c
		p, err := v.visit(c, "an entry")
		if err != nil {
			return last, n, err
		}
		e := p.entry()
		if e.owner.Load() != owner {
			return last, n, fmt.Errorf("entry %d has owner %x, not %x", c, e.owner.Load(), owner)
		}
		if key(e) < before || e.n >= v.t.gets.Load() {
			return last, n, fmt.Errorf("entry %d of item %d, %d after %d", c, e.n, key(e), before)
		}
		before = key(e)
		if err := v.entry(c, e); err != nil {
			return last, n, err
		}
		v.entries++
		v.size += v.books.size(c, e)
		c = e.next
	}
	return last, n, nil
}

// entry validates what belongs to an entry.
func (v *ledgerCheck) entry(c uint32, e *entry) error {
	for d := e.more; d != 0; {
		p, err := v.visit(d, "data")
		if err != nil {
			return err
		}
		if owner := p.owner.Load(); owner != 0 {
			return fmt.Errorf("cell %d of data has owner %x", d, owner)
		}
		d = p.more
	}
	if e.word&hasRefs == 0 {
		return nil
	}
	return v.refs(c, func(r Ref) error {
		x, err := ExtentsOf(v.s).find(r)
		if err == nil && (x.owner.Load() != booked || x.item.Load() != e.n) {
			err = fmt.Errorf("extent of item %d with owner %x, item %d", e.n, x.owner.Load(), x.item.Load())
		}
		return err
	})
}
