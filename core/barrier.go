package core

import (
	"context"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/arena"
	"golang.org/x/sys/unix"
)

// Barrier is where a number of parties wait for each other, again and again. A
// party that gives up, or is killed, breaks it: all others get ErrBroken, until it
// is reset.
type Barrier struct{ member }

// NewBarrier makes a barrier for a number of parties, from 1 to MaxValue; else the error
// is unix.EINVAL.
func (a *Arena) NewBarrier(parties uint32) (*Barrier, error) {
	offset, err := a.NewSlot(KindBarrier, 0, parties)
	if err != nil {
		return nil, err
	}
	return a.Barrier(offset)
}

// Barrier returns the barrier at offset.
func (a *Arena) Barrier(offset uint64) (*Barrier, error) {
	if err := a.CheckSlot(offset, KindBarrier); err != nil {
		return nil, err
	}
	b := BarrierOn(a.s, offset)
	return &b, nil
}

// BarrierOn returns the barrier at offset, which passed CheckSlot, in s, which
// stays the caller's: for language bindings.
func BarrierOn(s *Segment, offset uint64) Barrier {
	return Barrier{memberOf(&Arena{s}, offset)}
}

func (b *Barrier) at() *arena.Barrier { return (*arena.Barrier)(unsafe.Pointer(b.slot())) }

func (b *Barrier) takes() []string { return []string{"Parties"} }

func (b *Barrier) inherit(fds []int, note string) error {
	return b.inheritAs(KindBarrier, fds, note)
}

func (b *Barrier) openNamed(name string, mode Mode, o *options) error {
	return b.member.openNamed(name, mode, o, KindBarrier, 0, o.parties)
}

// Wait waits until all parties do, and returns a number that each of them gets
// once: from 0 to Parties()-1, the last for the last to arrive. Errors: ErrBroken,
// or the cause of ctx's end, which breaks the barrier.
func (b *Barrier) Wait(ctx context.Context) (index int, err error) {
	w, index, last, err := b.ArriveWithin(0, false, within(ctx))
	if err != nil || last {
		return index, err
	}
	for {
		index, err = b.WaitWithin(w, within(ctx))
		if err == nil || err == ErrBroken {
			return index, err
		}
		cause := err
		switch index, err = b.TimeOut(w); err {
		case unix.EBUSY:
			// A party with an action runs it. That ends the wait.
			ctx = context.Background()
		case ErrBroken:
			return 0, cause
		default:
			return index, err
		}
	}
}

// Reset makes those who wait return ErrBroken, and the barrier new. If a party runs
// an action, which those of other languages may, it waits until that has ended.
// Error: the cause of ctx's end.
func (b *Barrier) Reset(ctx context.Context) error { return b.ResetWithin(within(ctx)) }

// Abort breaks the barrier, and waits as Reset does.
func (b *Barrier) Abort(ctx context.Context) error { return b.AbortWithin(within(ctx)) }

// Broken reports whether the barrier is broken.
func (b *Barrier) Broken() bool { return b.at().Broken() }

// Parties returns how many have to wait.
func (b *Barrier) Parties() int { return b.at().Parties() }

// Waiting returns how many wait. Errors: ErrCorrupt, ErrClosed.
func (b *Barrier) Waiting() (int, error) {
	if err := b.closed(); err != nil {
		return 0, err
	}
	return b.at().Waiting(b.s)
}

// ArriveWithin makes the calling thread a party, for language bindings, as soon as
// no action runs. When last is false, WaitWithin is to follow. Otherwise the caller
// is the last: it has passed, unless acts says that it will run an action now and
// call Finish. tid is the thread's, if the caller keeps to one.
func (b *Barrier) ArriveWithin(tid uint32, acts bool, l *Limit) (w *Waiter, index int, last bool, err error) {
	if err := b.closed(); err != nil {
		return nil, 0, false, err
	}
	return b.at().Arrive(b.s, tid, acts, l)
}

// WaitWithin waits for the others within the limit l. After other errors than
// ErrBroken w waits on, until TimeOut or Withdraw.
func (b *Barrier) WaitWithin(w *Waiter, l *Limit) (index int, err error) {
	return b.at().Wait(b.s, w, l)
}

// Finish ends the action that w ran as the last to arrive.
func (b *Barrier) Finish(w *Waiter, ok bool) error { return b.at().Finish(b.s, w, ok) }

// TimeOut ends the wait of w and breaks the barrier: ErrBroken. If all have arrived
// meanwhile it returns w's index, or unix.EBUSY if an action runs: then
// WaitWithin is to be called again.
func (b *Barrier) TimeOut(w *Waiter) (index int, err error) { return b.at().TimeOut(b.s, w) }

// Withdraw ends the wait of w as if it had not arrived.
func (b *Barrier) Withdraw(w *Waiter) error { return b.at().Withdraw(b.s, w) }

// ResetWithin is Reset within the limit l, for language bindings. The thread that
// runs an action may call it, if ArriveWithin was told which that is: it breaks the
// round.
func (b *Barrier) ResetWithin(l *Limit) error {
	if err := b.closed(); err != nil {
		return err
	}
	return b.at().Reset(b.s, l)
}

// AbortWithin is Abort within the limit l, likewise.
func (b *Barrier) AbortWithin(l *Limit) error {
	if err := b.closed(); err != nil {
		return err
	}
	return b.at().Abort(b.s, l)
}
