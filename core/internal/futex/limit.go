package futex

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"golang.org/x/sys/unix"
)

// How says how far a call may go to wait.
type How int32

const (
	Try    How = iota // not at all
	NoWait            // wait for nothing but another's short critical section
	Spin              // spin for some microseconds
	Sleep             // sleep, without spinning before
	Block             // spin, then sleep
)

// Limit bounds a wait.
type Limit struct {
	How      How
	Deadline int64 // nanoseconds of CLOCK_MONOTONIC, or Forever; for Sleep and Block

	// Interruptible makes a sleep end with unix.EINTR when a signal interrupts
	// it, and at each Look, because a signal may have come just before the sleep.
	Interruptible bool

	// Context, if not nil, ends a sleep when it is done.
	Context context.Context
}

// Spins and Sleeps tell which ways of waiting l allows.
func (l *Limit) Spins() bool  { return l.How == Spin || l.How == Block }
func (l *Limit) Sleeps() bool { return l.How >= Sleep }

// Look is how long, in nanoseconds, a sleeper trusts the others to wake it: one
// of them may have been killed just before.
const Look = int64(1e9)

// Briefly is the limit for locks that guard hints: whoever holds one may have been
// stopped (SIGSTOP) inside, and the caller may be one that nothing interrupts.
func Briefly() Limit { return Limit{How: Sleep, Deadline: Now() + Look/50} }

// Condition is what somebody waits for.
type Condition interface {
	// Try reports whether the wait is over; it may take what was waited for.
	// slept tells that the caller slept, and others may sleep on.
	Try(slept bool) bool
	// Flag announces that the caller is about to sleep, unless the wait is
	// over, and returns the value of the word on which to sleep.
	Flag() (bits uint32, ready bool)
}

// Await waits for c as l allows and returns nil, or unix.EAGAIN, unix.ETIMEDOUT,
// unix.EINTR, or the cause of the context's end. slept tells that the thread
// slept: another sleeper may then wait for the same thing, and a caller that
// takes one of several has to wake the next.
func Await[C Condition](l *Limit, word, spin *uint32, c C) (slept bool, err error) {
	if l.Spins() && l.SpinUntil(spin, func() bool { return c.Try(false) }) {
		return false, nil
	}
	if !l.Sleeps() {
		return false, unix.EAGAIN
	}
	release := l.onCancel(word)
	defer release()
	for {
		bits, ready := c.Flag()
		looked := false
		if !ready {
			fault.Here("sleep announced")
			looked, err = l.sleep(word, bits, Look)
			if err != nil {
				return slept, err
			}
			slept = true
			fault.Here("woken")
		}
		if c.Try(slept) {
			return slept, nil
		}
		if looked && l.Interruptible {
			return slept, unix.EINTR
		}
	}
}

// sleep sleeps on word while it is val. looked tells that it ended after look.
func (l *Limit) sleep(word *uint32, val uint32, look int64) (looked bool, err error) {
	if l.Context != nil {
		if err := context.Cause(l.Context); err != nil {
			return false, err
		}
	}
	// The end of a look is not the caller's deadline.
	until := Now() + look
	last := l.Deadline <= until
	if last {
		until = l.Deadline
	}
	switch err := SleepOn(word, val, until); err {
	case unix.ETIMEDOUT:
		if last {
			return false, err
		}
		return true, nil
	case unix.EINTR:
		// The Go runtime's own signals interrupt too; only a caller that
		// has handlers to run wants to know.
		if l.Interruptible {
			return false, err
		}
		return false, nil
	default:
		return false, err
	}
}

// onCancel makes the end of l's context wake the sleepers on word until the
// returned function is called.
func (l *Limit) onCancel(word *uint32) (release func()) {
	if l.Context == nil || l.Context.Done() == nil {
		return func() {}
	}
	var left atomic.Bool
	stop := context.AfterFunc(l.Context, func() {
		// The waiter may be between its check of the context and its sleep,
		// where a wake-up would pass it by: repeat until it has left.
		for pause := time.Microsecond; !left.Load(); pause = min(2*pause, time.Millisecond) {
			Wake(word, All)
			time.Sleep(pause)
		}
	})
	return func() {
		left.Store(true)
		stop()
	}
}
