package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"slices"

	"github.com/goprocessing/goprocessing/core"
	"github.com/goprocessing/goprocessing/core/internal/arena"
	"github.com/goprocessing/goprocessing/core/internal/process"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"github.com/goprocessing/goprocessing/core/internal/stream"
)

var streamKinds = map[uint32]Kind{shm.KindQueue: Queue, shm.KindPipe: Pipe}

var slotKinds = map[uint32]Kind{
	arena.KindSemaphore: Semaphore,
	arena.KindRLock:     RLock,
	arena.KindEvent:     Event,
	arena.KindCondition: Condition,
	arena.KindBarrier:   Barrier,

	arena.KindRobustLock:      Lock,
	arena.KindRobustRLock:     RLock,
	arena.KindRobustSemaphore: Semaphore,
}

// id is the same in each Snapshot. Inodes of files begin with 1 where those of memfds do.
func (g *segment) id() string {
	if g.memfd {
		return fmt.Sprint(g.file.Inode)
	}
	return fmt.Sprintf("shm%d", g.file.Inode)
}

func (g *segment) slotID(offset uint64) string { return fmt.Sprintf("%s+%d", g.id(), offset) }

// newObject returns one with empty lists, which JSON tells from none.
func (g *segment) newObject(id string, kind Kind, memory uint64) Object {
	return Object{
		ID: id, Name: g.name, Kind: kind, Memory: memory,
		Users: append([]int{}, g.pids...), Stale: g.stale,
		Streams: []Stream{}, Holders: []Holder{}, Waiters: []Waiter{},
		places: map[place]string{},
	}
}

// look returns the objects of a segment: none if that is gone.
func (g *segment) look() []Object {
	var list []Object
	err := guarded(func() (err error) {
		list, err = g.objects()
		return err
	})
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, shm.ErrKind) && !g.known {
		return list
	}
	o := g.newObject(g.id(), Unknown, g.memory)
	o.Problem = err.Error()
	return append(list, o)
}

// guarded calls f, which looks into segments. A named one may be cut off by its user at
// any time: that f touches the lost part (SIGBUS) is ErrBounds.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			if _, fault := p.(interface{ Addr() uintptr }); !fault {
				panic(p)
			}
			err = shm.ErrBounds
		}
	}()
	return f()
}

// open maps the segment, through any of its users: others may have ended, or closed it,
// since they were found.
func (g *segment) open(s *shm.Segment) (err error) {
	for _, path := range g.paths {
		if err = s.OpenReadOnly(path, g.file); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return err
}

func (g *segment) objects() (list []Object, err error) {
	s := new(shm.Segment)
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := g.open(s); err != nil {
		return nil, err
	}
	switch s.Kind {
	case shm.KindQueue, shm.KindPipe:
		o := g.newObject(g.id(), streamKinds[s.Kind], g.memory)
		for i := range stream.Count(s.Kind) {
			n := stream.Of(s, i).Snapshot()
			o.addStream(n)
			for _, t := range stream.Of(s, i).Takers(s) {
				o.Holders = append(o.Holders, Holder{threadOf(t.Process, 0), "items", t.Items})
			}
			w := stream.WordsOf(i)
			for word, purpose := range map[uint64]string{
				w.Item: "get", w.Room: "put", w.Done: "join", w.PutLock: "put lock", w.GetLock: "get lock",
			} {
				o.places[place{segment: g.file, word: word}] = purpose
			}
			if n.Socket != 0 {
				o.places[place{socket: n.Socket}] = "get"
			}
		}
		return []Object{o}, nil
	case shm.KindArena:
		err := arena.Look(s, func(n *arena.Snapshot, err error) {
			o := g.newObject(g.slotID(n.Offset), slotKinds[n.Kind], n.Size)
			o.slot = n.Offset
			if err != nil {
				o.Kind, o.Problem = Unknown, err.Error()
			} else {
				o.fill(n, g)
				o.places[place{segment: g.file, word: n.Word}] = o.wait()
			}
			list = append(list, o)
		})
		return list, err
	}
	return nil, shm.ErrKind
}

func (o *Object) addStream(s stream.Snapshot) {
	o.Streams = append(o.Streams, Stream{
		Depth: s.Len, MaxItems: s.MaxItems, Bytes: s.Bytes, MaxBytes: s.MaxBytes,
		Puts: s.Puts, Gets: s.Gets, Done: s.Done, Unfinished: s.Unfinished, Joinable: s.Keeps,
		Full: s.Full, Shut: s.Shut, Watched: s.Watched,
	})
	o.Awaited = o.Awaited || s.AwaitItem || s.AwaitRoom || s.AwaitDone || s.AwaitLock
	if s.Producer.PID != 0 {
		o.Holders = append(o.Holders, Holder{threadOf(s.Producer, 0), "put", 1})
	}
	if s.Consumer.PID != 0 {
		o.Holders = append(o.Holders, Holder{threadOf(s.Consumer, 0), "get", 1})
	}
}

func (o *Object) fill(n *arena.Snapshot, g *segment) {
	o.Value, o.Limit, o.Broken, o.Awaited = n.Value, n.Limit, n.Broken, n.Awaited
	switch n.Kind {
	case arena.KindSemaphore:
		switch n.Limit {
		case 1:
			o.Kind = Lock
		case arena.MaxValue:
			o.Limit = 0
		}
	case arena.KindRLock, arena.KindRobustRLock:
		o.Limit, o.Value = 0, 0
		if n.Value == 0 {
			o.Value = n.Depth
		}
	case arena.KindBarrier:
		o.Value = uint32(len(n.Waiters))
	}
	switch n.Kind {
	case arena.KindRobustLock, arena.KindRobustRLock, arena.KindRobustSemaphore:
		o.Robust = true
	}
	for _, t := range n.Holders {
		if t.Process.PID == 0 {
			continue // the owner of an RLock may be any number, in C
		}
		o.owner = core.Owner(t.Process.PID)<<32 | core.Owner(t.TID)
		thread := threadOf(t.Process, t.TID)
		// Without the time of its start, a pid may be that of another by now.
		thread.Alive = thread.Alive && (t.Process.Start != 0 || g.mayBeUsedBy(thread.PID))
		o.Holders = append(o.Holders, Holder{thread, "lock", 1})
	}
	for _, t := range n.Waiters {
		o.Waiters = append(o.Waiters, Waiter{threadOf(t.Process, t.TID), "wait"})
	}
	if o.Kind == "" {
		o.Kind = Unknown
	}
}

// wait says what threads wait for that sleep on the word of a slot.
func (o *Object) wait() string {
	switch o.Kind {
	case Lock, RLock, Semaphore:
		return "acquire"
	}
	return "wait"
}

// addSleepers adds those who wait for the object.
func (o *Object) addSleepers(sleepers map[place][]Thread) {
	for at, purpose := range o.places {
		for _, thread := range sleepers[at] {
			if !slices.ContainsFunc(o.Waiters, func(w Waiter) bool { return w.Thread == thread }) {
				o.Waiters = append(o.Waiters, Waiter{thread, purpose})
			}
		}
	}
	slices.SortFunc(o.Waiters, func(a, b Waiter) int {
		return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.TID, b.TID))
	})
	o.Awaited = o.Awaited || len(o.Waiters) > 0
}

// threadOf is a thread as the engine names it, the lower half of a core.Owner.
func threadOf(id process.ID, lower uint32) Thread {
	tid := core.Owner(lower).TID()
	alive := id.Alive() && (tid == 0 || id.HasThread(uint32(tid)))
	return Thread{PID: int(id.PID), TID: tid, Alive: alive}
}
