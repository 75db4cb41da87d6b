package core

import (
	"bytes"
	"errors"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/stream"
)

// Item is an item or a message, for language bindings, as they put it: its data in Parts,
// which are laid one behind the other, and Buffers, large data that accompanies it
// and that the receiver may use where it lies.
type Item = stream.Record

// Batch is several items in one piece, for language bindings: each as a word with its
// length in the machine's byte order, its bytes, and padding to a multiple of 8.
type Batch = stream.Batch

// Received tells, for language bindings, what ReceiveWithin stored in the buffer:
// references to extents, memory of the segment that now belongs to this process
// and holds the item's buffers or, if Whole, the item itself; and behind them the
// item's data, unless Whole.
type Received = stream.Received

// ErrBuffers: the item has buffers beside its data, and was not taken. Queue.GetBuffers and
// Conn.RecvBuffers take it.
var ErrBuffers = stream.ErrBuffers

// Ref tells where an extent lies in a segment: the Offset and the Len, in bytes, which
// ReceiveWithin stores in the machine's byte order. For language bindings.
type Ref = stream.Ref

// Extent returns the memory of an extent that this process received, for language
// bindings.
func Extent(s *Segment, r Ref) ([]byte, error) { return stream.ExtentsOf(s).Bytes(r) }

// ReleaseExtent gives an extent that this process received back, for language bindings.
func ReleaseExtent(s *Segment, r Ref) { stream.ExtentsOf(s).Release(r) }

// copyReceived receives an item and returns copies, so that no extent remains with this
// process.
func copyReceived(s *Segment, receive func(buf []byte) (Received, error)) (data []byte, buffers [][]byte, err error) {
	var r Received
	data, err = receiveLong(smallItem, ErrTooLong, func(buf []byte) (n int, err error) {
		r, err = receive(buf)
		return r.Len, err
	})
	if err != nil {
		return nil, nil, err
	}
	x := stream.ExtentsOf(s)
	for range r.Refs {
		ref := stream.DecodeRef(data)
		data = data[unsafe.Sizeof(ref):]
		b, failed := x.Bytes(ref)
		err = errors.Join(err, failed)
		buffers = append(buffers, bytes.Clone(b))
		x.Release(ref)
	}
	if err != nil {
		return nil, nil, err
	}
	if r.Whole {
		return buffers[0], nil, nil
	}
	return data, buffers, nil
}

// smallItem is how long an item may be that is received without asking for its length.
const smallItem = 512

// receiveLong receives an item after an attempt that ended with n and err: again if the
// item was too long, as often as another takes its place.
func receiveLong(n int, err error, receive func(buf []byte) (int, error)) ([]byte, error) {
	for err == ErrTooLong {
		buf := make([]byte, n)
		if n, err = receive(buf); err == nil {
			return buf[:n], nil
		}
	}
	return nil, err
}
