package shm

// Walk goes along links in a segment, which may lead in a circle if a process wrote
// rubbish. It finds out before it has gone round three times, and sets no bound to how
// long a chain may be (Brent, BIT 20, 1980, pp. 176-184).
type Walk struct{ mark, steps, turn uint64 }

// Circles is to be called with each place. It reports whether the walk comes by there
// again; if the links lead to an end, never.
func (w *Walk) Circles(place uint64) bool {
	if w.steps > 0 && place == w.mark {
		return true
	}
	if w.steps == w.turn {
		w.mark, w.turn = place, 2*w.turn+1
	}
	w.steps++
	return false
}
