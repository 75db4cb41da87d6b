package stream

import (
	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
)

// Bell is a descriptor that poll(2) finds readable while the bell is rung. A
// handle that has none passes nil.
//
// Once a stream is watched its bell is rung exactly as long as the stream is
// Ready, between calls. Doorbell.Rung tells whether it is; both change under
// Doorbell.Lock. A producer takes that lock within putLock, rings, makes the item
// visible and only then unlocks. So whoever has the lock knows that the stream
// does not become Ready meanwhile, and silences the bell if it is not. It can
// cease to be Ready at any time: a consumer that took the last item settles the
// bell afterwards.
//
// A process that is killed may therefore leave the bell rung in vain, until
// somebody looks for an item and finds none (Settle), but never silent with an
// item that nobody will hear of. Whoever takes over the lock from it sets Rung by
// what the descriptor says.
//
// Items that return to a stream (Look) make it Ready without any of that; whoever has
// returned them settles the bell, also if somebody is about to silence it.
//
// Those who watch may hear the bell before they can see the item. Whoever finds
// none settles the bell, which waits for the producer, and looks again.
//
// Handles without a bell break this: they neither ring nor silence it, which is
// left to the next handle that has one.
type Bell interface {
	Ring() error
	Silence() error
	Rung() bool
}

// lock takes the lock. Errors: as futex.Mutex.Lock.
func (d *Doorbell) lock(b Bell, l *futex.Limit) error {
	inherited, err := d.Lock.Lock(l)
	if err != nil {
		return err
	}
	if inherited {
		fault.Here("doorbell inherited")
		d.Rung.Store(0)
		if b.Rung() {
			d.Rung.Store(1)
		}
	}
	return nil
}

// ring and silence leave the bell as it is if this process cannot change it. That
// fails no put: the item is in the stream all the same.
func (d *Doorbell) ring(b Bell) {
	if d.Rung.Load() == 0 && b.Ring() == nil {
		fault.Here("doorbell rung")
		d.Rung.Store(1)
	}
}

func (d *Doorbell) silence(b Bell) {
	if d.Rung.Load() == 1 && b.Silence() == nil {
		fault.Here("doorbell silenced")
		d.Rung.Store(0)
	}
}

// ring rings the bell of a stream that is watched and about to be Ready. The
// caller holds putLock. locked: it is to unlock Doorbell.Lock as soon as the
// stream is Ready. Errors: as futex.Mutex.Lock.
func (t *Stream) ring(b Bell, l *futex.Limit) (locked bool, err error) {
	if t.putFlags.Load()&watched == 0 || b == nil {
		return false, nil
	}
	return t.ringWatched(b, l)
}

func (t *Stream) ringWatched(b Bell, l *futex.Limit) (locked bool, err error) {
	if err := t.Doorbell.lock(b, l); err != nil {
		return false, err
	}
	t.Doorbell.ring(b)
	return true, nil
}

// Watch has the bell agree with the stream from now on; the receiving end of a pipe,
// which passes nil, sees to that itself. Error: as futex.Mutex.Lock.
func (t *Stream) Watch(b Bell, l *futex.Limit) error {
	if t.putFlags.Load()&watched == 0 {
		if err := t.lockPut(l); err != nil {
			return err
		}
		t.getFlags.Or(watched)
		fault.Here("half watched")
		t.putFlags.Or(watched)
		fault.Here("watched")
		t.putLock.Unlock()
	}
	if err := t.Doorbell.listen(b, l); err != nil {
		return err
	}
	return t.settle(b, l)
}

// Watched reports whether the bell is to agree with the stream, or about to be.
func (t *Stream) Watched() bool { return t.getFlags.Load()&watched != 0 }

// listen makes sure that the bell is rung if Rung says so. The FIFO of a queue that has a
// name forgets it with its last handle (pipe(7)); nobody watches it by then.
func (d *Doorbell) listen(b Bell, l *futex.Limit) error {
	if b == nil || d.Rung.Load() == 0 || b.Rung() {
		return nil
	}
	if err := d.lock(b, l); err != nil {
		return err
	}
	if !b.Rung() {
		d.Rung.Store(0)
	}
	fault.Here("doorbell listened to")
	d.Lock.Unlock()
	return nil
}

// Settle makes the bell agree with the stream, if it is watched. To be called
// after TryGet, whatever it returned, and after a TryPut that failed: it may have
// completed what a killed producer left undone.
//
// If somebody was stopped while it changed the bell, that is left to it.
func (t *Stream) Settle(b Bell) {
	if t.Watched() {
		l := futex.Briefly()
		_ = t.settle(b, &l)
	}
}

func (t *Stream) settle(b Bell, l *futex.Limit) error {
	if b == nil {
		return nil
	}
	d := &t.Doorbell
	// In this order: a producer may ring and unlock in between.
	held, ready, rung := d.Lock.Held(), t.Ready(), d.Rung.Load() == 1
	if ready == rung && (!held || ready && t.mode&redelivers == 0) {
		return nil
	}
	if err := d.lock(b, l); err != nil {
		return err
	}
	fault.Here("doorbell locked")
	if t.Ready() {
		d.ring(b)
	} else {
		d.silence(b)
	}
	fault.Here("doorbell settled")
	d.Lock.Unlock()
	return nil
}
