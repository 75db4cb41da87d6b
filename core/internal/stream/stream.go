package stream

import (
	"encoding/binary"
	"errors"
	"sync/atomic"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

var (
	ErrEmpty = errors.New("queue is empty")
	ErrFull  = errors.New("queue is full")
	ErrDone  = errors.New("more items marked done than were put")
	ErrShut  = errors.New("queue was shut down")
	// ErrTooLong: the item does not fit the buffer, and stays where it is. The length
	// that is returned with it is the item's.
	ErrTooLong = errors.New("item is longer than the buffer")
)

// view is a stream together with the mapping through which it is seen.
type view struct {
	t *Stream
	s *shm.Segment
}

// current returns a copy of the producers' state. The caller holds putLock.
func (t *Stream) current() putState { return t.put[t.putSeq.Load()&1] }

// commit makes st the producers' state.
func (t *Stream) commit(st *putState) {
	seq := t.putSeq.Load() + 1
	t.put[seq&1] = *st
	t.putSeq.Store(seq)
}

// publish shows consumers what was committed. A producer killed between commit
// and publish leaves that to the next one that takes putLock.
func (t *Stream) publish(puts uint64) { t.puts.Store(puts) }

// consumed returns how many bytes consumers have taken, and where they go on.
// Both are of one committed state: the slot is read again if it may have been
// prepared for the next state meanwhile.
func (t *Stream) consumed() (bytes uint64, head position) {
	for {
		gets := t.gets.Load()
		st := &t.get[gets&1]
		bytes, head = st.bytes.Load(), position(st.head.Load())
		if t.gets.Load() == gets {
			return bytes, head
		}
	}
}

// produced returns how many bytes producers have put.
func (t *Stream) produced() uint64 {
	for {
		seq := t.putSeq.Load()
		bytes := atomic.LoadUint64(&t.put[seq&1].bytes)
		if t.putSeq.Load() == seq {
			return bytes
		}
	}
}

// Len returns how many items there are, exact at some instant during the call.
func (t *Stream) Len() uint64 {
	for {
		gets := t.gets.Load()
		returned := t.ledger.returned.Load()
		puts := t.puts.Load()
		if t.ledger.returned.Load() != returned || t.gets.Load() != gets {
			continue
		}
		if t.putFlags.Load()&gone != 0 {
			return 0
		}
		return puts - gets + uint64(uint32(returned))
	}
}

// Ready reports whether TryGet would find an item, or that none will come.
func (t *Stream) Ready() bool { return t.Len() > 0 || t.putFlags.Load()&shut != 0 }

// MaxItems returns the bound on Len, 0 for none.
func (t *Stream) MaxItems() uint64 { return t.maxItems }

// Full reports whether a put would have to wait. Items that were returned to a stream
// that had become full since may exceed the bound.
func (t *Stream) Full() bool {
	if t.maxItems > 0 && t.Len() >= t.maxItems {
		return true
	}
	if t.maxBytes > 0 && t.Len() > 0 {
		return t.pending() >= t.maxBytes
	}
	return false
}

// lockPut takes putLock and completes what a killed producer left undone.
func (t *Stream) lockPut(l *futex.Limit) error {
	inherited, err := t.putLock.Lock(l)
	if err != nil {
		return err
	}
	if inherited {
		t.publish(t.current().puts)
		fault.Here("dead producer's item published")
		t.nonEmpty.Wake(futex.All)
	}
	return nil
}

// inheritPut takes putLock from a dead producer. Whether it is dead takes long to find
// out, so consumers do now and then; n is how many items this one just took.
func (t *Stream) inheritPut(n uint64) bool {
	if t.gets.Load()%16 >= n {
		return false
	}
	owner := t.putLock.Owner()
	return owner.PID != 0 && !owner.Alive() && t.lockPut(&futex.Limit{How: futex.NoWait}) == nil
}

// lockGet takes getLock and completes what a killed consumer left undone.
func (t *Stream) lockGet(s *shm.Segment, l *futex.Limit) error {
	inherited, err := t.getLock.Lock(l)
	if err != nil {
		return err
	}
	if inherited {
		t.getFlags.Or(t.putFlags.Load() & gone)
		if t.mode&keeps != 0 {
			if err := t.books(s).rebuild(); err != nil {
				t.getLock.Unlock()
				return err
			}
		}
		// It may have made room without telling.
		t.nonFull.Wake(futex.All)
	}
	return nil
}

// TryPut appends an item, and has b, which may be nil, rung if it is watched. Errors:
// ErrFull, ErrShut, unix.EBUSY as futex.Mutex.Lock, and what shm.Segment says when
// there is no memory for the item; nothing was changed then.
func (t *Stream) TryPut(s *shm.Segment, b Bell, r *Record, l *futex.Limit) error {
	return t.tryPut(s, b, r, true, l)
}

// tryPut is TryPut. Unless grow, it returns errLong rather than have the stream take
// fresh memory although there is much in it.
func (t *Stream) tryPut(s *shm.Segment, b Bell, r *Record, grow bool, l *futex.Limit) error {
	err := t.lockPut(l)
	if err != nil {
		return err
	}
	fault.Here("put locked")
	st := &t.put[t.putSeq.Load()&1]
	flags := t.putFlags.Load()
	v := view{t, s}
	switch {
	case flags&shut != 0:
		err = ErrShut
	case !t.admits(st, r.items()):
		err = t.refuse(st, r.items())
	case flags&watched == 0 && v.fits(st, r):
		err = v.appendHere(st, r)
	default:
		err = v.append(*st, b, r, grow, l)
	}
	t.putLock.Unlock()
	if err == nil {
		fault.Here("put unlocked")
		t.nonEmpty.Wake(int(r.items()))
	}
	return err
}

// admits reports whether the bounds allow so many more items. The caller holds putLock.
func (t *Stream) admits(st *putState, items uint64) bool {
	if t.maxItems > 0 {
		if t.mode&redelivers != 0 {
			items += uint64(uint32(t.ledger.returned.Load()))
		}
		if st.puts-t.taken+items > t.maxItems {
			t.taken = t.gets.Load()
			if st.puts-t.taken+items > t.maxItems {
				return false
			}
		}
	}
	if t.maxBytes > 0 && st.bytes-t.takenBytes >= t.maxBytes {
		t.takenBytes, _ = t.consumed()
		return st.bytes-t.takenBytes < t.maxBytes
	}
	return true
}

// refuse is the error for so many items that admits found too many. If there is room
// for one all the same the stream is corrupt: whoever waits for room would not wait, and
// try for ever. The caller holds putLock.
func (t *Stream) refuse(st *putState, items uint64) error {
	gets, returned := t.gets.Load(), t.ledger.returned.Load()
	if items == 1 && !t.admits(st, 1) && !t.Full() &&
		t.gets.Load() == gets && t.ledger.returned.Load() == returned {
		return shm.ErrCorrupt
	}
	return ErrFull
}

// pending returns how many bytes were put and not yet got.
func (t *Stream) pending() uint64 {
	got, _ := t.consumed()
	return t.produced() - got
}

// fits reports whether a record has nothing but data, for which there is memory in the
// tail chunk.
func (v *view) fits(st *putState, r *Record) bool {
	return len(r.Refs) == 0 && r.count == 0 && uint64(st.tail.offset())+r.size() <= uint64(st.ready)
}

// appendHere appends a record that fits. What most puts come to: a state is written
// word by word to the place where it is to be.
func (v *view) appendHere(st *putState, r *Record) error {
	size := r.size()
	to, err := v.chunk(st.tail.chunk(), st.tail.offset(), uint32(size))
	if err != nil {
		return err
	}
	binary.NativeEndian.PutUint64(to, r.header())
	to = to[recordHeader:]
	for i := range r.Parts {
		to = to[copy(to, r.Parts[i]):]
	}
	fault.Here("small record written")
	seq := v.t.putSeq.Load() + 1
	next := &v.t.put[seq&1]
	next.puts, next.bytes = st.puts+1, st.bytes+size
	next.tail, next.ready = st.tail+position(size), st.ready
	next.first, next.fresh = st.first, st.fresh
	next.warm, next.warms, next.cold = st.warm, st.warms, st.cold
	fault.Here("put prepared")
	v.t.putSeq.Store(seq)
	fault.Here("put committed")
	v.t.publish(next.puts)
	return nil
}

func (v *view) append(before putState, b Bell, r *Record, grow bool, l *futex.Limit) error {
	size := r.size()
	if size > maxItem {
		return unix.EFBIG
	}
	offset := before.tail.offset()
	if offset > chunkSize {
		return shm.ErrBounds
	}
	if uint64(offset)+size > chunkSize {
		chunks := (size - uint64(chunkSize-offset) + chunkSize - 1) / chunkSize
		if uint64(before.warms) < chunks {
			if err := v.collect(&before); err != nil {
				return err
			}
			if !grow && uint64(before.warms) < chunks && v.t.pending() > patience {
				return errLong
			}
		}
	}
	st := before
	x := ExtentsOf(v.s)
	for err := v.writeRecord(&st, r); err != nil; err = v.writeRecord(&st, r) {
		err = errors.Join(err, v.giveBack(&before, &st))
		if !isNoMemory(err) {
			return err
		}
		if cooled, e := v.cool(&before); !cooled && !x.shed() || e != nil {
			return errors.Join(err, e)
		}
		st = before
	}
	fault.Here("record written")
	st.tail = st.tail.aligned()
	err := x.enqueue(r.Refs, v.item(before.puts))
	fault.Here("extents queued")
	st.bytes += size + r.beside()
	st.puts += r.items()
	rung := false
	if err == nil {
		rung, err = v.t.ring(b, l)
	}
	if err != nil {
		x.dequeue(r.Refs)
		fault.Here("extents unqueued")
		if e := v.giveBack(&before, &st); e != nil {
			return errors.Join(err, e)
		}
		return err
	}
	fault.Here("bell rung for an item")
	v.t.commit(&st)
	fault.Here("record committed")
	v.t.publish(st.puts)
	fault.Here("record published")
	if rung {
		v.t.Doorbell.Lock.Unlock()
	}
	return nil
}

// item is the item of this stream before which n were put, as extent.item.
func (v *view) item(n uint64) uint64 {
	if v.t == Of(v.s, 1) {
		return n | stream1
	}
	return n
}

// write copies data to the tail of st.
func (v *view) write(st *putState, data []byte) error {
	for len(data) > 0 {
		if st.tail.offset() == chunkSize {
			if err := v.extend(st); err != nil {
				return err
			}
		}
		offset := st.tail.offset()
		n := uint32(min(uint64(len(data)), uint64(chunkSize-offset)))
		if err := v.reserve(st, offset+n); err != nil {
			return err
		}
		to, err := v.chunk(st.tail.chunk(), offset, n)
		if err != nil {
			return err
		}
		copy(to, data)
		data = data[n:]
		st.tail = at(st.tail.chunk(), offset+n)
	}
	return nil
}

// Put appends an item, waiting for room as l allows.
func (t *Stream) Put(s *shm.Segment, b Bell, r *Record, l *futex.Limit) error {
	if r.IsLarge() {
		return t.putLarge(s, b, *r, l)
	}
	return t.putRecord(s, b, r, l)
}

func (t *Stream) putLarge(s *shm.Segment, b Bell, r Record, l *futex.Limit) error {
	var room RefsRoom
	// Nothing is copied before there is room.
	if t.Full() {
		slept, err := t.AwaitRoom(s, l)
		if err != nil {
			return full(err)
		}
		if slept {
			defer t.WakeNextPut()
		}
	}
	var err error
	if r.Refs, err = r.Fill(s, room[:0], l); err != nil {
		return err
	}
	err = t.putRecord(s, b, &r, l)
	if err != nil {
		r.Empty(s)
	}
	return err
}

// full is the error for a put that would have to wait longer.
func full(err error) error {
	if err == unix.EAGAIN {
		return ErrFull
	}
	return err
}

func (t *Stream) putRecord(s *shm.Segment, b Bell, r *Record, l *futex.Limit) error {
	slept := false
	for {
		err := t.putOrGrow(s, b, r, l)
		if err != ErrFull {
			if slept {
				t.WakeNextPut()
			}
			return err
		}
		// TryPut may have shown the item of a killed producer.
		t.Settle(b)
		again, err := t.AwaitRoom(s, l)
		slept = slept || again
		if err != nil {
			return full(err)
		}
	}
}

// A producer that is faster than the consumers makes a stream without bound long, and
// would go on taking fresh memory, which costs more than to wait for the next chunk
// that they leave: see futex.Limit.SpinUntil. So they do, from this many bytes on.
const patience = warmChunks * chunkSize

var errLong = errors.New("stream is long")

// putOrGrow is TryPut, but waits a moment before the stream takes fresh memory.
func (t *Stream) putOrGrow(s *shm.Segment, b Bell, r *Record, l *futex.Limit) error {
	for grow := false; ; grow = !l.Spins() || !t.awaitChunk(s, l) {
		if err := t.tryPut(s, b, r, grow, l); err != errLong {
			return err
		}
		if l.How == futex.Try {
			return unix.EBUSY
		}
	}
}

// awaitChunk waits for consumers to leave a chunk, and tells whether they did.
func (t *Stream) awaitChunk(s *shm.Segment, l *futex.Limit) bool {
	_, before := t.consumed()
	return l.SpinUntil(&s.Spin[3], func() bool {
		_, head := t.consumed()
		return head.chunk() != before.chunk()
	})
}

// AwaitRoom waits until the stream is not full, or shut down. slept: see
// futex.Await.
func (t *Stream) AwaitRoom(s *shm.Segment, l *futex.Limit) (slept bool, err error) {
	return futex.AwaitWord(&t.nonFull, l, &s.Spin[0], hasRoom{t})
}

// WakeNextPut passes on the wake-up of a producer that slept, whether or not it
// made use of it.
func (t *Stream) WakeNextPut() {
	if !t.Full() {
		fault.Here("room left for the next producer")
		t.nonFull.Wake(1)
	}
}

// TryGet takes the oldest item into buf and returns its length. Errors: ErrEmpty,
// ErrShut, ErrTooLong, ErrBuffers, unix.EBUSY.
func (t *Stream) TryGet(s *shm.Segment, buf []byte, l *futex.Limit) (int, error) {
	var ref [refSize]byte
	r, err := t.tryReceive(s, buf, ref[:], l)
	if err != nil || !r.Whole {
		return r.Len, err
	}
	return copyExtent(s, DecodeRef(ref[:]), buf)
}

// copyExtent copies what an extent of this process holds, and releases it.
func copyExtent(s *shm.Segment, ref Ref, buf []byte) (int, error) {
	x := ExtentsOf(s)
	defer x.Release(ref)
	from, err := x.Bytes(ref)
	if err != nil {
		return 0, err
	}
	n := copy(buf, from)
	fault.Here("extent copied")
	return n, nil
}

// TryReceive is TryGet for those who use large data where it lies: buf is to hold
// the references to the item's extents, one behind the other, and then what of
// the item's data is in none; how much that is comes with ErrTooLong.
func (t *Stream) TryReceive(s *shm.Segment, buf []byte, l *futex.Limit) (Received, error) {
	return t.tryReceive(s, buf, nil, l)
}

// tryReceive is TryReceive, or, if ref is not nil, the first part of TryGet: if the
// item is in an extent ref is to hold the reference to it.
func (t *Stream) tryReceive(s *shm.Segment, buf, ref []byte, l *futex.Limit) (Received, error) {
	err := t.beginGet(s, l)
	if err != nil {
		return Received{}, err
	}
	fault.Here("get locked")
	v := view{t, s}
	var r Received
	var passed bool
	if t.mode&keeps == 0 {
		r, passed, err = v.take(buf, ref)
	} else {
		r, passed, err = v.takeKept(buf, ref, l)
	}
	if err == nil {
		t.endGet(s, 1, passed)
		return r, nil
	}
	t.endGet(s, 0, false)
	switch err {
	case ErrTooLong:
		return r, err
	case ErrEmpty:
		err = t.nothing()
	}
	return Received{}, err
}

// beginGet takes getLock if there is something to get. Errors: as TryGet.
func (t *Stream) beginGet(s *shm.Segment, l *futex.Limit) error {
	if t.mode&redelivers != 0 {
		t.Look(s)
	}
	if gets := t.gets.Load(); gets == t.seen.Load() && gets == t.puts.Load() && !t.hasReturned() {
		return t.nothing()
	}
	if err := t.lockGet(s, l); err != nil {
		return err
	}
	if t.getFlags.Load()&gone != 0 {
		t.getLock.Unlock()
		return ErrShut
	}
	return nil
}

// endGet gives getLock back, after n items were taken. passed: the head left a chunk.
func (t *Stream) endGet(s *shm.Segment, n uint64, passed bool) {
	t.getLock.Unlock()
	fault.Here("get unlocked")
	if n > 0 {
		t.nonFull.Wake(int(n))
	}
	if passed && (t.putLock.TryLock() || t.inheritPut(n)) {
		fault.Here("put locked by a consumer")
		// Chunks were drained: see to it that their memory is given back,
		// also when there is no producer any more. The item is taken, so what
		// fails here is left for the next put to meet.
		v := view{t, s}
		st := t.current()
		_ = v.collect(&st)
		t.putLock.Unlock()
	}
}

// commitGet makes the consumers' state that of so many items got.
func (t *Stream) commitGet(gets uint64, head position, bytes uint64) {
	next := &t.get[gets&1]
	next.head.Store(uint64(head))
	next.bytes.Store(bytes)
	fault.Here("get prepared")
	t.gets.Store(gets)
	fault.Here("get committed")
}

// nothing returns why TryGet found nothing.
func (t *Stream) nothing() error {
	if t.mode&keeps == 0 && t.hasReturned() {
		// Len counts them: whoever waits for an item would try for ever.
		return shm.ErrCorrupt
	}
	if t.putFlags.Load()&shut != 0 && t.Len() == 0 {
		return ErrShut
	}
	// Also if the stream was shut down with an item put just before: the next
	// try takes it.
	return ErrEmpty
}

// take takes the record at the head, as tryReceive. passed: the head left a chunk.
func (v *view) take(buf, ref []byte) (r Received, passed bool, err error) {
	t := v.t
	gets := t.gets.Load()
	if gets == t.seen.Load() {
		puts := t.puts.Load()
		t.seen.Store(puts)
		if gets == puts {
			return r, false, ErrEmpty
		}
	}
	st := &t.get[gets&1]
	start := position(st.head.Load())
	head := start
	word, err := v.readHeader(&head)
	if err != nil {
		return r, false, err
	}
	n := word & maxItem
	size := recordSize(n)
	if word&hasRefs == 0 {
		if n > uint64(len(buf)) {
			r.Len, err = v.tooLong(&reading{}, n)
			return r, false, err
		}
		if err := v.read(&head, buf[:n]); err != nil {
			return r, false, err
		}
		r.Len = int(n)
	} else {
		var beside uint64
		if r, beside, err = v.takeExtents(&head, n, word&isWhole != 0, buf, ref); err != nil {
			return r, false, err
		}
		size += beside
	}
	fault.Here("record read")
	head = head.aligned()
	t.commitGet(gets+1, head, st.bytes.Load()+size)
	return r, head.chunk() != start.chunk(), nil
}

// tooLong returns ErrTooLong for an item of n bytes, of which a part was read. Callers
// make a buffer of that size, so it must not be more than can be there.
func (v *view) tooLong(r *reading, n uint64) (int, error) {
	if r.k == nil && n > v.t.pending() || n >= largeItem && n > v.s.Memory() {
		return 0, shm.ErrBounds
	}
	return int(n), ErrTooLong
}

// takeExtents reads the rest of a record that refers to extents, and makes them
// this process's own. beside is how many bytes they hold.
func (v *view) takeExtents(p *position, n uint64, whole bool, buf, ref []byte) (r Received, beside uint64, err error) {
	from := reading{head: *p}
	count, to, long, err := v.readExtents(&from, n, whole, buf, ref)
	if err != nil {
		return Received{Len: long}, 0, err
	}
	*p = from.head
	for i := range count {
		n, err := ExtentsOf(v.s).claim(DecodeRef(to[i*refSize:]))
		if err != nil {
			return r, 0, err
		}
		beside += n
		fault.Here("extent claimed")
	}
	return Received{len(to), int(count), whole}, beside, nil
}

// readExtents reads the rest of a record that refers to extents. to is what it stored:
// the references, and behind them the data. long comes with ErrTooLong.
func (v *view) readExtents(r *reading, n uint64, whole bool, buf, ref []byte) (count uint64, to []byte, long int, err error) {
	count, rest, err := v.references(r, n)
	if err != nil {
		return 0, nil, 0, err
	}
	if whole && (count != 1 || rest != refSize) {
		return 0, nil, 0, shm.ErrBounds
	}
	to = buf
	if ref != nil {
		if !whole {
			return 0, nil, 0, ErrBuffers
		}
		to = ref
	}
	if rest > uint64(len(to)) {
		long, err = v.tooLong(r, rest)
		return 0, nil, long, err
	}
	to = to[:rest]
	if err := v.readFrom(r, to); err != nil {
		return 0, nil, 0, err
	}
	if ref != nil {
		if n := DecodeRef(ref).Len; n > uint64(len(buf)) {
			long, err = v.tooLong(r, n)
			return 0, nil, long, err
		}
	}
	return count, to, 0, nil
}

// readHeader returns the header at p and advances p. Records are aligned, so it lies in
// one chunk.
func (v *view) readHeader(p *position) (uint64, error) {
	if p.offset() == chunkSize {
		next, err := v.next(p.chunk())
		if err != nil {
			return 0, err
		}
		*p = at(next, 0)
	}
	from, err := v.chunk(p.chunk(), p.offset(), recordHeader)
	if err != nil {
		return 0, err
	}
	*p += recordHeader
	return binary.NativeEndian.Uint64(from), nil
}

// read copies the bytes at p to data and advances p.
func (v *view) read(p *position, data []byte) error {
	for len(data) > 0 {
		if p.offset() == chunkSize {
			next, err := v.next(p.chunk())
			if err != nil {
				return err
			}
			*p = at(next, 0)
		}
		offset := p.offset()
		n := uint32(min(uint64(len(data)), uint64(chunkSize-offset)))
		from, err := v.chunk(p.chunk(), offset, n)
		if err != nil {
			return err
		}
		copy(data, from)
		data = data[n:]
		*p = at(p.chunk(), offset+n)
	}
	return nil
}

// Get takes the oldest item as TryGet, waiting for one as l allows.
func (t *Stream) Get(s *shm.Segment, buf []byte, l *futex.Limit) (int, error) {
	slept := false
	for {
		n, err := t.TryGet(s, buf, l)
		if over, err := t.got(s, err, &slept, l); over {
			return n, err
		}
	}
}

// Receive takes the oldest item as TryReceive, waiting for one as l allows.
func (t *Stream) Receive(s *shm.Segment, buf []byte, l *futex.Limit) (Received, error) {
	slept := false
	for {
		r, err := t.TryReceive(s, buf, l)
		if over, err := t.got(s, err, &slept, l); over {
			return r, err
		}
	}
}

// got deals with the result of an attempt to get an item: it is the last one, or
// there is to be another, for which this has waited.
func (t *Stream) got(s *shm.Segment, err error, slept *bool, l *futex.Limit) (over bool, _ error) {
	if *slept && err != ErrEmpty && t.Len() > 0 {
		fault.Here("item left for the next consumer")
		t.nonEmpty.Wake(1)
	}
	if err != ErrEmpty {
		return true, err
	}
	again, err := t.awaitItem(s, l)
	*slept = *slept || again
	if err == unix.EAGAIN {
		err = ErrEmpty
	}
	return err != nil, err
}

func (t *Stream) awaitItem(s *shm.Segment, l *futex.Limit) (slept bool, err error) {
	return futex.AwaitWord(&t.nonEmpty, l, &s.Spin[1], hasItem{t, s})
}

// AwaitItem waits for an item, which somebody else may take first, or until none
// will come.
func (t *Stream) AwaitItem(s *shm.Segment, l *futex.Limit) error {
	if (hasItem{t, s}).Ready() {
		return nil
	}
	slept, err := t.awaitItem(s, l)
	if slept && t.Ready() {
		fault.Here("item seen by one who waits only")
		// The wake-up was for one who takes the item.
		t.nonEmpty.Wake(1)
	}
	return err
}

// due returns how many items there are to be marked done: those that were put,
// but for the dropped ones.
func (t *Stream) due() uint64 {
	// In this order: dropped is of the last value of puts.
	if t.putFlags.Load()&gone != 0 {
		return t.puts.Load() - t.dropped.Load()
	}
	return t.puts.Load()
}

// Done marks one item done: the one that this process took first, if there is a ledger
// and it has any. Errors: ErrDone, when all that were put are; as futex.Mutex.Lock.
func (t *Stream) Done(s *shm.Segment, l *futex.Limit) error {
	if err := t.lockGet(s, l); err != nil {
		return err
	}
	err := ErrDone
	returned := t.ledger.returned.Load()
	if t.done.Load() < t.due() {
		err = t.books(s).done()
	}
	room := t.ledger.returned.Load() != returned
	t.getLock.Unlock()
	if room {
		t.nonFull.Wake(1)
	}
	if err == nil && t.Unfinished() == 0 {
		t.idle.Wake(futex.All)
	}
	return err
}

// Unfinished returns how many items that were put are not marked done. Items may
// have been marked done before they were dropped.
func (t *Stream) Unfinished() uint64 {
	done := t.done.Load()
	return max(t.due(), done) - done
}

// Join waits until every item that was put is marked done. b is as for TryPut.
func (t *Stream) Join(s *shm.Segment, b Bell, l *futex.Limit) error {
	r := allDone{t, s, b}
	if r.Ready() {
		return nil
	}
	_, err := futex.AwaitWord(&t.idle, l, &s.Spin[2], r)
	return err
}

// What is waited for.
type (
	hasRoom struct{ t *Stream }
	hasItem struct {
		t *Stream
		s *shm.Segment
	}
	allDone struct {
		t *Stream
		s *shm.Segment
		b Bell
	}
)

func (r hasRoom) Ready() bool { return !r.t.Full() || r.t.putFlags.Load()&shut != 0 }

func (r hasItem) Ready() bool {
	if r.t.mode&redelivers != 0 {
		r.t.Look(r.s)
	}
	return r.t.Ready()
}

func (r allDone) Ready() bool {
	if r.t.Unfinished() == 0 {
		return true
	}
	if !r.t.Look(r.s) {
		return false
	}
	r.t.Settle(r.b)
	return r.t.Unfinished() == 0
}
