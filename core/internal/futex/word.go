package futex

import (
	"sync/atomic"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
)

// Word is a condition that threads of any process wait for: "the queue is not
// empty" and the like. The condition itself is kept elsewhere.
//
//	bit  0      somebody may sleep
//	bits 1..31  changes whenever sleepers are woken
//
// A sleeper sets bit 0, checks the condition once more, and sleeps while the
// word is unchanged. Whoever makes the condition true looks at bit 0 afterwards
// (both sides are sequentially consistent, so one of them sees the other),
// clears it, advances the count, and wakes one sleeper or all. A sleeper that
// leaves sets bit 0 again, because others may sleep on: at worst one wake-up too
// many.
//
// Killed before it sleeps, a sleeper leaves bit 0 behind: one needless wake-up.
// Killed after it was woken, it has swallowed a wake-up that another might have
// needed; therefore nobody sleeps longer than Look without checking again.
type Word struct{ bits atomic.Uint32 }

const mayWait = 1

// Wake wakes n sleepers, if there may be any. Call it after the condition was
// made true.
func (w *Word) Wake(n int) {
	for {
		b := w.bits.Load()
		if b&mayWait == 0 {
			return
		}
		if w.bits.CompareAndSwap(b, (b+2)&^mayWait) {
			fault.Here("sleepers about to be woken")
			Wake(w.raw(), n)
			return
		}
	}
}

// Awaited reports whether somebody may sleep.
func (w *Word) Awaited() bool { return w.bits.Load()&mayWait != 0 }

func (w *Word) raw() *uint32 { return (*uint32)(unsafe.Pointer(w)) }

// flag sets bit 0 and returns the word to sleep on.
func (w *Word) flag() uint32 { return w.bits.Or(mayWait) | mayWait }

// Readiness is the condition that a Word stands for.
type Readiness interface{ Ready() bool }

// AwaitWord waits on w until r is ready; for what it returns see Await.
func AwaitWord[R Readiness](w *Word, l *Limit, spin *uint32, r R) (slept bool, err error) {
	return Await(l, w.raw(), spin, wordCondition[R]{w, r})
}

type wordCondition[R Readiness] struct {
	w *Word
	r R
}

func (c wordCondition[R]) Try(slept bool) bool {
	if !c.r.Ready() {
		return false
	}
	if slept {
		c.w.flag()
	}
	return true
}

func (c wordCondition[R]) Flag() (bits uint32, ready bool) {
	bits = c.w.flag()
	return bits, c.r.Ready()
}
