// Package pickle has the codec for items that Python's put and send write, and its get and
// recv read, unless they are told otherwise: pickles, of plain data. Nothing in a pickle
// is ever called.
//
//	Python               Go, in a variable of type any         in others also
//	None                 nil                                   nil pointers, slices and maps
//	bool                 bool
//	int                  int64; *big.Int, if it takes more     integers that hold it, big.Int, floating point
//	float                float64                               float32
//	str                  string
//	bytes, bytearray     []byte                                Bytes, [n]byte
//	list                 []any                                 slices, arrays of as many elements
//	tuple                Tuple                                 slices, arrays of as many elements
//	dict                 map[any]any                           maps; structs, if the keys are str
//	set, frozenset       map[any]struct{}                      maps to struct{}; slices
//
// The other way round, bool, the types of integers and floating point, big.Int, string
// and Bytes become what they were in the table, and so do []byte and [n]byte (bytes),
// slices (list), Tuple and arrays (tuple), maps to struct{} (set), other maps and structs
// (dict). A pointer is what it points to, or None; a nil slice or map is an empty one.
//
// A field of a struct has the key that its json tag says, or its own name; omitempty and
// "-" count, and the fields of an embedded struct without a tag are those of the outer one.
// Keys that no field has are passed over.
//
// In a map[any]any or map[any]struct{} a key of bytes is of type Bytes, since a []byte
// cannot be a key. Nor can a Tuple or *big.Int, which are refused there; but tuples are
// the keys of a map[[2]int]string or the like. A str may have lone surrogates: they are
// in the string as UTF-8 would encode them if it did.
//
// What in Python is one list, dict, set or bytes object in several places is one slice or
// map in Go, too, where the types are the same. The other way round it is written anew for
// each place.
//
// Read are pickles of protocols 2 to 5 as CPython makes them of plain data. Written are
// those of protocol 4, which each supported version of CPython reads. Everything else is
// refused with ErrNotPlain: an instance of a class, a datetime, a complex, a range and the
// like, which are pickles that call something; what contains itself; and what is nested
// deeper than 10,000 levels. A numpy array, and whatever else has buffers beside its
// pickle, does not even come as far: Queue.Get fails with core.ErrBuffers, and
// Queue.GetBuffers takes it.
//
// Protocols 2 to 4 have calls for bytes, bytearrays and sets, too. Those are recognized by
// name, and made here.
package pickle
