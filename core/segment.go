package core

import (
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// Segment is shared memory as this process has it mapped. Language bindings keep
// one in memory of their own for each object; Go programs have no use for it.
type Segment = shm.Segment

// Limit bounds a wait, for language bindings: How far the call may go, and until which
// Deadline, in nanoseconds of CLOCK_MONOTONIC; whether a signal ends it (Interruptible), or
// a Context. Go programs pass contexts.
type Limit = futex.Limit

// How far a Limit allows to go.
const (
	Try    = futex.Try    // not at all
	NoWait = futex.NoWait // to wait for nothing but another's short critical section
	Spin   = futex.Spin   // to spin for some microseconds
	Sleep  = futex.Sleep  // to sleep, without spinning before
	Block  = futex.Block  // to spin, then to sleep
)

// Forever is the deadline of a Limit without one.
const Forever = futex.Forever
