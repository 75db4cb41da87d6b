package arena

import (
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
)

// Event is a slot that holds an event.
//
//	bit  0      set
//	bit  1      somebody may sleep
//	bits 2..31  how often it changed from clear to set
//
// A sleeper sets bit 1 while bit 0 is clear; whoever sets bit 0 clears bit 1 and
// wakes all. By the count a sleeper sees that the event was set, even if it was
// cleared before the sleeper ran.
type Event Slot

const (
	eventSet     = 1
	eventWaiters = 2
	eventOnce    = 4
)

// IsSet reports whether the event is set.
func (e *Event) IsSet() bool { return e.word.Load()&eventSet != 0 }

// Set sets the event and wakes all who wait for it.
func (e *Event) Set() {
	for {
		v := e.word.Load()
		if v&eventSet != 0 {
			return
		}
		if e.word.CompareAndSwap(v, v&^eventWaiters+eventOnce|eventSet) {
			fault.Here("event set")
			if v&eventWaiters != 0 {
				futex.Wake(e.futex(), futex.All)
			}
			return
		}
	}
}

// Clear clears the event.
func (e *Event) Clear() {
	e.word.And(^uint32(eventSet))
	fault.Here("event cleared")
}

// Word returns the event's word, for Wait.
func (e *Event) Word() uint32 { return e.word.Load() }

// Wait waits, as l allows, until the event is set or was set since Word returned
// seen.
func (e *Event) Wait(seen uint32, l *futex.Limit) error {
	w := eventWait{e, seen}
	if w.Try(false) {
		return nil
	}
	_, err := futex.Await(l, e.futex(), &e.spin, w)
	return err
}

// eventWait is a futex.Condition.
type eventWait struct {
	e    *Event
	seen uint32
}

func (w eventWait) wasSet(v uint32) bool {
	return v&eventSet != 0 || v/eventOnce != w.seen/eventOnce
}

func (w eventWait) Try(bool) bool { return w.wasSet(w.e.word.Load()) }

func (w eventWait) Flag() (bits uint32, ready bool) {
	for {
		v := w.e.word.Load()
		if w.wasSet(v) {
			return 0, true
		}
		if v&eventWaiters != 0 || w.e.word.CompareAndSwap(v, v|eventWaiters) {
			return v | eventWaiters, false
		}
	}
}

func (e *Event) futex() *uint32 { return (*uint32)(unsafe.Pointer(e)) }
