package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// Check validates the whole structure of a stream that nobody uses, for tests: every
// chunk of it is in the chain or on a stack, once; the records between head and tail
// are as many as puts and gets say, and as long as the byte counts; and the ledger.
func (t *Stream) Check(s *shm.Segment) error {
	v := view{t, s}
	st := t.current()
	if t.puts.Load() != st.puts {
		return fmt.Errorf("puts is %d, the state's %d", t.puts.Load(), st.puts)
	}
	err := errors.Join(v.checkChunks(&st), v.checkRecords(&st))
	if t.mode&keeps != 0 {
		err = errors.Join(err, t.books(s).check())
	}
	return err
}

func (v *view) checkChunks(st *putState) error {
	seen := map[uint32]string{}
	visit := func(c uint32, where string) error {
		if old := seen[c]; old != "" {
			return fmt.Errorf("chunk %d is in %s and in %s", c, old, where)
		}
		seen[c] = where
		return nil
	}
	for c := st.first; ; {
		if err := visit(c, "chain"); err != nil {
			return err
		}
		if c == st.tail.chunk() {
			break
		}
		next, err := v.next(c)
		if err != nil {
			return err
		}
		c = next
	}
	stack := func(c uint32, where string, most uint32) (n uint32, err error) {
		for ; c != 0 && n < most; n++ {
			if err := visit(c, where); err != nil {
				return n, err
			}
			l, err := v.link(c)
			if err != nil {
				return n, err
			}
			c = l.free
		}
		return n, nil
	}
	n, err := stack(st.warm, "warm", st.warms)
	if err != nil {
		return err
	}
	if n < st.warms {
		return fmt.Errorf("%d warm chunks, not %d", n, st.warms)
	}
	if _, err := stack(st.cold, "cold", math.MaxUint32); err != nil {
		return err
	}
	for c := v.t.base; c < st.fresh; c = v.t.after(c) {
		start := windowStart(c)
		if start > 0 && c-start < tableChunks(start) {
			if err := visit(c, "table"); err != nil {
				return err
			}
		}
		if seen[c] == "" {
			return fmt.Errorf("chunk %d is lost", c)
		}
	}
	return nil
}

func (v *view) checkRecords(st *putState) error {
	gets := v.t.gets.Load()
	got := &v.t.get[gets&1]
	p := position(got.head.Load())
	size := uint64(0)
	for range st.puts - gets {
		word, err := v.readHeader(&p)
		if err != nil {
			return err
		}
		body := make([]byte, (word&maxItem+7)&^7)
		if err := v.read(&p, body); err != nil {
			return err
		}
		size += recordHeader + uint64(len(body))
		if word&hasRefs != 0 {
			for i := range binary.NativeEndian.Uint64(body) {
				size += DecodeRef(body[8+i*refSize:]).Len
			}
		}
	}
	if p != st.tail {
		return fmt.Errorf("the last record ends at %#x, the tail is %#x", p, st.tail)
	}
	if counted := st.bytes - got.bytes.Load(); size != counted {
		return fmt.Errorf("%d bytes of records, counted %d", size, counted)
	}
	return nil
}

// Check validates the extents of a segment that nobody uses, for tests: none overlaps
// another or what the streams use, and each has an owner or is on a stack, once. It
// returns how many have an owner.
func (x Extents) Check() (owned int, err error) {
	free, err := x.checkStacks()
	if err != nil {
		return 0, err
	}
	end, live := uint32(0), uint32(0)
	for c := uint32(window0Chunks); c < x.p.fresh.Load(); c += 1 << minClass {
		start := windowStart(c)
		if c < start+start/2 {
			continue
		}
		e, err := x.at(c)
		if err != nil {
			return 0, err
		}
		class := e.class.Load()
		if class == 0 {
			continue
		}
		if c < end || c+1<<class > 2*start {
			return 0, fmt.Errorf("extent %d of class %d overlaps what is at %d", c, class, end)
		}
		end = c + 1<<class
		if free[c] {
			continue
		}
		owned++
		live += 1 << class
		if e.owner.Load() == 0 {
			return 0, fmt.Errorf("extent %d is lost", c)
		}
	}
	if live != x.p.live {
		return 0, fmt.Errorf("%d chunks have owners, counted %d", live, x.p.live)
	}
	return owned, nil
}

// checkStacks returns the extents that are on stacks.
func (x Extents) checkStacks() (free map[uint32]bool, err error) {
	free = map[uint32]bool{}
	kept := uint64(0)
	for class := uint32(0); class < numClasses; class++ {
		for i, c := range []uint32{x.p.warm[class], x.p.cold[class]} {
			for c != 0 {
				e, err := x.at(c)
				if err != nil {
					return nil, err
				}
				if free[c] || e.owner.Load() != 0 || e.class.Load() != class || e.ready.Load() > 0 != (i == 0) {
					return nil, fmt.Errorf("extent %d of class %d on a stack of class %d: %+v", c, e.class.Load(), class, e)
				}
				free[c] = true
				kept += e.ready.Load()
				c = e.free
			}
		}
	}
	if kept != x.p.kept {
		return nil, fmt.Errorf("%d bytes of free extents, counted %d", kept, x.p.kept)
	}
	return free, nil
}
