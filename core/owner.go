package core

import (
	"math/rand/v2"
	"sync/atomic"

	"github.com/goprocessing/goprocessing/core/internal/process"
)

// Owner is who has, or takes, an RLock or a RobustRLock. In Python and in C that is a
// thread. Goroutines have no identity, so in Go it is whoever uses an Owner that NewOwner
// returned: a goroutine that is to take a lock again needs the one that it took it with,
// and those that are to exclude each other need one each. The zero Owner is nobody.
//
// Its upper half is a pid, and the lower half the id of a thread or, with ofGo, a number.
type Owner uint64

// ofGo is a bit that ids of threads do not have (pid_max, proc_sys_kernel(5)).
const ofGo = 1 << 31

// NewOwner returns an owner of locks that is different from all others: of other
// processes, and of the last 2^31 of this one. It costs next to nothing.
func NewOwner() Owner {
	return Owner(process.Self.PID)<<32 | ofGo | Owner(atomic.AddUint32(&owners, 1)&(ofGo-1))
}

// owners counts the owners of this process. It begins anywhere, since a lock that a
// killed process had is not to belong to one that got the same pid.
var owners = rand.Uint32()

// PID returns the owner's process, 0 if it is nobody.
func (o Owner) PID() int { return int(o >> 32) }

// TID returns the owner's thread, in Python and in C; 0 in Go.
func (o Owner) TID() int {
	if o&ofGo != 0 {
		return 0
	}
	return int(uint32(o))
}

// isHere reports whether NewOwner returned o in this process.
func (o Owner) isHere() bool {
	return uint32(o>>32) == process.Self.PID && o&ofGo != 0
}
