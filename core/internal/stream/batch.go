package stream

import (
	"encoding/binary"
	"math"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

// Batch is records of items, none of which refers to extents, one behind the other as
// they lie in a stream.
type Batch []byte

// Append appends the record of an item.
func (b Batch) Append(item []byte) Batch {
	b = binary.NativeEndian.AppendUint64(b, uint64(len(item)))
	b = append(b, item...)
	return append(b, make([]byte, -len(item)&7)...)
}

// Next returns the first item, and the batch without it. Error: unix.EINVAL, when
// that is no batch.
func (b Batch) Next() (item []byte, rest Batch, err error) {
	if len(b) < recordHeader {
		return nil, nil, unix.EINVAL
	}
	n := binary.NativeEndian.Uint64(b)
	if n > uint64(len(b)) || recordSize(n) > uint64(len(b)) {
		return nil, nil, unix.EINVAL
	}
	return b[recordHeader : recordHeader+n], b[recordSize(n):], nil
}

// PutMany appends the items of a batch, as many at a time as there is room for, waiting
// for room as l allows. It returns how many it put, and the batch without them.
// Errors: as Put; unix.EINVAL.
func (t *Stream) PutMany(s *shm.Segment, b Bell, items Batch, l *futex.Limit) (put uint64, rest Batch, err error) {
	slept := false
	for most := uint64(math.MaxUint64); len(items) > 0; {
		var n uint64
		n, rest, err = t.putSome(s, b, items, most, l)
		if err == nil {
			put += n
			items, most = rest, math.MaxUint64
			continue
		}
		if err != ErrFull {
			break
		}
		if n > 1 {
			most = 1 // somebody was faster, and there may be room for fewer
			continue
		}
		t.Settle(b)
		var again bool
		again, err = t.AwaitRoom(s, l)
		slept = slept || again
		if err != nil {
			return put, items, full(err)
		}
	}
	if slept {
		t.WakeNextPut()
	}
	return put, items, err
}

// putSome appends as many items as there seems to be room for, at least one and no more
// than most.
func (t *Stream) putSome(s *shm.Segment, b Bell, items Batch, most uint64, l *futex.Limit) (n uint64, rest Batch, err error) {
	room := most
	if maxItems := t.maxItems; maxItems > 0 {
		room = min(room, max(maxItems-min(t.Len(), maxItems), 1))
	}
	for rest = items; len(rest) > 0 && n < room; n++ {
		if _, rest, err = rest.Next(); err != nil {
			return 0, nil, err
		}
	}
	r := Record{batch: items[:len(items)-len(rest)], count: n}
	return n, rest, t.putOrGrow(s, b, &r, l)
}

// GetMany takes the oldest items, at most as many as buf has room for as a batch and no
// more than limit, waiting for one as l allows. It returns how many, and how many bytes
// of buf they take; with ErrTooLong, how many the first one takes. Errors: as Get.
func (t *Stream) GetMany(s *shm.Segment, buf []byte, limit uint64, l *futex.Limit) (n uint64, size int, err error) {
	slept := false
	for {
		n, size, err := t.tryGetMany(s, buf, limit, l)
		if over, err := t.got(s, err, &slept, l); over {
			return n, size, err
		}
	}
}

func (t *Stream) tryGetMany(s *shm.Segment, buf []byte, limit uint64, l *futex.Limit) (n uint64, size int, err error) {
	if err := t.beginGet(s, l); err != nil {
		return 0, 0, err
	}
	v := view{t, s}
	var passed bool
	if t.mode&keeps == 0 {
		n, size, passed, err = v.takeMany(buf, limit)
	} else {
		n, size, passed, err = v.takeManyKept(buf, limit)
	}
	t.endGet(s, n, passed)
	if err == ErrEmpty {
		err = t.nothing()
	}
	return n, size, err
}

// takeMany takes records from the head on into buf. passed: the head left a chunk.
func (v *view) takeMany(buf []byte, limit uint64) (n uint64, size int, passed bool, err error) {
	t := v.t
	gets := t.gets.Load()
	puts := t.puts.Load()
	t.seen.Store(puts)
	limit = min(limit, puts-gets)
	if limit == 0 {
		return 0, 0, false, ErrEmpty
	}
	fault.Here("getting a batch locked")
	st := &t.get[gets&1]
	start := position(st.head.Load())
	head, first := start, start
	for ; n < limit; n++ {
		next := head
		used, err := v.takeRecord(&next, buf[size:])
		if err == nil && t.mode&keeps != 0 {
			if err = v.keepRecord(gets+n, head, binary.NativeEndian.Uint64(buf[size:])); err != nil {
				used = 0
			}
		}
		if err != nil {
			if n == 0 {
				return 0, used, false, err
			}
			break // the next call will tell
		}
		size += used
		head = next
		if n == 0 {
			first = head
		}
	}
	fault.Here("batch read")
	bytes := st.bytes.Load()
	if n%2 == 0 {
		// The slot of the state with n more items is the current one.
		one := recordSize(binary.NativeEndian.Uint64(buf))
		t.commitGet(gets+1, first, bytes+one)
		fault.Here("first of a batch got")
	}
	t.commitGet(gets+n, head, bytes+uint64(size))
	return n, size, head.chunk() != start.chunk(), nil
}

// keepRecord is keep for the record at p, whose header was word.
func (v *view) keepRecord(n uint64, p position, word uint64) error {
	if _, err := v.readHeader(&p); err != nil {
		return err
	}
	return v.keep(n, word, reading{head: p})
}

// takeRecord copies the record at p to buf and advances p, or leaves it where it is.
func (v *view) takeRecord(p *position, buf []byte) (size int, err error) {
	head := *p
	n, err := v.readHeader(&head)
	if err != nil {
		return 0, err
	}
	if n&hasRefs != 0 {
		return 0, ErrBuffers
	}
	if n > maxItem {
		return 0, shm.ErrBounds
	}
	if recordSize(n) > uint64(len(buf)) {
		return v.tooLong(&reading{}, recordSize(n))
	}
	binary.NativeEndian.PutUint64(buf, n)
	if err := v.read(&head, buf[recordHeader:recordHeader+n]); err != nil {
		return 0, err
	}
	*p = head.aligned()
	return int(recordSize(n)), nil
}
