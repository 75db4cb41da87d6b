package futex

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Spinning is bounded by what it saves: to put a thread to sleep and wake it on
// another CPU costs some 50 microseconds (competitive spinning; Karlin, Manasse,
// McGeoch and Owicki, Algorithmica 11, 1994). The budget of a handle, in
// nanoseconds, doubles when spinning paid and halves when it did not.
const (
	maxSpin = 50_000
	minSpin = 1_500
)

// procyield executes n spin-wait hints (PAUSE, YIELD).
//
//go:noescape
func procyield(n uint32)

// SpinUntil waits actively for ready() and tells whether it came true. It does not
// spin at all where only one CPU may be used: nobody else could make it true.
func (l *Limit) SpinUntil(budget *uint32, ready func() bool) bool {
	if usableCPUs() < 2 {
		return ready()
	}
	allowed := atomic.LoadUint32(budget)
	if allowed == 0 {
		allowed = maxSpin
	}
	start := time.Now()
	for {
		for range 16 {
			if ready() {
				atomic.StoreUint32(budget, min(2*allowed, maxSpin))
				return true
			}
			procyield(4)
		}
		if time.Since(start) > time.Duration(allowed) {
			atomic.StoreUint32(budget, max(allowed/2, minSpin))
			return false
		}
	}
}

func usableCPUs() int {
	var set unix.CPUSet
	// Asked anew each time, because the affinity may change; it costs much
	// less than the sleep that spinning is to avoid.
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return 1
	}
	return set.Count()
}
