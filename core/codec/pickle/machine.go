package pickle

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"slices"
)

// machine executes a pickle. What it makes is in proportion to the pickle: each opcode
// makes at most one object, and what a length says is there is looked for first.
type machine struct {
	rest  []byte
	stack []object
	marks []int // how long the stack was
	memo  []object

	// How many bytes there were, and of how many bytes and items calls have made objects:
	// a pickler writes each of those, too.
	size, called int
}

// load returns the object that a pickle stands for.
func load(data []byte) (object, error) {
	m := machine{rest: data, size: len(data)}
	for {
		code, err := m.take(1)
		if err != nil {
			return nil, err
		}
		if code[0] == opStop {
			break
		}
		if err := m.execute(code[0]); err != nil {
			return nil, err
		}
	}
	if len(m.stack) != 1 || len(m.marks) != 0 {
		return nil, malformed("%d objects at the end", len(m.stack))
	}
	if len(m.rest) != 0 {
		return nil, malformed("%d bytes behind the end", len(m.rest))
	}
	return m.stack[0], nil
}

// take takes n bytes of the pickle.
func (m *machine) take(n uint64) ([]byte, error) {
	if n > uint64(len(m.rest)) {
		return nil, malformed("it ends too early")
	}
	taken := m.rest[:n:n]
	m.rest = m.rest[n:]
	return taken, nil
}

// number takes a number of n bytes.
func (m *machine) number(n uint64) (uint64, error) {
	taken, err := m.take(n)
	if err != nil {
		return 0, err
	}
	var b [8]byte
	copy(b[:], taken)
	return binary.LittleEndian.Uint64(b[:]), nil
}

// sized takes what is behind a length of n bytes.
func (m *machine) sized(n uint64) ([]byte, error) {
	size, err := m.number(n)
	if err != nil {
		return nil, err
	}
	return m.take(size)
}

// line takes a line, without its end.
func (m *machine) line() (string, error) {
	end := bytes.IndexByte(m.rest, '\n')
	if end < 0 {
		return "", malformed("a line without end")
	}
	line := string(m.rest[:end])
	m.rest = m.rest[end+1:]
	return line, nil
}

func (m *machine) push(o object) { m.stack = append(m.stack, o) }

// bottom is how much of the stack is out of reach, below the last mark.
func (m *machine) bottom() int {
	if len(m.marks) == 0 {
		return 0
	}
	return m.marks[len(m.marks)-1]
}

// pop takes the n topmost objects. They are there until the next push.
func (m *machine) pop(n int) ([]object, error) {
	at := len(m.stack) - n
	if at < m.bottom() {
		return nil, malformed("too few objects")
	}
	popped := m.stack[at:]
	m.stack = m.stack[:at]
	return popped, nil
}

// popMark takes the objects above the last mark.
func (m *machine) popMark() ([]object, error) {
	if len(m.marks) == 0 {
		return nil, malformed("no mark")
	}
	at := m.bottom()
	m.marks = m.marks[:len(m.marks)-1]
	popped := m.stack[at:]
	m.stack = m.stack[:at]
	return popped, nil
}

// extend adds items to the topmost object, which is of that kind.
func (m *machine) extend(k kind, items []object, err error) error {
	if err != nil {
		return err
	}
	if len(m.stack) <= m.bottom() {
		return malformed("too few objects")
	}
	c, ok := m.stack[len(m.stack)-1].(*collection)
	if !ok || c.kind != k {
		return malformed("%s to be extended, not %s", kindNames[k], typeName(m.stack[len(m.stack)-1]))
	}
	if k == dict && len(items)%2 != 0 {
		return malformed("a key without value")
	}
	c.items = append(c.items, items...)
	return nil
}

// remember puts the topmost object into the memo, at index or behind all others, as each
// pickler does.
func (m *machine) remember(index uint64, err error) error {
	if err != nil {
		return err
	}
	if len(m.stack) <= m.bottom() || index > uint64(len(m.memo)) {
		return malformed("memo %d", index)
	}
	top := m.stack[len(m.stack)-1]
	if index == uint64(len(m.memo)) {
		m.memo = append(m.memo, top)
	} else {
		m.memo[index] = top
	}
	return nil
}

// recall pushes what is in the memo at index.
func (m *machine) recall(index uint64, err error) error {
	if err != nil {
		return err
	}
	if index >= uint64(len(m.memo)) {
		return malformed("memo %d", index)
	}
	o := m.memo[index]
	switch o := o.(type) {
	case *collection:
		o.shared = true
	case *big.Int: // a pickler writes each anew
		return malformed("memo %d is an int", index)
	}
	m.push(o)
	return nil
}

func (m *machine) execute(code byte) error {
	switch code {
	case opMark:
		m.marks = append(m.marks, len(m.stack))
		return nil
	case opNone:
		m.push(nil)
		return nil
	case opNewTrue, opNewFalse:
		m.push(code == opNewTrue)
		return nil
	case opBinInt1:
		return m.pushInt(m.take(1))
	case opBinInt2:
		return m.pushInt(m.take(2))
	case opBinInt:
		n, err := m.number(4)
		m.push(int64(int32(n)))
		return err
	case opLong1:
		return m.pushLong(m.sized(1))
	case opLong4:
		return m.pushLong(m.sized(4))
	case opBinFloat:
		n, err := m.number(8)
		m.push(math.Float64frombits(bits.ReverseBytes64(n)))
		return err
	case opShortBinUnicode:
		return m.pushString(m.sized(1))
	case opBinUnicode:
		return m.pushString(m.sized(4))
	case opBinUnicode8:
		return m.pushString(m.sized(8))
	case opShortBinBytes:
		return m.pushBytes(m.sized(1))
	case opBinBytes:
		return m.pushBytes(m.sized(4))
	case opBinBytes8:
		return m.pushBytes(m.sized(8))
	case opByteArray8:
		data, err := m.sized(8)
		m.push(&bytesObject{data, "bytearray"})
		return err
	case opEmptyList:
		return m.pushCollection(list, nil, nil)
	case opEmptyDict:
		return m.pushCollection(dict, nil, nil)
	case opEmptySet:
		return m.pushCollection(set, nil, nil)
	case opEmptyTuple:
		return m.pushCollection(tuple, nil, nil)
	}
	return m.combine(code)
}

// combine executes the opcodes that work with what is there.
func (m *machine) combine(code byte) error {
	switch code {
	case opTuple1, opTuple2, opTuple3:
		items, err := m.pop(int(code-opTuple1) + 1)
		return m.pushCollection(tuple, items, err)
	case opTuple:
		items, err := m.popMark()
		return m.pushCollection(tuple, items, err)
	case opFrozenSet:
		items, err := m.popMark()
		return m.pushCollection(frozenSet, items, err)
	case opAppend:
		items, err := m.pop(1)
		return m.extend(list, items, err)
	case opAppends:
		items, err := m.popMark()
		return m.extend(list, items, err)
	case opSetItem:
		items, err := m.pop(2)
		return m.extend(dict, items, err)
	case opSetItems:
		items, err := m.popMark()
		return m.extend(dict, items, err)
	case opAddItems:
		items, err := m.popMark()
		return m.extend(set, items, err)
	case opMemoize:
		return m.remember(uint64(len(m.memo)), nil)
	case opBinPut:
		return m.remember(m.number(1))
	case opLongBinPut:
		return m.remember(m.number(4))
	case opBinGet:
		return m.recall(m.number(1))
	case opLongBinGet:
		return m.recall(m.number(4))
	case opProto:
		protocol, err := m.number(1)
		if protocol > maxProtocol {
			return notPlain("protocol %d", protocol)
		}
		return err
	case opFrame:
		size, err := m.number(8)
		if err == nil && size > uint64(len(m.rest)) {
			return malformed("it ends too early")
		}
		return err
	case opGlobal:
		return m.pushGlobal()
	case opStackGlobal:
		return m.pushStackGlobal()
	case opReduce:
		return m.reduce()
	}
	return m.refuse(code)
}

func (m *machine) pushInt(data []byte, err error) error {
	n := int64(0)
	for i, b := range data {
		n |= int64(b) << (8 * i)
	}
	m.push(n)
	return err
}

func (m *machine) pushLong(data []byte, err error) error {
	if len(data) > 8 {
		m.push(bigInteger(data))
		return err
	}
	var n uint64
	for i, b := range data {
		n |= uint64(b) << (8 * i)
	}
	unused := 64 - 8*len(data)
	m.push(int64(n<<unused) >> unused)
	return err
}

func (m *machine) pushString(data []byte, err error) error {
	text := string(data)
	if err == nil && !isText(text) {
		return malformed("a str that is not UTF-8")
	}
	m.push(text)
	return err
}

func (m *machine) pushBytes(data []byte, err error) error {
	m.push(&bytesObject{data, "bytes"})
	return err
}

func (m *machine) pushCollection(k kind, items []object, err error) error {
	m.push(&collection{kind: k, items: slices.Clone(items)})
	return err
}
