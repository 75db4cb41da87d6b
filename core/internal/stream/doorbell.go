package stream

import "github.com/goprocessing/goprocessing/core/internal/futex"

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

// lock takes the lock, which is never held for long.
func (d *Doorbell) lock(b Bell) bool {
	inherited, err := d.Lock.Lock(&futex.Limit{How: futex.NoWait})
	if err != nil {
		return false // the futex is gone, and so is this mapping
	}
	if inherited {
		d.Rung.Store(0)
		if b.Rung() {
			d.Rung.Store(1)
		}
	}
	return true
}

// ring and silence leave the bell as it is if this process cannot change it. That
// fails no put: the item is in the stream all the same.
func (d *Doorbell) ring(b Bell) {
	if d.Rung.Load() == 0 && b.Ring() == nil {
		d.Rung.Store(1)
	}
}

func (d *Doorbell) silence(b Bell) {
	if d.Rung.Load() == 1 && b.Silence() == nil {
		d.Rung.Store(0)
	}
}

// ring rings the bell of a stream that is watched and about to be Ready. The
// caller holds putLock. locked: it is to unlock Doorbell.Lock as soon as the
// stream is Ready.
func (t *Stream) ring(b Bell) (locked bool) {
	return t.putFlags.Load()&watched != 0 && t.ringWatched(b)
}

func (t *Stream) ringWatched(b Bell) (locked bool) {
	if b == nil || !t.Doorbell.lock(b) {
		return false
	}
	t.Doorbell.ring(b)
	return true
}

// Watch has the bell agree with the stream from now on. Error: as
// futex.Mutex.Lock.
func (t *Stream) Watch(b Bell, l *futex.Limit) error {
	if t.putFlags.Load()&watched == 0 {
		if err := t.lockPut(l); err != nil {
			return err
		}
		t.getFlags.Or(watched)
		t.putFlags.Or(watched)
		t.putLock.Unlock()
	}
	t.settle(b)
	return nil
}

// Settle makes the bell agree with the stream, if it is watched. To be called
// after TryGet, whatever it returned, and after a TryPut that failed: it may have
// completed what a killed producer left undone.
func (t *Stream) Settle(b Bell) {
	if t.getFlags.Load()&watched != 0 {
		t.settle(b)
	}
}

func (t *Stream) settle(b Bell) {
	if b == nil {
		return
	}
	d := &t.Doorbell
	// In this order: a producer may ring and unlock in between.
	held, ready, rung := d.Lock.Held(), t.Ready(), d.Rung.Load() == 1
	if ready == rung && (ready || !held) {
		return
	}
	if !d.lock(b) {
		return
	}
	if t.Ready() {
		d.ring(b)
	} else {
		d.silence(b)
	}
	d.Lock.Unlock()
}
