package pickle

import (
	"errors"
	"fmt"
	"reflect"
)

// Codec is a core.Codec.
type Codec struct{}

// Marshal returns v as a pickle.
func (Codec) Marshal(v any) ([]byte, error) { return Marshal(v) }

// Unmarshal stores in *v what data, a pickle, stands for.
func (Codec) Unmarshal(data []byte, v any) error { return Unmarshal(data, v) }

// Tuple is a tuple of Python.
type Tuple []any

// Bytes is a bytes object of Python where a []byte cannot be: as a key.
type Bytes string

// ErrNotPlain: the value is not plain data, on its way to Python or from there.
var ErrNotPlain = errors.New("pickle: not plain data")

// ErrMalformed: this is not a pickle, or not a whole one.
var ErrMalformed = errors.New("pickle: malformed")

// TypeError is the error for a Python object that the Go variable cannot hold.
type TypeError struct {
	Object string // what it is in Python, such as "list"
	Type   reflect.Type
}

func (e *TypeError) Error() string {
	return fmt.Sprintf("pickle: %s does not fit a variable of type %s", e.Object, e.Type)
}

// maxDepth is how deep values may be nested.
const maxDepth = 10_000

func notPlain(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNotPlain, fmt.Sprintf(format, args...))
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
