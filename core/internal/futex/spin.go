package futex

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Spinning is bounded by what it saves: to put a thread to sleep and wake it on
// another CPU costs some 50 microseconds (competitive spinning; Karlin, Manasse,
// McGeoch and Owicki, Algorithmica 11, 1994). The budget doubles when spinning
// paid and halves when it did not, down to next to nothing; but one wait in
// probeEvery spins for long again, because two who only sleep and wake each other
// would never find out that they need not.
//
// A handle's budget is a word: nanoseconds in the lower half, and in the upper
// how many waits in a row went by at the least.
const (
	maxSpin    = 50_000
	minSpin    = 1_500
	probeEvery = 16
)

// succeeded and failed return the budget after a spin that did or did not pay.
func succeeded(budget uint32) uint32 { return min(2*(budget&0xffff), maxSpin) }

func failed(budget uint32) uint32 {
	nanoseconds, waits := budget&0xffff, budget>>16
	switch {
	case nanoseconds > minSpin:
		return max(nanoseconds/2, minSpin)
	case waits < probeEvery:
		return nanoseconds | (waits+1)<<16
	default:
		return maxSpin
	}
}

// procyield executes n spin-wait hints (PAUSE, YIELD).
//
//go:noescape
func procyield(n uint32)

// SpinUntil waits actively for ready() and tells whether it came true.
//
// In between it yields the CPU: whoever is to make it true may have been woken on
// this very one, and would otherwise have to wait until the spinning ends. Where
// only one CPU may be used that is all that makes sense.
func (l *Limit) SpinUntil(budget *uint32, ready func() bool) bool {
	current := atomic.LoadUint32(budget)
	if current == 0 { // never used
		current = maxSpin
	}
	allowed := time.Duration(current & 0xffff)
	looks := 16
	if usableCPUs() < 2 {
		looks = 1
	}
	start := time.Now()
	for {
		for range looks {
			if ready() {
				atomic.StoreUint32(budget, succeeded(current))
				return true
			}
			procyield(4)
		}
		if time.Since(start) > allowed {
			atomic.StoreUint32(budget, failed(current))
			return false
		}
		yield()
	}
}

// yield lets another thread run on this CPU, if one wants to (sched_yield(2)).
func yield() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

func usableCPUs() int {
	var set unix.CPUSet
	// Asked anew each time, because the affinity may change; it costs much
	// less than the sleep that spinning is to avoid.
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return len(set) // more CPUs than the set has room for
	}
	return set.Count()
}
