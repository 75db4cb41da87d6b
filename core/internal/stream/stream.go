package stream

import (
	"encoding/binary"
	"errors"
	"sync/atomic"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

var (
	ErrEmpty = errors.New("stream is empty")
	ErrFull  = errors.New("stream is full")
	ErrDone  = errors.New("more items marked done than were put")
	ErrShut  = errors.New("stream was shut down")
)

// TooLong is what Get returns for an item that does not fit the buffer; it has
// that many bytes, and stays where it is.
type TooLong uint64

func (TooLong) Error() string { return "item is longer than the buffer" }

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
		puts := t.puts.Load()
		if t.gets.Load() != gets {
			continue
		}
		if t.putFlags.Load()&gone != 0 {
			return 0
		}
		return puts - gets
	}
}

// Ready reports whether TryGet would find an item, or that none will come.
func (t *Stream) Ready() bool { return t.Len() > 0 || t.putFlags.Load()&shut != 0 }

// MaxItems returns the bound on Len, 0 for none.
func (t *Stream) MaxItems() uint64 { return t.maxItems }

// Full reports whether a put would have to wait.
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
		t.nonEmpty.Wake(futex.All)
	}
	return nil
}

// tryLockPut is lockPut without waiting for anybody who lives.
func (t *Stream) tryLockPut() bool {
	if t.putLock.TryLock() {
		return true
	}
	owner := t.putLock.Owner()
	return owner.PID != 0 && !owner.Alive() && t.lockPut(&futex.Limit{How: futex.NoWait}) == nil
}

func (t *Stream) lockGet(l *futex.Limit) error {
	inherited, err := t.getLock.Lock(l)
	if err != nil {
		return err
	}
	if inherited {
		t.getFlags.Or(t.putFlags.Load() & gone)
		// It may have made room without telling.
		t.nonFull.Wake(futex.All)
	}
	return nil
}

// TryPut appends a copy of item, and has b, which may be nil, rung if it is
// watched. alone tells that there was no other item before it. Errors: ErrFull,
// ErrShut, unix.EBUSY as futex.Mutex.Lock, and what shm.Segment says when there
// is no memory for the item; nothing was changed then.
func (t *Stream) TryPut(s *shm.Segment, b Bell, item []byte, l *futex.Limit) (alone bool, err error) {
	if err := t.lockPut(l); err != nil {
		return false, err
	}
	gets := t.gets.Load()
	before := t.current()
	alone = gets == before.puts
	switch {
	case t.putFlags.Load()&shut != 0:
		err = ErrShut
	case t.maxItems > 0 && before.puts-gets >= t.maxItems:
		err = ErrFull
	case t.maxBytes > 0 && !alone && t.pending() >= t.maxBytes:
		err = ErrFull
	default:
		v := view{t, s}
		err = v.append(before, b, item, l)
	}
	t.putLock.Unlock()
	if err == nil {
		t.nonEmpty.Wake(1)
	}
	return alone, err
}

// pending returns how many bytes were put and not yet got.
func (t *Stream) pending() uint64 {
	got, _ := t.consumed()
	return t.produced() - got
}

func (v *view) append(before putState, b Bell, item []byte, l *futex.Limit) error {
	if len(item) > maxItem {
		return unix.EFBIG
	}
	size := recordSize(uint64(len(item)))
	offset := before.tail.offset()
	if uint64(offset)+size > chunkSize {
		chunks := (size - uint64(chunkSize-offset) + chunkSize - 1) / chunkSize
		if uint64(before.warms) < chunks {
			if err := v.collect(&before); err != nil {
				return err
			}
		}
	}
	st := before
	if uint64(offset)+size <= uint64(st.ready) {
		to, err := v.chunk(st.tail.chunk(), offset, uint32(size))
		if err != nil {
			return err
		}
		binary.NativeEndian.PutUint64(to, uint64(len(item)))
		copy(to[recordHeader:], item)
		st.tail += position(size)
	} else {
		var header [recordHeader]byte
		binary.NativeEndian.PutUint64(header[:], uint64(len(item)))
		err := v.write(&st, header[:])
		if err == nil {
			err = v.write(&st, item)
		}
		if err != nil {
			return errors.Join(err, v.giveBack(&before, &st))
		}
		st.tail = st.tail.aligned()
	}
	st.bytes += size
	st.puts++
	rung, err := v.t.ring(b, l)
	if err != nil {
		if e := v.giveBack(&before, &st); e != nil {
			return errors.Join(err, e)
		}
		return err
	}
	v.t.commit(&st)
	v.t.publish(st.puts)
	if rung {
		v.t.Doorbell.Lock.Unlock()
	}
	return nil
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

// Put appends a copy of item, waiting for room as l allows.
func (t *Stream) Put(s *shm.Segment, b Bell, item []byte, l *futex.Limit) error {
	slept := false
	for {
		_, err := t.TryPut(s, b, item, l)
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
			if err == unix.EAGAIN {
				err = ErrFull
			}
			return err
		}
	}
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
		t.nonFull.Wake(1)
	}
}

// TryGet takes the oldest item into buf and returns its length. Errors: ErrEmpty,
// ErrShut, TooLong, unix.EBUSY.
func (t *Stream) TryGet(s *shm.Segment, buf []byte, l *futex.Limit) (int, error) {
	if t.gets.Load() == t.puts.Load() {
		return 0, t.nothing()
	}
	if err := t.lockGet(l); err != nil {
		return 0, err
	}
	if t.getFlags.Load()&gone != 0 {
		t.getLock.Unlock()
		return 0, ErrShut
	}
	v := view{t, s}
	n, passed, err := v.take(buf)
	t.getLock.Unlock()
	if err == ErrEmpty {
		err = t.nothing()
	}
	if err != nil {
		return 0, err
	}
	t.nonFull.Wake(1)
	if passed && t.tryLockPut() {
		// Chunks were drained: see to it that their memory is given back,
		// also when there is no producer any more. The item is taken, so what
		// fails here is left for the next put to meet.
		st := t.current()
		_ = v.collect(&st)
		t.putLock.Unlock()
	}
	return n, nil
}

// nothing returns why TryGet found nothing.
func (t *Stream) nothing() error {
	if t.putFlags.Load()&shut != 0 && t.Len() == 0 {
		return ErrShut
	}
	// Also if the stream was shut down with an item put just before: the next
	// try takes it.
	return ErrEmpty
}

// take copies the record at the head into buf. passed: the head left a chunk.
func (v *view) take(buf []byte) (n int, passed bool, err error) {
	t := v.t
	gets := t.gets.Load()
	if gets == t.seen {
		t.seen = t.puts.Load()
		if gets == t.seen {
			return 0, false, ErrEmpty
		}
	}
	st := &t.get[gets&1]
	start := position(st.head.Load())
	head := start
	var header [recordHeader]byte
	if err := v.read(&head, header[:]); err != nil {
		return 0, false, err
	}
	size := binary.NativeEndian.Uint64(header[:])
	if size > maxItem {
		return 0, false, shm.ErrBounds
	}
	if size > uint64(len(buf)) {
		if size > t.pending() {
			return 0, false, shm.ErrBounds
		}
		return 0, false, TooLong(size)
	}
	if err := v.read(&head, buf[:size]); err != nil {
		return 0, false, err
	}
	head = head.aligned()
	next := &t.get[(gets+1)&1]
	next.head.Store(uint64(head))
	next.bytes.Store(st.bytes.Load() + recordSize(size))
	t.gets.Store(gets + 1)
	return int(size), head.chunk() != start.chunk(), nil
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

// Get takes the oldest item into buf, waiting for one as l allows.
func (t *Stream) Get(s *shm.Segment, buf []byte, l *futex.Limit) (int, error) {
	slept := false
	for {
		n, err := t.TryGet(s, buf, l)
		if slept && err != ErrEmpty && t.Len() > 0 {
			t.nonEmpty.Wake(1)
		}
		if err != ErrEmpty {
			return n, err
		}
		again, err := t.awaitItem(s, l)
		slept = slept || again
		if err != nil {
			if err == unix.EAGAIN {
				err = ErrEmpty
			}
			return 0, err
		}
	}
}

func (t *Stream) awaitItem(s *shm.Segment, l *futex.Limit) (slept bool, err error) {
	return futex.AwaitWord(&t.nonEmpty, l, &s.Spin[1], hasItem{t})
}

// AwaitItem waits for an item, which somebody else may take first, or until none
// will come.
func (t *Stream) AwaitItem(s *shm.Segment, l *futex.Limit) error {
	if t.Ready() {
		return nil
	}
	slept, err := t.awaitItem(s, l)
	if slept && t.Ready() {
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

// Done marks one item done, or returns ErrDone when all that were put are.
func (t *Stream) Done() error {
	for {
		done := t.done.Load()
		if done >= t.due() {
			return ErrDone
		}
		if t.done.CompareAndSwap(done, done+1) {
			if done+1 >= t.due() {
				t.idle.Wake(futex.All)
			}
			return nil
		}
	}
}

// Unfinished returns how many items that were put are not marked done. Items may
// have been marked done before they were dropped.
func (t *Stream) Unfinished() uint64 {
	done := t.done.Load()
	return max(t.due(), done) - done
}

// Join waits until every item that was put is marked done.
func (t *Stream) Join(s *shm.Segment, l *futex.Limit) error {
	r := allDone{t}
	if r.Ready() {
		return nil
	}
	_, err := futex.AwaitWord(&t.idle, l, &s.Spin[2], r)
	return err
}

// What is waited for.
type (
	hasRoom struct{ t *Stream }
	hasItem struct{ t *Stream }
	allDone struct{ t *Stream }
)

func (r hasRoom) Ready() bool { return !r.t.Full() || r.t.putFlags.Load()&shut != 0 }
func (r hasItem) Ready() bool { return r.t.Ready() }
func (r allDone) Ready() bool { return r.t.Unfinished() == 0 }
