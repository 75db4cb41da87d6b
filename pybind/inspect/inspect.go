// Package inspect is core/inspect as gopy binds it for Python: goprocessing._inspect,
// which is made when the package is built (setup.py).
//
// The module holds a Go runtime of its own, which knows nothing of fork(). Programs
// do not load it; goprocessing.inspect does that in a process made for it.
package inspect

import (
	"encoding/json"
	"fmt"

	"github.com/goprocessing/goprocessing/core/inspect"
)

// Snapshot returns an inspect.Snapshot as JSON.
func Snapshot() (snapshot string, err error) {
	// In a function that gopy binds a panic would end the process.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	s, err := inspect.Take()
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(s)
	return string(text), err
}
