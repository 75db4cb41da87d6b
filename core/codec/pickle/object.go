package pickle

import "math/big"

// object is a Python object as the machine makes it: nil, a bool, an int64, a float64, a
// string; or a pointer to one of the following or a big.Int.
type object any

type bytesObject struct {
	data []byte // in the pickle
	name string // bytes or bytearray
}

// A collection is a list, tuple, dict, set or frozenset; of a dict the keys and the values
// take turns.
type collection struct {
	kind  kind
	items []object
	// More than one may refer to it, among them it itself.
	shared bool
}

// length is what len returns in Python.
func (c *collection) length() int {
	if c.kind == dict {
		return len(c.items) / 2
	}
	return len(c.items)
}

type kind uint8

const (
	list kind = iota
	tuple
	dict
	set
	frozenSet
)

var kindNames = [...]string{"list", "tuple", "dict", "set", "frozenset"}

// global is a function or class, which is there to be called.
type global struct{ module, name string }

// typeName returns the name of the type of o in Python.
func typeName(o object) string {
	switch o := o.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case int64, *big.Int:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case *bytesObject:
		return o.name
	case *collection:
		return kindNames[o.kind]
	case *global:
		return o.module + "." + o.name
	}
	panic("unreachable")
}
