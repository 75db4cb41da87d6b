package inspect

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"

	"github.com/goprocessing/goprocessing/core/internal/arena"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"github.com/goprocessing/goprocessing/core/internal/stream"
)

// Repaired is what Repair has done to an object, or why it could not.
type Repaired struct {
	ID      string `json:"id"`      // the object's, or what was asked for if there is none
	Name    string `json:"name"`    // "": it has none
	Kind    Kind   `json:"kind"`    // Unknown also if there is none
	Done    string `json:"done"`    // in words; "": Problem says why nothing was
	Problem string `json:"problem"` // "": there was none
}

// repairLimit bounds how long a repair waits for a lock of the engine: long enough to take
// it over from a dead process, and not until one that is stopped inside goes on.
func repairLimit() futex.Limit {
	return futex.Limit{How: futex.Sleep, Deadline: futex.Now() + futex.Look}
}

// Repair completes what processes left undone that were killed, in the objects with these
// IDs or names, or in all of this user: it ends a put whose item is in the queue, but was
// not shown to those who sleep until one is, and a get; returns items of dead consumers, if
// the queue redelivers; gives back the memory of large items that died with their
// receivers; and removes dead waiters.
//
// Nobody has to call it: whoever uses an object next does what is needed. It helps where
// nobody does, but waits.
//
// What the user's programs hold is left as it is: see Free.
func Repair(ids ...string) ([]Repaired, error) {
	users, err := findUsers()
	if err != nil {
		return nil, err
	}
	r := repairs{unseen: slices.Clone(ids), all: len(ids) == 0, list: []Repaired{}}
	for _, g := range users.inOrder() {
		r.wanted = false
		err := guarded(func() error { return r.repair(g) })
		if err == nil || errors.Is(err, fs.ErrNotExist) || r.all && isUnknown(err) {
			continue
		}
		if r.wanted || r.wants(g, g.id()) {
			r.add(g, g.id(), Unknown, nil, err)
		}
	}
	for _, id := range r.unseen {
		r.list = append(r.list, Repaired{ID: id, Kind: Unknown, Problem: errNoObject.Error()})
	}
	return r.list, nil
}

var errNoObject = fmt.Errorf("no such object: %w", fs.ErrNotExist)

// isUnknown reports whether a segment is not of this release, or none. Who asked for all
// objects has not asked for it.
func isUnknown(err error) bool {
	return errors.Is(err, shm.ErrKind) || errors.Is(err, shm.ErrLayout)
}

type repairs struct {
	all    bool
	unseen []string // IDs and names that were asked for, of which nothing was found yet
	wanted bool     // the segment at hand, or something in it
	list   []Repaired
}

// wants reports whether it is asked for, and that it was found.
func (r *repairs) wants(g *segment, id string) bool {
	asked := len(r.unseen)
	r.unseen = slices.DeleteFunc(r.unseen, func(what string) bool {
		return what == id || g.name != "" && what == g.name
	})
	if r.all || len(r.unseen) < asked {
		r.wanted = true
		return true
	}
	return false
}

func (r *repairs) add(g *segment, id string, kind Kind, done []string, err error) {
	for _, what := range done {
		r.list = append(r.list, Repaired{ID: id, Name: g.name, Kind: kind, Done: what})
	}
	if err != nil {
		r.list = append(r.list, Repaired{ID: id, Name: g.name, Kind: kind, Problem: err.Error()})
	}
}

func (r *repairs) repair(g *segment) (err error) {
	s := new(shm.Segment)
	kind, err := g.openToRepair(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	l := repairLimit()
	if kind == shm.KindArena {
		return arena.Look(s, func(n *arena.Snapshot, err error) {
			id := g.slotID(n.Offset)
			switch {
			case err != nil && r.all: // a Snapshot says why
			case !r.wants(g, id):
			case err != nil:
				r.add(g, id, Unknown, nil, err)
			default:
				done, err := arena.Repair(s, n, &l)
				r.add(g, id, slotKinds[n.Kind], done, err)
			}
		})
	}
	if !r.wants(g, g.id()) {
		return nil
	}
	for i := range stream.Count(kind) {
		done, err := stream.Of(s, i).Repair(s, &l)
		r.add(g, g.id(), streamKinds[kind], done, err)
	}
	lost, err := stream.ExtentsOf(s).Repair(&l)
	var done []string
	if lost > 0 {
		done = append(done, fmt.Sprintf("bytes of dead processes freed: %d", lost))
	}
	r.add(g, g.id(), streamKinds[kind], done, err)
	return nil
}

// openToRepair maps the segment, which is of some kind.
func (g *segment) openToRepair(s *shm.Segment) (kind uint32, err error) {
	if err := g.open(s); err != nil {
		return 0, err
	}
	kind = s.Kind
	if err := s.Close(); err != nil {
		return 0, err
	}
	for _, path := range g.paths {
		if err = s.OpenToRepair(path, g.file, kind); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return kind, err
}

// ErrHeld: a lock cannot be freed, because it is not known that its holder has died.
var ErrHeld = fmt.Errorf("not a lock whose holder has died: %w", syscall.EBUSY)

// Free makes a lock free whose holder has died; an RLock, however often it was taken. It
// is for those who know that what the lock guards is sound. Errors: ErrHeld;
// fs.ErrNotExist, if there is no object of that ID or name. What is returned says with an
// error, too, which object it is of.
func Free(id string) (Repaired, error) {
	users, err := findUsers()
	if err != nil {
		return Repaired{ID: id, Kind: Unknown}, err
	}
	for _, g := range users.inOrder() {
		for _, o := range g.look() {
			if o.ID == id || id != "" && o.Name == id {
				return g.free(o)
			}
		}
	}
	return Repaired{ID: id, Kind: Unknown}, errNoObject
}

func (g *segment) free(o Object) (r Repaired, err error) {
	r = Repaired{ID: o.ID, Name: o.Name, Kind: o.Kind}
	if o.Problem != "" {
		return r, errors.New(o.Problem)
	}
	if o.Robust || o.Kind != Lock && o.Kind != RLock || len(o.Holders) != 1 || o.Holders[0].Alive {
		return r, ErrHeld
	}
	s := new(shm.Segment)
	if _, err := g.openToRepair(s); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if !arena.FreeLock(s, o.slot, uint32(o.owner>>32), uint32(o.owner)) {
		return r, ErrHeld // since it was looked at
	}
	r.Done = fmt.Sprintf("the lock of %d is free", o.owner.PID())
	return r, nil
}
