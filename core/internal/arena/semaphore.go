package arena

import (
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/process"
	"golang.org/x/sys/unix"
)

// MaxValue is the greatest value of a semaphore: POSIX's SEM_VALUE_MAX.
const MaxValue = 1<<31 - 1

// Semaphore is a slot that holds a counting semaphore; a lock is one of at most 1.
//
//	bits 0..30  value
//	bit  31     somebody may sleep
//
// A sleeper sets bit 31 while the value is 0. Whoever releases clears it and
// wakes one. A sleeper that acquires sets it again, for those that may sleep on.
//
// Killed after it was woken, a sleeper leaves the value for the next to come,
// and the other sleepers find it when they look (futex.Look).
//
// owner is who acquired last, as those say who care: pid<<32 | tid, where tid is 0 of Go
// programs, whose goroutines have no thread. They write it after they acquired, and
// whoever releases clears it before. So while the value is 0 owner is a thread's own
// number only if that thread acquired last.
type Semaphore Slot

const semWaiters = 1 << 31

// Acquire decrements the value, waiting as l allows while it is 0.
func (m *Semaphore) Acquire(l *futex.Limit) error {
	if m.try(0) {
		return nil
	}
	slept, err := futex.Await(l, m.futex(), &m.spin, semaphoreWait{m})
	if slept && m.Value() > 0 {
		fault.Here("semaphore left for the next")
		// Released more than once before this one ran: only the first
		// release found bit 31 and woke somebody.
		m.wake()
	}
	return err
}

// semaphoreWait is a futex.Condition.
type semaphoreWait struct{ m *Semaphore }

func (w semaphoreWait) Try(slept bool) bool {
	if slept {
		return w.m.try(semWaiters)
	}
	return w.m.try(0)
}

func (w semaphoreWait) Flag() (bits uint32, ready bool) {
	for {
		v := w.m.word.Load()
		if v&MaxValue != 0 {
			return 0, true
		}
		if v&semWaiters != 0 || w.m.word.CompareAndSwap(v, v|semWaiters) {
			return v | semWaiters, false
		}
	}
}

func (m *Semaphore) try(flag uint32) bool {
	for {
		v := m.word.Load()
		if v&MaxValue == 0 {
			return false
		}
		if m.word.CompareAndSwap(v, v-1|flag) {
			fault.Here("semaphore acquired")
			return true
		}
	}
}

// Release increments the value. When it is the greatest allowed already, Release
// returns unix.EOVERFLOW.
func (m *Semaphore) Release() error {
	for {
		v := m.word.Load()
		if v&MaxValue >= m.max {
			return unix.EOVERFLOW
		}
		m.owner.Store(0)
		fault.Here("semaphore's owner cleared")
		if m.word.CompareAndSwap(v, v&MaxValue+1) {
			fault.Here("semaphore released")
			if v&semWaiters != 0 {
				m.wake()
			}
			return nil
		}
	}
}

// Note says that a process acquired the semaphore last, whichever of its threads.
func (m *Semaphore) Note(p process.ID) { m.owner.Store(uint64(p.PID) << 32) }

// wake wakes one sleeper.
func (m *Semaphore) wake() { futex.Wake(m.futex(), 1) }

// Waiters reports whether somebody may sleep.
func (m *Semaphore) Waiters() bool { return m.word.Load()&semWaiters != 0 }

// Value returns the value.
func (m *Semaphore) Value() int { return int(m.word.Load() & MaxValue) }

func (m *Semaphore) futex() *uint32 { return (*uint32)(unsafe.Pointer(m)) }
