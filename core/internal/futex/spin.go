package futex

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Spinning is bounded by what it saves: to put a thread to sleep and wake it on
// another CPU costs some 50 microseconds (competitive spinning; Karlin, Manasse,
// McGeoch and Owicki, Algorithmica 11, 1994). The budget doubles when spinning
// paid and halves when it did not, down to next to nothing; but one wait in
// probeEvery spins for long again, because two who only sleep and wake each other
// would never find out that they need not.
//
// A handle's budget is a word:
//
//	bits  0..15  nanoseconds
//	bits 16..30  how many waits in a row went by at the least
//	bit  31      beside: the last wait was for one who needed this CPU
const (
	maxSpin    = 50_000
	minSpin    = 1_500
	probeEvery = 16

	beside = 1 << 31

	// The time between two yields, and how long one lasts that has let another
	// thread run: without, it takes a fraction of this.
	apart    = 4_000
	switched = 1_000
)

// succeeded and failed return the budget after a spin that did or did not pay.
func succeeded(budget uint32) uint32 { return min(2*(budget&0xffff), maxSpin) }

func failed(budget uint32) uint32 {
	nanoseconds, waits := budget&0xffff, budget&^beside>>16
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
// Whoever is to make it true either runs on another CPU, and then each system call
// here is a delay; or it needs this very CPU, and has to be given it. Affinities
// do not tell which, for two that are pinned to different CPUs look like two that
// share one. But a yield does, by whether it takes long enough for another thread
// to have run: if so, and until that ceases, this yields after each look.
func (l *Limit) SpinUntil(budget *uint32, ready func() bool) bool {
	current := atomic.LoadUint32(budget)
	if current == 0 { // never used
		current = maxSpin
	}
	start := Now()
	allowed := start + int64(current&0xffff)
	shares := current&beside != 0
	for now := start; ; {
		for until := now + apart; !shares && now < until; now = Now() {
			for range 8 {
				if ready() {
					atomic.StoreUint32(budget, succeeded(current))
					return true
				}
				procyield(4)
			}
			if now > allowed {
				break
			}
		}
		if now > allowed {
			atomic.StoreUint32(budget, failed(current))
			return false
		}
		yield()
		before := now
		now = Now()
		shares = now-before > switched
		if ready() {
			paid := succeeded(current)
			if shares {
				paid |= beside
			}
			atomic.StoreUint32(budget, paid)
			return true
		}
	}
}

// yield lets another thread run on this CPU, if one wants to (sched_yield(2)).
func yield() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
