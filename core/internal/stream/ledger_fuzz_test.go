package stream

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// inLedger returns the number of the word at an offset of the first stream's ledger.
func inLedger(offset uintptr) uint16 { return inStream(unsafe.Offsetof(Stream{}.ledger) + offset) }

// populateLedger has items of all kinds be in the ledger: of this process, of one that
// lives, of one that died, and returned.
func populateLedger(t testing.TB, q *Stream, s *shm.Segment) {
	t.Helper()
	for i := range 24 {
		r := record(pattern(i, i%4*100))
		if i%6 == 5 {
			r.Buffers = [][]byte{pattern(i, 100), pattern(i, 200)}
		}
		if err := q.Put(s, nil, r, now); err != nil {
			t.Fatal(err)
		}
	}
	take := func(owner uint64) {
		as(owner, func() {
			for range 6 {
				buf := make([]byte, 400)
				if _, err := q.TryReceive(s, buf, now); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	take(dead[0])
	look(q, s)
	for _, owner := range []uint64{another, dead[1], myself} {
		take(owner)
	}
}

// useLedger does what can be done with a stream because it keeps one.
func useLedger(q *Stream, s *shm.Segment) {
	for range 8 {
		buf := make([]byte, 400)
		look(q, s)
		_, _ = q.TryReceive(s, buf, now)
		_, _, _ = q.tryGetMany(s, buf, 2, now)
		_, _ = q.Abandon(s, buf, now)
		_ = q.Done(s, now)
		_ = q.TryPut(s, nil, record(buf), now)
	}
	_ = q.Shutdown(s, nil, true, now)
}

func spoiltLedger(t testing.TB, redeliver bool) (*Stream, *shm.Segment) {
	t.Helper()
	s := new(shm.Segment)
	if err := s.Create("fuzz", shm.KindQueue, FirstAllocation); err != nil {
		t.Fatal(err)
	}
	Init(s, 0, 1, 200, 0)
	q := Of(s, 0)
	q.Keep(redeliver)
	populateLedger(t, q, s)
	return q, s
}

// FuzzLedger is FuzzContent for a ledger.
func FuzzLedger(f *testing.F) {
	for _, seed := range ledgerSeeds() {
		f.Add(false, seed)
		f.Add(true, seed)
	}
	f.Fuzz(func(t *testing.T, redeliver bool, patches []byte) {
		watchdog(t, patches)
		q, s := spoiltLedger(t, redeliver)
		defer s.Close()
		spoil(s, patches)

		frugally(t, s, func() { useLedger(q, s) })
	})
}

// ledgerSeeds are patches of a ledger, each alone and together with the death of somebody
// who had getLock.
func ledgerSeeds() (all [][]byte) {
	const cellWords = cellSize / 8
	inherited := patch(0, inStream(unsafe.Offsetof(Stream{}.getLock)), dead[0])
	add := func(patches []byte) {
		all = append(all, patches, append(patches[:len(patches):len(patches)], inherited...))
	}
	for _, v := range []uint64{0, firstCell<<32 | firstCell, 1 << 31, hasRefs | 1<<40, orphaned, ofTaker} {
		for word := range unsafe.Sizeof(ledger{}) / 8 {
			add(patch(0, inLedger(8*word), v))
		}
		for _, c := range []uint16{0, 1} { // a taker, an entry
			for word := range uint16(5) {
				add(patch(5, c*cellWords+word, v))
			}
		}
	}
	// All cells follow themselves; all are the same taker's.
	for _, owner := range []uint64{orphaned, ofTaker, dead[1], 0} {
		var circles []byte
		for c := range uint64(60) {
			circles = append(circles, patch(5, uint16(c*cellWords), owner)...)
			circles = append(circles, patch(5, uint16(c*cellWords)+1, (firstCell+c)<<32|(firstCell+c))...)
		}
		add(circles)
		fresh := inLedger(unsafe.Offsetof(ledger{}.fresh) &^ 7)
		add(append(circles, patch(0, fresh, 1<<64-1)...))
	}
	return all
}

// Somebody who writes rubbish into a ledger all the time does no more harm.
func TestRubbishInLedgerAllTheTime(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	all := ledgerSeeds()
	for i := range rounds {
		q, s := spoiltLedger(t, i%2 == 0)
		whileSpoilt(t, s, func() []byte { return all[rand.N(len(all)/2)*2] }, func() {
			use(t, q, s)
			useLedger(q, s)
		})
	}
}
