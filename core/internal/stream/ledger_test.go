package stream

import (
	"bytes"
	"slices"
	"testing"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func newKept(t testing.TB, maxItems uint64, redeliver bool) (*Stream, *shm.Segment) {
	t.Helper()
	q, s := newStream(t, maxItems)
	q.Keep(redeliver)
	t.Cleanup(func() { checkLedger(t, q, s) })
	return q, s
}

// Processes as owners of what they take. No pid is as large as those of the dead.
var (
	myself  = futex.Self
	another = uint64(1)
	dead    = []uint64{1<<31 - 2, 1<<31 - 3}
)

// as calls f as if another process did.
func as(owner uint64, f func()) {
	defer func() { futex.Self = myself }()
	futex.Self = owner
	f()
}

// look returns what the dead have.
func look(q *Stream, s *shm.Segment) {
	q.ledger.looked.Store(0)
	q.Look(s)
}

func checkLedger(t rapid.TB, q *Stream, s *shm.Segment) {
	t.Helper()
	if err := q.books(s).check(); err != nil {
		t.Fatal(err)
	}
}

// kept is a stream with a ledger, and what should be in both.
type kept struct {
	q        *Stream
	s        *shm.Segment
	puts     int
	queue    [][]byte
	returned []held
	held     map[uint64][]held
	order    int
	early    int
}

type held struct {
	n, order int
	item     []byte
}

func (m *kept) len() int { return len(m.queue) + len(m.returned) }

// took notes that somebody took the oldest item.
func (m *kept) took(owner uint64) []byte {
	var h held
	if len(m.returned) > 0 {
		h, m.returned = m.returned[0], m.returned[1:]
	} else {
		h = held{n: m.puts - len(m.queue), item: m.queue[0]}
		m.queue = m.queue[1:]
		if m.early > 0 {
			m.early--
			return h.item
		}
	}
	h.order = m.order
	m.order++
	m.held[owner] = append(m.held[owner], h)
	return h.item
}

func (m *kept) done(t *rapid.T, owner uint64) {
	if m.early+len(m.queue) == 0 && m.entries() == 0 || m.early == len(m.queue) && m.entries() == 0 {
		as(owner, func() {
			if err := m.q.Done(m.s, now); err != ErrDone {
				t.Fatal(err)
			}
		})
		return
	}
	as(owner, func() {
		if err := m.q.Done(m.s, now); err != nil {
			t.Fatal(err)
		}
	})
	m.marked(owner)
}

func (m *kept) entries() int {
	n := len(m.returned)
	for _, h := range m.held {
		n += len(h)
	}
	return n
}

func (m *kept) marked(owner uint64) {
	if len(m.held[owner]) == 0 {
		for other, h := range m.held {
			if len(h) > 0 && (len(m.held[owner]) == 0 || h[0].order < m.held[owner][0].order) {
				owner = other
			}
		}
	}
	switch {
	case len(m.held[owner]) > 0:
		m.held[owner] = m.held[owner][1:]
	case len(m.returned) > 0:
		m.returned = m.returned[1:]
	default:
		m.early++
	}
}

func (m *kept) look() {
	for _, owner := range dead {
		m.returned = append(m.returned, m.held[owner]...)
		m.held[owner] = nil
	}
	slices.SortFunc(m.returned, func(a, b held) int { return a.n - b.n })
}

func (m *kept) get(t *rapid.T, owner uint64) {
	buf := make([]byte, 4*chunkSize)
	as(owner, func() {
		n, err := m.q.TryGet(m.s, buf, now)
		if m.len() == 0 {
			if err != ErrEmpty {
				t.Fatal(err)
			}
			return
		}
		if want := m.took(owner); err != nil || !bytes.Equal(buf[:n], want) {
			t.Fatalf("got %d bytes, %v, not %d", n, err, len(want))
		}
	})
}

func (m *kept) getMany(t *rapid.T, owner uint64, limit uint64) {
	if m.len() == 0 {
		return
	}
	buf := make([]byte, 8*chunkSize)
	as(owner, func() {
		n, size, err := m.q.GetMany(m.s, buf, limit, now)
		if err != nil || n == 0 {
			t.Fatalf("got %d, %v", n, err)
		}
		if n < limit && m.len() > int(n) && len(buf)-size > 4*chunkSize {
			t.Fatalf("got %d of %d", n, m.len())
		}
		for b := Batch(buf[:size]); len(b) > 0; {
			var item []byte
			if item, b, err = b.Next(); err != nil || !bytes.Equal(item, m.took(owner)) {
				t.Fatal("torn", err)
			}
		}
	})
}

// keepNext enters the next item in the ledger, but does not get it.
func (v *view) keepNext() error {
	gets := v.t.gets.Load()
	p := position(v.t.get[gets&1].head.Load())
	word, err := v.readHeader(&p)
	if err != nil {
		return err
	}
	return v.keep(gets, word, reading{head: p})
}

// A process is killed that has getLock, and another takes it over.
func (m *kept) killed(t *rapid.T, how int, owner uint64) {
	if err := m.q.lockGet(m.s, now); err != nil {
		t.Fatal(err)
	}
	defer m.q.getLock.Unlock()
	k := m.q.books(m.s)
	as(owner, func() {
		switch v := (view{m.q, m.s}); {
		case how == 1 && len(m.queue) > 0:
			if err := v.keepNext(); err != nil {
				t.Fatal(err)
			}
		case how == 2 && m.entries() > 0:
			from, err := k.oldest()
			if err != nil {
				t.Fatal(err)
			}
			k.marked = *from
			m.q.done.Add(1)
			m.marked(owner)
		case how == 3:
			// What was made of the entries may be in any state.
			k.order, k.free, k.takers, k.first = 7, firstCell, firstCell, firstCell
			k.returned.Store(5)
		}
	})
	if err := k.rebuild(); err != nil {
		t.Fatal(err)
	}
}

func TestLedgerAgainstReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := new(shm.Segment)
		if err := s.Create("test", shm.KindQueue, FirstAllocation); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		Init(s, 0, 1, 0, 0)
		m := &kept{q: Of(s, 0), s: s, held: map[uint64][]held{}}
		m.q.Keep(true)
		size := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 100), rapid.IntRange(0, 3*chunkSize))
		owner := rapid.SampledFrom([]uint64{myself, another, dead[0], dead[1]})
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				for range rapid.SampledFrom([]int{1, 1, 30}).Draw(t, "items") {
					item := pattern(m.puts, size.Draw(t, "size"))
					if err := m.q.TryPut(s, nil, record(item), now); err != nil {
						t.Fatal(err)
					}
					m.queue = append(m.queue, item)
					m.puts++
				}
			},
			"get": func(t *rapid.T) { m.get(t, owner.Draw(t, "owner")) },
			"get many": func(t *rapid.T) {
				m.getMany(t, owner.Draw(t, "owner"), rapid.Uint64Range(1, 40).Draw(t, "limit"))
			},
			"done": func(t *rapid.T) {
				by := owner.Draw(t, "owner")
				for range rapid.SampledFrom([]int{1, 1, 100}).Draw(t, "times") {
					m.done(t, by)
				}
			},
			"look":   func(t *rapid.T) { look(m.q, s); m.look() },
			"killed": func(t *rapid.T) { m.killed(t, rapid.IntRange(0, 3).Draw(t, "how"), owner.Draw(t, "owner")) },
			"": func(t *rapid.T) {
				m.q.ledger.looked.Store(futex.Now())
				if m.q.Len() != uint64(m.len()) {
					t.Fatalf("%d items, not %d", m.q.Len(), m.len())
				}
				checkLedger(t, m.q, s)
			},
		})
	})
}

// large is an item with buffers, or that is one itself.
func large(seed int) *Record {
	if seed%2 == 0 {
		return record(pattern(seed, largeItem+seed))
	}
	return &Record{Parts: [3][]byte{pattern(seed, 10)}, Buffers: [][]byte{pattern(seed, 100_000), pattern(seed+1, 5)}}
}

// receiveLarge receives an item and overwrites its extents before it releases them.
func receiveLarge(t testing.TB, q *Stream, s *shm.Segment, seed int) {
	t.Helper()
	want := large(seed)
	buf := make([]byte, 100)
	r, err := q.TryReceive(s, buf, now)
	if err != nil {
		t.Fatal(err)
	}
	pieces := want.Buffers
	if r.Whole {
		pieces = want.Parts[:1]
	} else if !bytes.Equal(buf[r.Refs*refSize:r.Len], want.Parts[0]) {
		t.Errorf("item %d is torn", seed)
	}
	x := ExtentsOf(s)
	for i := range r.Refs {
		ref := DecodeRef(buf[i*refSize:])
		b, err := x.Bytes(ref)
		if err != nil || !bytes.Equal(b, pieces[i]) {
			t.Errorf("buffer %d of item %d: %v", i, seed, err)
		}
		clear(b)
		x.Release(ref)
	}
}

// What a taker does to an item is not seen by the next, and each extent is free when
// its item is done.
func TestLedgerKeepsLargeItems(t *testing.T) {
	q, s := newKept(t, 0, true)
	for i := range 4 {
		if err := q.Put(s, nil, large(i), now); err != nil {
			t.Fatal(err)
		}
	}
	for _, owner := range dead {
		as(owner, func() {
			for i := range 4 {
				receiveLarge(t, q, s, i)
			}
		})
		checkLedger(t, q, s)
		look(q, s)
	}
	ExtentsOf(s).RecoverLost()
	for i := range 4 {
		receiveLarge(t, q, s, i)
	}
	if owned := checkExtents(t, s); owned != 6 {
		t.Errorf("%d extents have an owner", owned)
	}
	for range 4 {
		if err := q.Done(s, now); err != nil {
			t.Fatal(err)
		}
	}
	if owned := checkExtents(t, s); owned != 0 {
		t.Errorf("%d extents have an owner", owned)
	}
}

// A process is killed as it releases the extents of an item, or books them.
func TestKilledWithLargeItems(t *testing.T) {
	q, s := newKept(t, 0, true)
	k := q.books(s)
	for i := range 2 {
		if err := q.Put(s, nil, large(1), now); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			receiveLarge(t, q, s, 1)
		}
	}
	if err := (&view{q, s}).keepNext(); err != nil {
		t.Fatal(err)
	}
	from, err := k.oldest()
	if err != nil {
		t.Fatal(err)
	}
	k.marked = *from
	q.done.Add(1)
	if err := k.rebuild(); err != nil {
		t.Fatal(err)
	}
	checkLedger(t, q, s)
	if q.Unfinished() != 1 || q.Len() != 1 {
		t.Errorf("%d unfinished, %d in the stream", q.Unfinished(), q.Len())
	}
	if err := q.Shutdown(s, nil, true, now); err != nil {
		t.Fatal(err)
	}
	if owned := checkExtents(t, s); owned != 0 {
		t.Errorf("%d extents have an owner", owned)
	}
}

func TestLedgerGivesMemoryBack(t *testing.T) {
	q, s := newKept(t, 0, false)
	const items = 20_000
	for round := range 2 {
		for range items {
			put(t, q, s, pattern(round, 100))
			get(t, q, s)
		}
		if m := memory(t, s); m < items*cellSize {
			t.Errorf("%d items in %d bytes", items, m)
		}
		checkLedger(t, q, s)
		for range items {
			if err := q.Done(s, now); err != nil {
				t.Fatal(err)
			}
		}
		checkLedger(t, q, s)
		if m := memory(t, s); m > minKept+1<<20 {
			t.Errorf("an empty ledger keeps %d bytes", m)
		}
		if owned := checkExtents(t, s); owned != 0 {
			t.Errorf("%d extents have an owner", owned)
		}
	}
}

// Without memory for the ledger nothing is got.
func TestLedgerWithoutMemory(t *testing.T) {
	if !limited() {
		runLimited(t)
		return
	}
	q, s := newKept(t, 0, true)
	got := 0
	for {
		if err := q.TryPut(s, nil, record(pattern(got, 1000)), now); err != nil {
			break
		}
		if _, err := q.TryGet(s, make([]byte, 1000), now); err != nil {
			if !isErrno(err, unix.EFBIG) || q.Len() != 1 {
				t.Fatal(err, q.Len())
			}
			break
		}
		got++
	}
	checkLedger(t, q, s)
	for range got {
		if err := q.Done(s, now); err != nil {
			t.Fatal(err)
		}
	}
	for q.Len() > 0 {
		get(t, q, s)
	}
}

func TestAbandoned(t *testing.T) {
	q, s := newKept(t, 0, false)
	for i := range 4 {
		put(t, q, s, pattern(i, 10))
	}
	as(dead[0], func() { get(t, q, s); get(t, q, s) })
	get(t, q, s)
	look(q, s)
	if q.Len() != 1 || q.Unfinished() != 4 {
		t.Errorf("%d items, %d unfinished", q.Len(), q.Unfinished())
	}
	buf := make([]byte, 10)
	if n, err := q.AbandonCopy(s, buf[:9], now); err != ErrTooLong || n != 10 {
		t.Error(n, err)
	}
	for i := range 2 {
		if n, err := q.AbandonCopy(s, buf, now); err != nil || !bytes.Equal(buf[:n], pattern(i, 10)) {
			t.Error(n, err)
		}
	}
	if _, err := q.AbandonCopy(s, buf, now); err != ErrEmpty {
		t.Error(err)
	}
	get(t, q, s)
	for range 4 {
		if err := q.Done(s, now); err != nil {
			t.Error(err)
		}
	}
	if err := q.Join(s, nil, now); err != nil {
		t.Error(err)
	}
}

// Neither what had returned nor what dead processes had is missed once the stream is
// gone.
func TestLedgerOfStreamThatIsGone(t *testing.T) {
	for _, redeliver := range []bool{true, false} {
		q, s := newKept(t, 0, redeliver)
		for i := range 10 {
			put(t, q, s, pattern(i, 10))
		}
		as(dead[0], func() { get(t, q, s) })
		look(q, s)
		as(dead[1], func() { get(t, q, s); get(t, q, s) })
		get(t, q, s)
		if err := q.Shutdown(s, nil, true, now); err != nil {
			t.Fatal(err)
		}
		checkLedger(t, q, s)
		look(q, s)
		left := uint64(1)
		if !redeliver {
			left = 4
		}
		if q.Unfinished() != left {
			t.Errorf("%d unfinished, not %d", q.Unfinished(), left)
		}
		for range left {
			if err := q.Done(s, now); err != nil {
				t.Error(err)
			}
		}
		if err := q.Join(s, nil, now); err != nil {
			t.Error(err)
		}
		if err := q.Done(s, now); err != ErrDone {
			t.Error(err)
		}
	}
}

// What is returned does not wait for room, and nothing is put until there is some.
func TestReturnedToFullStream(t *testing.T) {
	q, s := newKept(t, 2, true)
	put(t, q, s, pattern(0, 1))
	as(dead[0], func() { get(t, q, s) })
	put(t, q, s, pattern(1, 1))
	put(t, q, s, pattern(2, 1))
	look(q, s)
	if q.Len() != 3 || !q.Full() {
		t.Errorf("%d items", q.Len())
	}
	for i := range 2 {
		if err := q.TryPut(s, nil, record(nil), now); err != ErrFull {
			t.Error(err)
		}
		if item := get(t, q, s); !bytes.Equal(item, pattern(i, 1)) {
			t.Error(item)
		}
	}
	put(t, q, s, nil)
}

// A producer that finds no room, since something was returned, which somebody then gets,
// does not take the stream for corrupt.
func TestReturnedIsGotWhilePutIsRefused(t *testing.T) {
	q, s := newKept(t, 1, true)
	if err := q.lockPut(now); err != nil {
		t.Fatal(err)
	}
	defer q.putLock.Unlock()
	st := q.current()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		k := q.books(s)
		for range 5_000_000 {
			k.count(1)
			k.count(-1)
		}
	}()
	for {
		select {
		case <-stopped:
			return
		default:
			if err := q.refuse(&st, 1); err != ErrFull {
				<-stopped
				t.Fatal(err)
			}
		}
	}
}

// An item that had returned leaves room when it is marked done, and the next producer is
// told.
func TestReturnedIsDone(t *testing.T) {
	q, s := newKept(t, 1, true)
	put(t, q, s, nil)
	as(dead[0], func() { get(t, q, s) })
	look(q, s)
	if _, err := q.AwaitRoom(s, &futex.Limit{How: futex.Sleep, Deadline: futex.Now()}); err != unix.ETIMEDOUT {
		t.Fatal(err)
	}
	if err := q.Done(s, now); err != nil {
		t.Fatal(err)
	}
	if q.nonFull.Awaited() {
		t.Error("nobody was woken")
	}
	put(t, q, s, nil)
}

// Who must not wait does not wait for memory for a copy either.
func TestTryReceiveWhilePoolIsLocked(t *testing.T) {
	q, s := newKept(t, 0, true)
	if err := q.Put(s, nil, large(1), now); err != nil {
		t.Fatal(err)
	}
	x := ExtentsOf(s)
	if err := x.enter(now); err != nil {
		t.Fatal(err)
	}
	_, err := q.TryReceive(s, make([]byte, 100), &futex.Limit{How: futex.Try})
	x.p.lock.Unlock()
	if err != unix.EBUSY {
		t.Error(err)
	}
	receiveLarge(t, q, s, 1)
}
