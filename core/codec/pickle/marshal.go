package pickle

import (
	"encoding/binary"
	"math"
	"math/big"
	"reflect"
)

// Marshal returns v as a pickle.
func Marshal(v any) ([]byte, error) {
	w := writer{out: []byte{opProto, writtenProtocol}}
	if err := w.write(reflect.ValueOf(v), place{}); err != nil {
		return nil, err
	}
	w.out = append(w.out, opStop)
	if !w.composite {
		// PROTO is optional, and without it the extension decodes these by itself
		// (pybind/codec.c).
		return w.out[2:], nil
	}
	return w.out, nil
}

type writer struct {
	out       []byte
	composite bool
}

func (w *writer) op(code byte) { w.out = append(w.out, code) }

func (w *writer) write(v reflect.Value, at place) error {
	if at.depth > maxDepth {
		return notPlain("nested more than %d levels deep", maxDepth)
	}
	switch v.Kind() {
	case reflect.Invalid:
		w.op(opNone)
	case reflect.Interface, reflect.Pointer:
		return w.write(v.Elem(), at.below()) // invalid, if it is nil
	case reflect.Bool:
		if v.Bool() {
			w.op(opNewTrue)
		} else {
			w.op(opNewFalse)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		w.writeInt(v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if n := v.Uint(); n > math.MaxInt64 {
			w.writeBig(new(big.Int).SetUint64(n))
		} else {
			w.writeInt(int64(n))
		}
	case reflect.Float32, reflect.Float64:
		w.op(opBinFloat)
		w.out = binary.BigEndian.AppendUint64(w.out, math.Float64bits(v.Float()))
	case reflect.String:
		return w.writeString(v)
	case reflect.Slice, reflect.Array:
		return w.writeSequence(v, at)
	case reflect.Map:
		return w.writeMap(v, at)
	case reflect.Struct:
		return w.writeStruct(v, at)
	default:
		return notPlain("a %s", v.Type())
	}
	return nil
}

// writeInt uses the opcodes that pybind/codec.c knows.
func (w *writer) writeInt(n int64) {
	switch {
	case 0 <= n && n <= math.MaxUint8:
		w.out = append(w.out, opBinInt1, byte(n))
	case 0 <= n && n <= math.MaxUint16:
		w.out = binary.LittleEndian.AppendUint16(append(w.out, opBinInt2), uint16(n))
	case math.MinInt32 <= n && n <= math.MaxInt32:
		w.out = binary.LittleEndian.AppendUint32(append(w.out, opBinInt), uint32(n))
	default:
		w.out = binary.LittleEndian.AppendUint64(append(w.out, opLong1, 8), uint64(n))
	}
}

func (w *writer) writeBig(n *big.Int) {
	if n.IsInt64() {
		w.writeInt(n.Int64())
		return
	}
	data := twosComplement(n)
	if len(data) <= math.MaxUint8 {
		w.out = append(w.out, opLong1, byte(len(data)))
	} else {
		w.out = binary.LittleEndian.AppendUint32(append(w.out, opLong4), uint32(len(data)))
	}
	w.out = append(w.out, data...)
}

// writeLength writes the opcode for a length that takes 1, 4 or 8 bytes, and the length.
func (w *writer) writeLength(n int, op1, op4, op8 byte) {
	switch {
	case n <= math.MaxUint8:
		w.out = append(w.out, op1, byte(n))
	case n <= math.MaxInt32:
		w.out = binary.LittleEndian.AppendUint32(append(w.out, op4), uint32(n))
	default:
		w.out = binary.LittleEndian.AppendUint64(append(w.out, op8), uint64(n))
	}
}

func (w *writer) writeString(v reflect.Value) error {
	text := v.String()
	if v.Type() == bytesType {
		w.writeLength(len(text), opShortBinBytes, opBinBytes, opBinBytes8)
	} else if isText(text) {
		w.writeLength(len(text), opShortBinUnicode, opBinUnicode, opBinUnicode8)
	} else {
		return notPlain("a string that is not UTF-8")
	}
	w.out = append(w.out, text...)
	return nil
}

// writeSequence writes bytes, a list or a tuple.
func (w *writer) writeSequence(v reflect.Value, at place) error {
	t := v.Type()
	if t.Elem() == byteType {
		w.writeLength(v.Len(), opShortBinBytes, opBinBytes, opBinBytes8)
		at := len(w.out)
		w.out = append(w.out, make([]byte, v.Len())...)
		reflect.Copy(reflect.ValueOf(w.out[at:]), v)
		return nil
	}
	w.composite = true
	if t.Kind() == reflect.Array || t == naturalTypes[tuple] {
		return w.writeTuple(v, at)
	}
	w.op(opEmptyList)
	if v.Len() == 0 {
		return nil
	}
	w.op(opMark)
	if err := w.writeElements(v, at); err != nil {
		return err
	}
	w.op(opAppends)
	return nil
}

func (w *writer) writeTuple(v reflect.Value, at place) error {
	short := []byte{opEmptyTuple, opTuple1, opTuple2, opTuple3}
	if v.Len() < len(short) {
		if err := w.writeElements(v, at); err != nil {
			return err
		}
		w.op(short[v.Len()])
		return nil
	}
	w.op(opMark)
	if err := w.writeElements(v, at); err != nil {
		return err
	}
	w.op(opTuple)
	return nil
}

func (w *writer) writeElements(v reflect.Value, at place) error {
	for i := range v.Len() {
		if err := w.write(v.Index(i), at.below()); err != nil {
			return err
		}
	}
	return nil
}

// writeMap writes a dict or a set.
func (w *writer) writeMap(v reflect.Value, at place) error {
	w.composite = true
	set := isSet(v.Type())
	begin, end := byte(opEmptyDict), byte(opSetItems)
	if set {
		begin, end = opEmptySet, opAddItems
	}
	w.op(begin)
	if v.Len() == 0 {
		return nil
	}
	w.op(opMark)
	for entry := v.MapRange(); entry.Next(); {
		if err := w.write(entry.Key(), place{at.depth + 1, true}); err != nil {
			return err
		}
		if !set {
			if err := w.write(entry.Value(), at.below()); err != nil {
				return err
			}
		}
	}
	w.op(end)
	return nil
}

// writeStruct writes an int or a dict.
func (w *writer) writeStruct(v reflect.Value, at place) error {
	t := v.Type()
	if t == bigIntType {
		n := v.Interface().(big.Int)
		w.writeBig(&n)
		return nil
	}
	f := fieldsOf(t)
	switch {
	case at.key:
		return notPlain("a %s as a key of a map", t)
	case len(f.list) == 0 && t.NumField() > 0:
		return notPlain("a %s, which has no exported fields", t)
	}
	w.composite = true
	w.op(opEmptyDict)
	w.op(opMark)
	for _, field := range f.list {
		value := v.FieldByIndex(field.index)
		if field.omitEmpty && isEmpty(value) {
			continue
		}
		w.writeLength(len(field.name), opShortBinUnicode, opBinUnicode, opBinUnicode8)
		w.out = append(w.out, field.name...)
		if err := w.write(value, at.below()); err != nil {
			return err
		}
	}
	w.op(opSetItems)
	return nil
}
