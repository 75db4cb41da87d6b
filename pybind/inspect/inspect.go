// Package inspect is core/inspect as gopy binds it for Python: goprocessing._inspect,
// which is made when the package is built (setup.py).
//
// The module holds a Go runtime of its own, which knows nothing of fork(). Programs
// do not load it; goprocessing.inspect does that in a process made for it.
//
// Lists come and go as JSON.
package inspect

import (
	"encoding/json"
	"fmt"

	"github.com/goprocessing/goprocessing/core/inspect"
)

// Snapshot returns an inspect.Snapshot.
func Snapshot() (snapshot string, err error) {
	return bound(func([]string) (any, error) { return inspect.Take() }, "[]")
}

// stale is what UnlinkStale returns.
type stale struct {
	Unlinked []string          `json:"unlinked"`
	Problems map[string]string `json:"problems"` // of names; of "" if it was to find them
}

func (s *stale) unlink(asked string, names ...string) {
	unlinked, err := inspect.UnlinkStale(names...)
	s.Unlinked = append(s.Unlinked, unlinked...)
	if err != nil {
		s.Problems[asked] = err.Error()
	}
}

// UnlinkStale is inspect.UnlinkStale, for each name by itself if there are any.
func UnlinkStale(names string) (unlinked string, err error) {
	return bound(func(names []string) (any, error) {
		s := &stale{Unlinked: []string{}, Problems: map[string]string{}}
		if len(names) == 0 {
			s.unlink("")
		}
		for _, name := range names {
			s.unlink(name, name)
		}
		return s, nil
	}, names)
}

// Repair is inspect.Repair.
func Repair(ids string) (repaired string, err error) {
	return bound(func(ids []string) (any, error) { return inspect.Repair(ids...) }, ids)
}

// Free is inspect.Free for each of the IDs, or names; none of them is to be left out.
func Free(ids string) (repaired string, err error) {
	return bound(func(ids []string) (any, error) {
		list := []inspect.Repaired{}
		for _, id := range ids {
			r, err := inspect.Free(id)
			if err != nil {
				r.Problem = err.Error()
			}
			list = append(list, r)
		}
		return list, nil
	}, ids)
}

// bound calls f as a function that gopy binds has to: there a panic would end the process.
func bound(f func(arguments []string) (any, error), arguments string) (result string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	var list []string
	if err := json.Unmarshal([]byte(arguments), &list); err != nil {
		return "", err
	}
	found, err := f(list)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(found)
	return string(text), err
}
