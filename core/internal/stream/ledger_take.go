package stream

import (
	"encoding/binary"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

// takeKept is take for a stream that has a ledger. What was returned comes first.
func (v *view) takeKept(buf, ref []byte, l *futex.Limit) (got Received, passed bool, err error) {
	t := v.t
	if t.hasReturned() {
		got, err = v.retake(buf, ref, l)
		return got, false, err
	}
	gets := t.gets.Load()
	if gets == t.seen.Load() {
		puts := t.puts.Load()
		t.seen.Store(puts)
		if gets == puts {
			return got, false, ErrEmpty
		}
	}
	st := &t.get[gets&1]
	start := position(st.head.Load())
	from := reading{head: start}
	word, err := v.readHeader(&from.head)
	if err != nil {
		return got, false, err
	}
	kept := from
	got, beside, err := v.receive(&from, word, buf, ref, l)
	if err != nil {
		return got, false, err
	}
	if err := v.keep(gets, word, kept); err != nil {
		v.giveUp(buf, got.Refs)
		return Received{}, false, err
	}
	head := from.head.aligned()
	t.commitGet(gets+1, head, st.bytes.Load()+recordSize(word&maxItem)+beside)
	fault.Here("ledger entry in force")
	return got, head.chunk() != start.chunk(), nil
}

// keep enters the item before which n were put in the ledger, unless it was marked done
// already: its record has the header word, and goes on at r. The caller is about to
// commit that it got the item.
func (v *view) keep(n, word uint64, r reading) error {
	if v.t.done.Load() > n {
		return nil
	}
	k := v.t.books(v.s)
	if err := k.forget(); err != nil {
		return err
	}
	c, err := k.book(n, word, r)
	if err != nil || word&hasRefs == 0 {
		return err
	}
	x := ExtentsOf(v.s)
	return k.refs(c, func(r Ref) error { return x.book(r, n) })
}

// retake takes the first entry of those that can be got again, as takeKept.
func (v *view) retake(buf, ref []byte, l *futex.Limit) (Received, error) {
	k := v.t.books(v.s)
	c := k.first
	e, err := k.entryAt(c)
	if err != nil {
		return Received{}, err
	}
	word, err := k.header(e)
	if err != nil {
		return Received{}, err
	}
	by, err := k.self()
	if err != nil {
		return Received{}, err
	}
	from := k.read(e)
	got, _, err := v.receive(&from, word, buf, ref, l)
	if err == nil {
		k.pass(c, e, by)
	}
	return got, err
}

// pass gives the first entry of those that can be got again to a taker.
func (k books) pass(c uint32, e *entry, by *taker) {
	k.first = e.next
	k.count(-1)
	k.give(c, e, by)
	fault.Here("ledger entry passed on")
}

// receive reads what follows the header of a record at r, as take stores it, with
// copies of its extents: what is in the ledger stays as it was put, so that another
// process can get the same. beside is how many bytes the extents hold.
func (v *view) receive(r *reading, word uint64, buf, ref []byte, l *futex.Limit) (got Received, beside uint64, err error) {
	n := word & maxItem
	if word&hasRefs == 0 {
		if n > uint64(len(buf)) {
			got.Len, err = v.tooLong(r, n)
			return got, 0, err
		}
		return Received{Len: int(n)}, 0, v.readFrom(r, buf[:n])
	}
	whole := word&isWhole != 0
	count, to, long, err := v.readExtents(r, n, whole, buf, ref)
	if err != nil {
		return Received{Len: long}, 0, err
	}
	x := ExtentsOf(v.s)
	for i := range count {
		b, err := x.Bytes(DecodeRef(to[i*refSize:]))
		if err != nil {
			return got, 0, err
		}
		beside += uint64(len(b))
	}
	if l.How == futex.Try && beside >= largeItem {
		return got, 0, unix.EBUSY // the caller holds up others
	}
	if ref != nil {
		b, err := x.Bytes(DecodeRef(ref))
		return Received{Len: copy(buf, b)}, beside, err
	}
	for i := range count {
		if err := v.copyRef(to[i*refSize:], l); err != nil {
			v.giveUp(to, int(i))
			return got, 0, err
		}
	}
	return Received{len(to), int(count), whole}, beside, nil
}

// copyRef replaces a reference by one to a copy, which is this process's. It does not
// wait for others to release memory: they may be waiting for getLock.
func (v *view) copyRef(ref []byte, l *futex.Limit) error {
	from, err := ExtentsOf(v.s).Bytes(DecodeRef(ref))
	if err != nil {
		return err
	}
	within := *l
	within.How = min(l.How, futex.NoWait)
	r, err := fill(v.s, &[3][]byte{from}, &within)
	if err != nil {
		return err
	}
	b := r.encode()
	copy(ref, b[:])
	return nil
}

// giveUp releases copies.
func (v *view) giveUp(refs []byte, n int) {
	for i := range n {
		ExtentsOf(v.s).Release(DecodeRef(refs[i*refSize:]))
	}
}

// takeManyKept is takeMany for a stream that has a ledger.
func (v *view) takeManyKept(buf []byte, limit uint64) (n uint64, size int, passed bool, err error) {
	for ; n < limit && v.t.hasReturned(); n++ {
		used, err := v.retakeRecord(buf[size:])
		if err != nil {
			if n == 0 {
				return 0, used, false, err
			}
			return n, size, false, nil // the next call will tell
		}
		size += used
	}
	if n == limit {
		return n, size, false, nil
	}
	more, used, passed, err := v.takeMany(buf[size:], limit-n)
	if n > 0 && err != nil {
		return n, size, false, nil
	}
	return n + more, size + used, passed, err
}

// retakeRecord takes the first entry of those that can be got again, as takeRecord.
func (v *view) retakeRecord(buf []byte) (size int, err error) {
	k := v.t.books(v.s)
	c := k.first
	e, err := k.entryAt(c)
	if err != nil {
		return 0, err
	}
	n, err := k.header(e)
	if err != nil {
		return 0, err
	}
	if n&hasRefs != 0 {
		return 0, ErrBuffers
	}
	from := k.read(e)
	if n > maxItem {
		return 0, shm.ErrBounds
	}
	if recordSize(n) > uint64(len(buf)) {
		return v.tooLong(&from, recordSize(n))
	}
	by, err := k.self()
	if err != nil {
		return 0, err
	}
	binary.NativeEndian.PutUint64(buf, n)
	if err := v.readFrom(&from, buf[recordHeader:][:n]); err != nil {
		return 0, err
	}
	k.pass(c, e, by)
	return int(recordSize(n)), nil
}
