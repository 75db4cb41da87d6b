// Package inspect lists the objects of goprocessing that live on this machine: what
// is in them, who uses them, who holds them and who waits for them.
//
// Take only looks. Segments are found by way of /proc/PID/fd and of their names, and mapped
// read-only, no lock is taken, and no memory that has none yet is touched, so that nothing
// that is inspected changes or waits. What a Snapshot says of an object was true at some
// instant while it was taken, not of all objects at the same one. Repair, Free and
// UnlinkStale mend what was left behind.
//
// A user sees the objects of his or her own processes, root those of all. What only
// processes use that made themselves undumpable (PR_SET_DUMPABLE, prctl(2)) is seen by
// root alone.
package inspect

import "github.com/goprocessing/goprocessing/core"

// Snapshot is what was found.
type Snapshot struct {
	Objects   []Object  `json:"objects"`
	Processes []Process `json:"processes"` // that use one of the objects
	// Hidden: the kernel does not show this user what some of the processes wait for.
	Hidden bool `json:"hidden"`
}

// Process is one that has a handle of an object, or has inherited one.
type Process struct {
	PID     int    `json:"pid"`
	Parent  int    `json:"parent"`  // its pid
	Stopped bool   `json:"stopped"` // by a signal, or a debugger
	Command string `json:"command"` // with its arguments; "": it has ended
}

// Kind says what an object is.
type Kind string

// Kinds have the names of package core's types.
const (
	Queue     Kind = "queue" // also a JoinableQueue: Stream.Joinable
	Pipe      Kind = "pipe"  // both ends of it
	Lock      Kind = "lock"  // also a semaphore whose limit is 1
	RLock     Kind = "rlock"
	Semaphore Kind = "semaphore" // bounded or not: Object.Limit
	Event     Kind = "event"
	Condition Kind = "condition"
	Barrier   Kind = "barrier"
	Unknown   Kind = "unknown" // of another release, or corrupt: Object.Problem
)

// Object is a queue, a pipe, a lock or one of its kin.
type Object struct {
	// ID is the same in each Snapshot: the inode of the segment and, if that holds
	// many objects, where this one is in it.
	ID   string `json:"id"`
	Name string `json:"name"` // "": it has none
	Kind Kind   `json:"kind"` // Unknown: Problem says why
	// Stale: it has a name, but no users, not even such as may not be looked into.
	Stale bool `json:"stale"`
	// Users are the pids of all who have the segment open. Locks and their kin share
	// segments, and a child has all those of the process that forked it.
	Users  []int  `json:"users"`
	Memory uint64 `json:"memory"` // bytes

	// Of a queue one, of a pipe one for each direction.
	Streams []Stream `json:"streams"`

	// Value of a lock is 1 while it is free, of an event 1 while it is set, of a
	// barrier how many wait; of an RLock how often its holder took it.
	Value uint32 `json:"value"`
	// Limit is the greatest value of a semaphore, 0 if it has none, and a barrier's
	// number of parties.
	Limit  uint32 `json:"limit"`
	Broken bool   `json:"broken"` // a barrier
	Robust bool   `json:"robust"` // a lock or semaphore that outlives its holders

	Holders []Holder `json:"holders"`
	Waiters []Waiter `json:"waiters"`
	// Awaited: somebody may wait, also if who does could not be found out. One that was
	// killed while it waited may be all there is to it.
	Awaited bool `json:"awaited"`

	// Problem says why nothing is known but ID, Users and Memory.
	Problem string `json:"problem"`

	slot   uint64           // in the segment, of what shares it with others
	owner  core.Owner       // what a lock says of its holder
	places map[place]string // where threads sleep, and for what
}

// Stream is what a queue, or one direction of a pipe, holds.
type Stream struct {
	Depth      uint64 `json:"depth"`      // items
	MaxItems   uint64 `json:"max_items"`  // 0: unbounded
	Bytes      uint64 `json:"bytes"`      // of the items as they are stored
	MaxBytes   uint64 `json:"max_bytes"`  // 0: unbounded
	Puts       uint64 `json:"puts"`       // items, since it was made
	Gets       uint64 `json:"gets"`       // likewise
	Done       uint64 `json:"done"`       // items for which TaskDone was called
	Unfinished uint64 `json:"unfinished"` // those for which it was not
	Joinable   bool   `json:"joinable"`   // a JoinableQueue
	Full       bool   `json:"full"`       // a producer waits
	Shut       bool   `json:"shut"`       // by Shutdown; nothing can be put
	Watched    bool   `json:"watched"`    // by poll(2) or its kin
}

// Thread is one of a process.
type Thread struct {
	PID   int  `json:"pid"`   // of the process
	TID   int  `json:"tid"`   // 0: it is not known which thread
	Alive bool `json:"alive"` // the thread, or, if it is not known, the process
}

// Holder has a lock, a permit of a robust semaphore, or items of a JoinableQueue that
// are not marked done.
type Holder struct {
	Thread
	// Of is "lock", also of a permit; "items"; or what the engine holds for an instant:
	// "put", "get".
	Of    string `json:"of"`
	Count uint64 `json:"count"` // 1, but of items
}

// Waiter waits.
type Waiter struct {
	Thread
	// To is "get", "put", "join", "acquire" or "wait", or, for an instant, "put lock" or
	// "get lock" of the engine.
	To string `json:"to"`
}

// Take looks at all objects of this user's processes.
func Take() (*Snapshot, error) {
	users, err := findUsers()
	if err != nil {
		return nil, err
	}
	s := &Snapshot{Objects: []Object{}}
	pids, awaited := map[int]bool{}, map[int]bool{}
	for _, g := range users.inOrder() {
		s.Objects = append(s.Objects, g.look()...)
	}
	for _, o := range s.Objects {
		for _, pid := range o.Users {
			pids[pid] = true
			// Those who wait for a message leave no trace in the pipe.
			if o.Awaited || o.Kind == Pipe {
				awaited[pid] = true
			}
		}
	}
	sleepers, hidden := findSleepers(awaited)
	for i := range s.Objects {
		s.Objects[i].addSleepers(sleepers)
	}
	s.Processes, s.Hidden = processes(pids), hidden
	return s, nil
}
