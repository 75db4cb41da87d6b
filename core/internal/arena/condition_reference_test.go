package arena

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Random operations against a list.
func TestConditionReference(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, c := newCondition(t)
		type thread struct {
			e        *Waiter
			notified bool
			dead     bool
			since    int // the number of threads before the notification
		}
		var threads []*thread // all there ever were, in order
		present := func(want func(*thread) bool) []*thread {
			return slices.DeleteFunc(slices.Clone(threads), func(w *thread) bool {
				return w.e == nil || !want(w)
			})
		}
		number := func(w *thread) int { return slices.Index(threads, w) }
		notify := func(n, since int) (count int) {
			for _, w := range present(func(w *thread) bool { return !w.notified }) {
				switch {
				case count == n || number(w) >= since:
				case w.dead:
					w.e = nil
				default:
					w.notified, w.since = true, since
					count++
				}
			}
			return count
		}
		alive := func(w *thread) bool { return !w.dead }
		rt.Repeat(map[string]func(*rapid.T){
			"enter": func(rt *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(rt, "n") {
					// A full table is rid of the dead: not here.
					threads = append(threads, &thread{e: c.enterTest(rt, s)})
				}
			},
			"notify": func(rt *rapid.T) {
				n := rapid.IntRange(0, 40).Draw(rt, "n")
				c.notifyTest(rt, s, n, notify(n, len(threads)))
			},
			"leave": func(rt *rapid.T) {
				all := present(alive)
				if len(all) == 0 {
					rt.Skip()
				}
				w := rapid.SampledFrom(all).Draw(rt, "who")
				pass := rapid.Bool().Draw(rt, "pass")
				c.leaveTest(rt, s, w.e, pass, w.notified)
				w.e = nil
				if w.notified && pass {
					notify(1, w.since)
				}
			},
			"die before": func(rt *rapid.T) {
				all := present(func(w *thread) bool { return !w.dead && !w.notified })
				if len(all) == 0 || len(threads) > len(c.inline) {
					rt.Skip()
				}
				w := rapid.SampledFrom(all).Draw(rt, "who")
				w.dead = true
				w.e.die()
			},
			"die after": func(rt *rapid.T) {
				all := present(func(w *thread) bool { return !w.dead && w.notified })
				if len(all) == 0 {
					rt.Skip()
				}
				w := rapid.SampledFrom(all).Draw(rt, "who")
				w.e.die()
				c.look(s)
				w.e = nil
				notify(1, w.since)
			},
			"": func(rt *rapid.T) {
				for i, w := range threads {
					if w.e != nil && (w.e.state() == notified) != w.notified {
						rt.Errorf("thread %d: state %d, not %v", i, w.e.state(), w.notified)
					}
				}
				check(rt, s, c.table())
			},
		})
	})
}
