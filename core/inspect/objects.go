package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

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

func streamID(inode uint64) string            { return fmt.Sprint(inode) }
func slotID(inode uint64, slot uint64) string { return fmt.Sprintf("%d+%d", inode, slot) }

// newObject returns one with empty lists, which JSON tells from none.
func newObject(id string, kind Kind, users []int, memory uint64) Object {
	return Object{
		ID: id, Kind: kind, Users: users, Memory: memory,
		Streams: []Stream{}, Holders: []Holder{}, Waiters: []Waiter{},
		words: map[place]string{},
	}
}

// look returns the objects of a segment: none if that is gone.
func (u *users) look(inode uint64) []Object {
	segment := u.segments[inode]
	list, err := segment.objects(inode)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		o := newObject(streamID(inode), Unknown, segment.pids, segment.memory)
		o.Problem = err.Error()
		list = append(list, o)
	}
	return list
}

// open maps the segment, through any of its users: others may have ended, or closed it,
// since they were found.
func (g *segment) open(s *shm.Segment, inode uint64) (err error) {
	for _, path := range g.paths {
		if err = s.OpenReadOnly(path, inode); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return err
}

func (g *segment) objects(inode uint64) (list []Object, err error) {
	s := new(shm.Segment)
	if err := g.open(s, inode); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	switch s.Kind {
	case shm.KindQueue, shm.KindPipe:
		o := newObject(streamID(inode), streamKinds[s.Kind], g.pids, g.memory)
		for i := range stream.Count(s.Kind) {
			o.addStream(stream.Of(s, i).Snapshot())
			w := stream.WordsOf(i)
			maps.Copy(o.words, map[place]string{
				{inode, w.Item}:    "get",
				{inode, w.Room}:    "put",
				{inode, w.Done}:    "join",
				{inode, w.PutLock}: "put lock",
				{inode, w.GetLock}: "get lock",
			})
		}
		return []Object{o}, nil
	case shm.KindArena:
		err := arena.Look(s, func(n *arena.Snapshot, err error) {
			o := newObject(slotID(inode, n.Offset), slotKinds[n.Kind], g.pids, n.Size)
			if err != nil {
				o.Kind, o.Problem = Unknown, err.Error()
			} else {
				o.fill(n)
				o.words[place{inode, n.Word}] = o.wait()
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
	o.Awaited = o.Awaited || s.AwaitItem || s.AwaitRoom || s.AwaitDone
	if s.Producer.PID != 0 {
		o.Holders = append(o.Holders, Holder{threadOf(s.Producer, 0), "put"})
	}
	if s.Consumer.PID != 0 {
		o.Holders = append(o.Holders, Holder{threadOf(s.Consumer, 0), "get"})
	}
}

func (o *Object) fill(n *arena.Snapshot) {
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
		o.Holders = append(o.Holders, Holder{threadOf(t.Process, t.TID), "lock"})
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
	for at, purpose := range o.words {
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

// threadOf is a thread as the engine names it.
func threadOf(id process.ID, tid uint32) Thread {
	alive := id.Alive() && (tid == 0 || id.HasThread(tid))
	return Thread{PID: int(id.PID), TID: int(tid), Alive: alive}
}
