// Package inspect is core/inspect as gopy binds it for Python: goprocessing._inspect,
// which is made when the package is built (setup.py).
//
// The module holds a Go runtime of its own, which knows nothing of fork(). Programs
// do not load it; goprocessing.inspect does that in a process made for it.
//
// Lists come and go as JSON. Names in them are any bytes, which a JSON string need not
// hold: each byte is a character there.
package inspect

import (
	"encoding/json"
	"fmt"

	"github.com/goprocessing/goprocessing/core/inspect"
)

// Snapshot returns an inspect.Snapshot.
func Snapshot() (snapshot string, err error) {
	return bound(func([]string) (any, error) {
		s, err := inspect.Take()
		if err != nil {
			return nil, err
		}
		for i := range s.Objects {
			s.Objects[i].Name = characters(s.Objects[i].Name)
		}
		return s, nil
	}, "[]")
}

// stale is what UnlinkStale returns.
type stale struct {
	Unlinked []string          `json:"unlinked"`
	Problems map[string]string `json:"problems"` // of names; of "" if it was to find them
}

func (s *stale) unlink(asked string, names ...string) {
	unlinked, err := inspect.UnlinkStale(names...)
	for _, name := range unlinked {
		s.Unlinked = append(s.Unlinked, characters(name))
	}
	if err != nil {
		s.Problems[characters(asked)] = err.Error()
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
	return bound(func(ids []string) (any, error) {
		list, err := inspect.Repair(ids...)
		return encoded(list), err
	}, ids)
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
		return encoded(list), nil
	}, ids)
}

// encoded has the names be characters. Of what there is not the ID is what was asked for:
// that may be a name.
func encoded(list []inspect.Repaired) []inspect.Repaired {
	for i, r := range list {
		list[i].ID, list[i].Name = characters(r.ID), characters(r.Name)
	}
	return list
}

func characters(name string) string {
	list := make([]rune, 0, len(name))
	for _, b := range []byte(name) {
		list = append(list, rune(b))
	}
	return string(list)
}

func nameOf(characters string) string {
	list := make([]byte, 0, len(characters))
	for _, c := range characters {
		list = append(list, byte(c))
	}
	return string(list)
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
	for i := range list {
		list[i] = nameOf(list[i])
	}
	found, err := f(list)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(found)
	return string(text), err
}
