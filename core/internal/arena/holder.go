package arena

import (
	"sync/atomic"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/process"
	"golang.org/x/sys/unix"
)

// holder says which process holds a robust lock, or one permit of a robust
// semaphore. Who holds it and that it is held are one word, so there is no instant
// at which it is held and nobody knows by whom:
//
//	bits  0..28  pid of the process, 0: free
//	bit   29     being freed: the last holder died, and this process clears up after it
//	bit   30     marked: a holder died, and nobody has repaired since what it left
//	bit   31     somebody may sleep; of locks
//	bits 32..63  start time of the process (process.ID)
//
// Everything changes by compare-and-swap:
//
//   - From free to a process: it takes it. The mark stays, and the process is told.
//   - From a process to free: that process alone. It clears the mark, or leaves it if
//     it has not repaired anything.
//   - From a process that is dead to marked and free: whoever has looked. Of a lock
//     in two steps, see RobustLock.
//   - Bit 31: see RobustLock.
//
// So a mark goes when a process gives back what it held with it, and never
// otherwise: a process that is killed before it was told, or after, leaves a word
// with its own number, which becomes a mark again. A process that dies without
// having held anything leaves no trace.
//
// The holder is the process: its threads die together, and with them whoever calls
// execve(2). A fork copies nothing, since the child has another pid.
type holder struct{ word atomic.Uint64 }

const (
	holderFreeing = 1 << 29
	holderMarked  = 1 << 30
	holderWaiters = 1 << 31

	holderFlags = holderFreeing | holderMarked | holderWaiters
)

// held reports whether w names a process.
func held(w uint64) bool { return uint32(w)&^holderFlags != 0 }

// holds reports whether w names this process, and it is not just freeing it.
func holds(w uint64) bool { return w&^(holderMarked|holderWaiters) == futex.Self }

// heldByDead reports whether w names a process that has died.
func heldByDead(w uint64) bool {
	return held(w) && !processOf(w).Alive()
}

// processOf returns the process that w names.
func processOf(w uint64) process.ID {
	return process.ID{PID: uint32(w) &^ holderFlags, Start: uint32(w >> 32)}
}

// take takes what is free, as w says; flag is bit 31 or 0.
func (h *holder) take(w, flag uint64) bool {
	taken := h.word.CompareAndSwap(w, futex.Self|w&(holderMarked|holderWaiters)|flag)
	if taken {
		fault.Here("robust lock taken")
	}
	return taken
}

// told is what one learns who has taken it when its word was w: nil, or
// unix.EOWNERDEAD if it is marked.
func told(w uint64) error {
	if w&holderMarked != 0 {
		return unix.EOWNERDEAD
	}
	return nil
}

// looked is when somebody last looked whether a holder has died. A look reads
// /proc, which takes some ten microseconds, so that looks take about a hundredth of
// the time of a process that tries again and again.
type looked struct{ at atomic.Int64 }

// lookPause is how long after a look the next one comes at the earliest, in
// nanoseconds, for each process that it may have to look at; and within maxLookPause.
const (
	lookPause    = int64(1e6)
	maxLookPause = futex.Look / 2
)

// again tells one of those who want to look, to look at n processes at most.
func (k *looked) again(n int) bool {
	last := k.at.Load()
	now := futex.Now()
	// Unsigned: rubbish that lies in the future was long ago.
	return uint64(now-last) > uint64(min(lookPause*int64(n), maxLookPause)) && k.at.CompareAndSwap(last, now)
}
