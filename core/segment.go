package core

import (
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// Segment is shared memory as this process has it mapped. Language bindings keep
// one in memory of their own for each object; Go programs have no use for it.
type Segment = shm.Segment

// Limit bounds a wait, for language bindings; Go programs pass contexts.
type Limit = futex.Limit

// How far a Limit allows to go.
const (
	Try    = futex.Try
	NoWait = futex.NoWait
	Spin   = futex.Spin
	Sleep  = futex.Sleep
	Block  = futex.Block
)

// Forever is the deadline of a Limit without one.
const Forever = futex.Forever
