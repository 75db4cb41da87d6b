package stream

import (
	"encoding/binary"
	"errors"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// ErrBuffers is what TryGet returns for an item that has buffers; it stays where it
// is, for TryReceive.
var ErrBuffers = errors.New("item has buffers beside its data")

// Record is an item on its way into a stream: its data, in parts that are laid one
// behind the other, and buffers that accompany it.
type Record struct {
	Parts   [3][]byte
	Buffers [][]byte

	batch []byte // instead of them: a batch of items,
	count uint64 // and how many

	// Where Fill has put the buffers, or, if whole, the data. Room for some saves
	// a piece of the heap.
	Refs  []Ref
	whole bool
}

// RefsRoom is how many references there should be room for in a Record.
type RefsRoom [8]Ref

// Received tells what TryReceive found.
type Received struct {
	Len   int  // bytes that are in the buffer: the references, and behind them the data
	Refs  int  // number of extents that now belong to this process
	Whole bool // there is one, and it holds the data
}

// A record's header is the length of what follows, but for padding, and flags in
// the upper byte. If it has references, their number and they themselves come
// before the data.
const (
	recordHeader = 8
	refSize      = 16

	hasRefs = 1 << 56
	isWhole = 1 << 57
	maxItem = 1<<56 - 1
)

// Items of this many bytes go to an extent.
const largeItem = 256 << 10

// recordSize is the size of the record of an item of n bytes.
func recordSize(n uint64) uint64 { return recordHeader + (n+7)&^7 }

// items returns how many items it is.
func (r *Record) items() uint64 { return max(r.count, 1) }

// size returns how many bytes of the stream it takes.
func (r *Record) size() uint64 {
	if r.count > 0 {
		return uint64(len(r.batch))
	}
	return recordSize(r.inline())
}

// inline returns how many bytes follow the header.
func (r *Record) inline() (n uint64) {
	if !r.whole {
		n = uint64(len(r.Parts[0]) + len(r.Parts[1]) + len(r.Parts[2]))
	}
	if len(r.Refs) > 0 {
		n += 8 + refSize*uint64(len(r.Refs))
	}
	return n
}

func (r *Record) header() uint64 {
	n := r.inline()
	if len(r.Refs) > 0 {
		n |= hasRefs
	}
	if r.whole {
		n |= isWhole
	}
	return n
}

// beside returns how many bytes are in extents.
func (r *Record) beside() (n uint64) {
	for _, ref := range r.Refs {
		n += ref.Len
	}
	return n
}

// IsLarge reports whether the item is to be put by Fill and TryPut.
func (r *Record) IsLarge() bool {
	return len(r.Buffers) > 0 || len(r.Parts[0])+len(r.Parts[1])+len(r.Parts[2]) >= largeItem
}

// Fill copies the buffers of a large item to extents; if it has none, the data
// itself. It returns the references to them, appended to refs, which are to become
// r.Refs. Errors: as Extents.Take; nothing was changed then. If the item is not put
// after all, Empty is to follow.
func (r *Record) Fill(s *shm.Segment, refs []Ref, l *futex.Limit) ([]Ref, error) {
	if len(r.Buffers) == 0 {
		ref, err := fill(s, &r.Parts, l)
		r.whole = err == nil
		return append(refs, ref), err
	}
	for _, b := range r.Buffers {
		ref, err := fill(s, &[3][]byte{b}, l)
		if err != nil {
			for _, ref := range refs {
				ExtentsOf(s).Release(ref)
			}
			return nil, err
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

func fill(s *shm.Segment, parts *[3][]byte, l *futex.Limit) (Ref, error) {
	x := ExtentsOf(s)
	ref, err := x.Take(uint64(len(parts[0])+len(parts[1])+len(parts[2])), l)
	if err != nil {
		return Ref{}, err
	}
	to, err := x.Bytes(ref)
	if err != nil {
		x.Release(ref)
		return Ref{}, err
	}
	for _, part := range parts {
		to = to[copy(to, part):]
	}
	fault.Here("extent filled")
	return ref, nil
}

// Empty releases the extents of an item that was not put.
func (r *Record) Empty(s *shm.Segment) {
	for _, ref := range r.Refs {
		ExtentsOf(s).Release(ref)
	}
	r.Refs, r.whole = nil, false
}

// writeRecord writes a record, but for its padding, to the tail of st.
func (v *view) writeRecord(st *putState, r *Record) error {
	if r.count > 0 {
		return v.write(st, r.batch)
	}
	var word [8]byte
	binary.NativeEndian.PutUint64(word[:], r.header())
	if err := v.write(st, word[:]); err != nil {
		return err
	}
	if len(r.Refs) > 0 {
		binary.NativeEndian.PutUint64(word[:], uint64(len(r.Refs)))
		if err := v.write(st, word[:]); err != nil {
			return err
		}
	}
	for _, ref := range r.Refs {
		b := ref.encode()
		if err := v.write(st, b[:]); err != nil {
			return err
		}
	}
	if r.whole {
		return nil
	}
	for _, part := range r.Parts {
		if err := v.write(st, part); err != nil {
			return err
		}
	}
	return nil
}

func (r Ref) encode() (b [refSize]byte) {
	binary.NativeEndian.PutUint64(b[:], r.Offset)
	binary.NativeEndian.PutUint64(b[8:], r.Len)
	return b
}

// DecodeRef returns the reference at the beginning of what TryReceive stored.
func DecodeRef(b []byte) Ref {
	return Ref{binary.NativeEndian.Uint64(b), binary.NativeEndian.Uint64(b[8:])}
}

// references reads how many references are at r, in a record of n bytes.
func (v *view) references(r *reading, n uint64) (count, rest uint64, err error) {
	var word [8]byte
	if n < 8 {
		return 0, 0, shm.ErrBounds
	}
	if err := v.readFrom(r, word[:]); err != nil {
		return 0, 0, err
	}
	count = binary.NativeEndian.Uint64(word[:])
	if count == 0 || count > (n-8)/refSize {
		return 0, 0, shm.ErrBounds
	}
	return count, n - 8, nil
}
