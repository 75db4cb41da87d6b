// Package msgpack has the codec for items in MessagePack (https://msgpack.org): those of a
// queue of Python with codec="msgpack", which package msgpack there reads and writes.
//
//	Go                       MessagePack         Python
//	nil                      nil                 None
//	bool                     bool                bool
//	integers                 int                 int of 64 bits
//	float32, float64         float               float
//	string                   str                 str
//	[]byte, [n]byte          bin                 bytes
//	slices, arrays           array               list; tuple is only written
//	maps, structs            map                 dict
//	time.Time                ext of type -1      msgpack.Timestamp
//
// In a variable of type any an int becomes an int64, or from 128 on a uint64, as it is
// written; an array becomes a []any; a map a map[any]any, in which keys of bytes are
// strings. A nil slice or map is an empty one. A field of a struct has the key that its
// codec or json tag says, or its own name.
//
// The reader and writer are those of github.com/ugorji/go/codec.
package msgpack

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/ugorji/go/codec"
)

// Codec is a core.Codec.
type Codec struct{}

var handle = newHandle()

func newHandle() *codec.MsgpackHandle {
	h := new(codec.MsgpackHandle)
	h.WriteExt = true // and bin: the format of today
	h.MapType = reflect.TypeFor[map[any]any]()
	h.SliceType = reflect.TypeFor[[]any]()
	h.NilCollectionToZeroLength = true
	h.ErrorIfNoArrayExpand = true
	return h
}

// ErrTrailing: there are bytes behind the value.
var ErrTrailing = errors.New("msgpack: bytes behind the value")

// Marshal returns v in MessagePack.
func (Codec) Marshal(v any) ([]byte, error) {
	var data []byte
	if err := codec.NewEncoderBytes(&data, handle).Encode(v); err != nil {
		return nil, fmt.Errorf("msgpack: %w", err)
	}
	return data, nil
}

// Unmarshal stores in *v the value that data is in MessagePack.
func (Codec) Unmarshal(data []byte, v any) error {
	d := codec.NewDecoderBytes(data, handle)
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("msgpack: %w", err)
	}
	if d.NumBytesRead() != len(data) {
		return ErrTrailing
	}
	return nil
}
