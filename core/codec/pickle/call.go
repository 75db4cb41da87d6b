package pickle

import "slices"

// For want of opcodes, protocols 2 to 4 call these functions for bytes, bytearrays and
// sets. Here their names stand for what they make, and all others are refused.
var makers = map[global]string{
	{"_codecs", "encode"}:        "bytes",
	{"__builtin__", "bytes"}:     "bytes",
	{"builtins", "bytes"}:        "bytes",
	{"__builtin__", "bytearray"}: "bytearray",
	{"builtins", "bytearray"}:    "bytearray",
	{"__builtin__", "set"}:       "set",
	{"builtins", "set"}:          "set",
	{"__builtin__", "frozenset"}: "frozenset",
	{"builtins", "frozenset"}:    "frozenset",
}

func (m *machine) pushGlobal() error {
	module, err := m.line()
	if err != nil {
		return err
	}
	name, err := m.line()
	if err != nil {
		return err
	}
	m.push(&global{module, name})
	return nil
}

func (m *machine) pushStackGlobal() error {
	names, err := m.pop(2)
	if err != nil {
		return err
	}
	module, ok1 := names[0].(string)
	name, ok2 := names[1].(string)
	if !ok1 || !ok2 {
		return malformed("a name that is no str")
	}
	m.push(&global{module, name})
	return nil
}

// reduce pushes what a call would make.
func (m *machine) reduce() error {
	call, err := m.pop(2)
	if err != nil {
		return err
	}
	function, ok1 := call[0].(*global)
	args, ok2 := call[1].(*collection)
	if !ok1 || !ok2 || args.kind != tuple {
		return malformed("a call of %.100s", typeName(call[0]))
	}
	var made object
	switch name := makers[*function]; name {
	case "bytes", "bytearray":
		made, err = m.makeBytes(name, args.items)
	case "set":
		made, err = m.makeSet(set, args.items)
	case "frozenset":
		made, err = m.makeSet(frozenSet, args.items)
	default:
		m.push(function)
		return m.refuse(opReduce)
	}
	m.push(made)
	return err
}

// refuse returns the error for an opcode that plain data does not need, with what it
// would call.
func (m *machine) refuse(code byte) error {
	for _, o := range slices.Backward(m.stack) {
		if function, ok := o.(*global); ok {
			return notPlain("it calls %.100s", typeName(function))
		}
	}
	return notPlain("opcode %#x", code)
}

// mayMakeOf reports whether a call may make an object of n bytes or items more.
func (m *machine) mayMakeOf(n int) bool {
	m.called += n
	return m.called <= m.size
}

// makeBytes makes an object of no arguments, of bytes, or of a str and its encoding, which
// is Latin-1.
func (m *machine) makeBytes(name string, args []object) (object, error) {
	switch len(args) {
	case 0:
		return &bytesObject{nil, name}, nil
	case 1:
		if data, ok := args[0].(*bytesObject); ok && m.mayMakeOf(len(data.data)) {
			return &bytesObject{data.data, name}, nil
		}
	case 2:
		text, ok := args[0].(string)
		if !ok || args[1] != "latin1" && args[1] != "latin-1" {
			break
		}
		data, ok := latin1(text)
		if ok && m.mayMakeOf(len(data)) {
			return &bytesObject{data, name}, nil
		}
	}
	return nil, malformed("arguments of %s", name)
}

// makeSet makes an object of no arguments or of a list.
func (m *machine) makeSet(k kind, args []object) (object, error) {
	switch len(args) {
	case 0:
		return &collection{kind: k}, nil
	case 1:
		if items, ok := args[0].(*collection); ok && items.kind == list && m.mayMakeOf(len(items.items)) {
			return &collection{kind: k, items: items.items[:len(items.items):len(items.items)]}, nil
		}
	}
	return nil, malformed("arguments of %s", kindNames[k])
}
