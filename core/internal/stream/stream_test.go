package stream

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

var now = &futex.Limit{How: futex.NoWait}

// newStreams makes a segment of n streams. After the test their structure is
// validated.
func newStreams(t testing.TB, n uint32, maxItems, maxBytes uint64) ([]*Stream, *shm.Segment) {
	t.Helper()
	s := new(shm.Segment)
	if err := s.Create("test", shm.KindQueue, FirstAllocation); err != nil {
		t.Fatal(err)
	}
	var streams []*Stream
	for i := range n {
		Init(s, i, n, maxItems, maxBytes)
		streams = append(streams, Of(s, i))
	}
	t.Cleanup(func() {
		for _, q := range streams {
			check(t, q, s)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return streams, s
}

func newStream(t testing.TB, maxItems uint64) (*Stream, *shm.Segment) {
	t.Helper()
	q, s := newStreams(t, 1, maxItems, 0)
	return q[0], s
}

// memory returns how many bytes of memory a segment takes.
func memory(t testing.TB, s *shm.Segment) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(s.FD), &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

func record(item []byte) *Record { return &Record{Parts: [3][]byte{item}} }

func put(t testing.TB, q *Stream, s *shm.Segment, item []byte) {
	t.Helper()
	if err := q.TryPut(s, nil, record(item), now); err != nil {
		t.Fatalf("putting %d bytes: %v", len(item), err)
	}
}

func get(t testing.TB, q *Stream, s *shm.Segment) []byte {
	t.Helper()
	long, err := q.TryGet(s, nil, now)
	if err == nil {
		return []byte{}
	}
	if err != ErrTooLong {
		t.Fatalf("getting: %v", err)
	}
	buf := make([]byte, long)
	if n, err := q.TryGet(s, buf, now); err != nil || n != len(buf) {
		t.Fatalf("getting %d bytes: %d, %v", long, n, err)
	}
	return buf
}

// pattern returns n bytes that differ from their neighbours and from other items.
func pattern(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(seed + i*7 + i>>8)
	}
	return b
}

func TestItemsOfAllSizes(t *testing.T) {
	q, s := newStream(t, 0)
	sizes := []int{0, 1, 7, 8, 9, chunkSize - recordHeader - 8, chunkSize - recordHeader,
		chunkSize - recordHeader + 1, chunkSize, 3*chunkSize + 5, 30 << 20}
	for _, n := range sizes {
		for i := range 5 {
			put(t, q, s, pattern(i, n))
		}
		check(t, q, s)
		for i := range 5 {
			if !bytes.Equal(get(t, q, s), pattern(i, n)) {
				t.Fatalf("item %d of %d bytes differs", i, n)
			}
		}
	}
}

// Records that end just before, at, and just after the end of a chunk.
func TestChunkBoundary(t *testing.T) {
	for rest := range 40 {
		t.Run(fmt.Sprint(rest), func(t *testing.T) {
			q, s := newStream(t, 0)
			put(t, q, s, pattern(1, chunkSize-recordHeader-rest))
			put(t, q, s, pattern(2, 3))
			put(t, q, s, pattern(3, 30))
			for i, n := range []int{chunkSize - recordHeader - rest, 3, 30} {
				if !bytes.Equal(get(t, q, s), pattern(i+1, n)) {
					t.Errorf("item %d differs", i)
				}
			}
		})
	}
}

func TestAgainstReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maxItems := rapid.SampledFrom([]uint64{0, 0, 1, 2, 7}).Draw(t, "maxItems")
		s := new(shm.Segment)
		if err := s.Create("test", shm.KindQueue, FirstAllocation); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		Init(s, 0, 1, maxItems, 0)
		q := Of(s, 0)
		var reference [][]byte
		size := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 3*chunkSize),
			rapid.IntRange(chunkSize-40, chunkSize+8))
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				item := pattern(len(reference), size.Draw(t, "size"))
				err := q.TryPut(s, nil, record(item), now)
				if maxItems > 0 && uint64(len(reference)) == maxItems {
					if err != ErrFull {
						t.Fatalf("full, but put: %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				reference = append(reference, item)
			},
			"get": func(t *rapid.T) {
				if len(reference) == 0 {
					if _, err := q.TryGet(s, nil, now); err != ErrEmpty {
						t.Fatalf("empty, but got: %v", err)
					}
					return
				}
				buf := make([]byte, len(reference[0])+8)
				n, err := q.TryGet(s, buf, now)
				if err != nil || !bytes.Equal(buf[:n], reference[0]) {
					t.Fatalf("got %d bytes, %v", n, err)
				}
				reference = reference[1:]
			},
			"": func(t *rapid.T) {
				if q.Len() != uint64(len(reference)) {
					t.Fatalf("%d items, not %d", q.Len(), len(reference))
				}
			},
		})
	})
}

func TestTwoStreamsOfASegment(t *testing.T) {
	q, s := newStreams(t, 2, 0, 0)
	const rounds, size = 400, 50_000
	for i := range rounds {
		put(t, q[i%2], s, pattern(i, size))
	}
	for i := range rounds {
		if !bytes.Equal(get(t, q[i%2], s), pattern(i, size)) {
			t.Fatalf("item %d differs", i)
		}
	}
}

func TestMemoryIsGivenBack(t *testing.T) {
	q, s := newStream(t, 0)
	if m := memory(t, s); m > 16<<10 {
		t.Errorf("an empty stream takes %d bytes", m)
	}
	item := pattern(0, 1<<20)
	const items = 200
	for range items {
		put(t, q, s, item)
	}
	if m := memory(t, s); m < items<<20 {
		t.Errorf("%d MiB in %d bytes", items, m)
	}
	for range items {
		get(t, q, s)
	}
	if m := memory(t, s); m > (warmChunks+3)*chunkSize {
		t.Errorf("a drained stream keeps %d bytes", m)
	}
	// And the file is used again rather than made longer.
	before := q.current().fresh
	for range items / 2 {
		put(t, q, s, item)
	}
	for range items / 2 {
		get(t, q, s)
	}
	if after := q.current().fresh; after != before {
		t.Errorf("chunks up to %d, then %d", before, after)
	}
}

// An item for which there is no memory leaves no trace.
func TestNoMemory(t *testing.T) {
	if limited() {
		q, s := newStream(t, 0)
		put(t, q, s, pattern(1, 1000))
		before, taken := q.current(), memory(t, s)
		if err := q.TryPut(s, nil, record(make([]byte, 2*fileLimit)), now); !isErrno(err, unix.EFBIG) {
			t.Errorf("put without memory: %v", err)
		}
		if after := q.current(); after != before {
			t.Errorf("state was %v, is %v", before, after)
		}
		if m := memory(t, s); m > taken+chunkSize {
			t.Errorf("took %d bytes, takes %d", taken, m)
		}
		put(t, q, s, pattern(2, fileLimit/4))
		for i, n := range []int{1000, fileLimit / 4} {
			if !bytes.Equal(get(t, q, s), pattern(i+1, n)) {
				t.Errorf("item %d differs", i)
			}
		}
		return
	}
	runLimited(t)
}

func TestBoundedByBytes(t *testing.T) {
	q, s := newStreams(t, 1, 0, 1000)
	put(t, q[0], s, make([]byte, 5000)) // alone: whatever its size
	if err := q[0].TryPut(s, nil, record(nil), now); err != ErrFull || !q[0].Full() {
		t.Errorf("put into a full stream: %v", err)
	}
	get(t, q[0], s)
	for range 3 {
		put(t, q[0], s, make([]byte, 392)) // 400 bytes each
	}
	if !q[0].Full() {
		t.Error("1200 bytes of 1000, not full")
	}
}

func TestDone(t *testing.T) {
	q, s := newStream(t, 0)
	if err := q.Done(s, now); err != ErrDone {
		t.Errorf("done with nothing: %v", err)
	}
	put(t, q, s, nil)
	if err := q.Join(s, nil, now); err != unix.EAGAIN {
		t.Errorf("join with an item: %v", err)
	}
	if err := q.Done(s, now); err != nil {
		t.Error(err)
	}
	if err := q.Join(s, nil, now); err != nil {
		t.Error(err)
	}
}

// Whatever is prepared for the next state does not matter until it is committed.
func TestKilledBeforeCommit(t *testing.T) {
	q, s := newStream(t, 0)
	for i := range 100 {
		put(t, q, s, pattern(i, 10_000))
	}
	for i := range 50 {
		if !bytes.Equal(get(t, q, s), pattern(i, 10_000)) {
			t.Fatalf("item %d differs", i)
		}
	}
	// A producer writes a record of many chunks, and dies.
	v := view{q, s}
	st := q.current()
	if err := v.write(&st, make([]byte, 20*chunkSize)); err != nil {
		t.Fatal(err)
	}
	q.put[(q.putSeq.Load()+1)&1] = st
	// A consumer reads, and dies.
	q.get[(q.gets.Load()+1)&1].head.Store(12345)
	check(t, q, s)
	put(t, q, s, pattern(100, 10_000))
	for i := range 51 {
		if !bytes.Equal(get(t, q, s), pattern(50+i, 10_000)) {
			t.Fatalf("item %d differs", 50+i)
		}
	}
}

// A producer killed between commit and publish: the next one publishes for it.
func TestKilledBeforePublish(t *testing.T) {
	q, s := newStream(t, 0)
	put(t, q, s, pattern(1, 10))
	q.puts.Store(0)
	put(t, q, s, pattern(2, 10))
	for i := range 2 {
		if !bytes.Equal(get(t, q, s), pattern(i+1, 10)) {
			t.Errorf("item %d differs", i)
		}
	}
}

// Memory is given back although a producer died inside, and none is left.
func TestMemoryOfDeadProducer(t *testing.T) {
	q, s := newStream(t, 0)
	item := pattern(0, 1<<20)
	const items = 20
	for range items {
		put(t, q, s, item)
	}
	leaveLocked(t, &q.putLock)
	for range items {
		get(t, q, s)
	}
	if m := memory(t, s); m > (warmChunks+3)*chunkSize {
		t.Errorf("a drained stream keeps %d bytes", m)
	}
	put(t, q, s, item)
	get(t, q, s)
}

func TestCorruptContent(t *testing.T) {
	q, s := newStream(t, 0)
	put(t, q, s, pattern(1, 10))
	head := &q.get[0].head
	good := head.Load()
	for _, bad := range []position{at(1<<30, 0), at(1, 1<<31), at(0xffffffff, 0xffffffff)} {
		head.Store(uint64(bad))
		if _, err := q.TryGet(s, make([]byte, 100), now); !isErrno(err, unix.EUCLEAN) {
			t.Errorf("head %#x: %v", bad, err)
		}
	}
	head.Store(good)
	get(t, q, s)
}

// Rubbish may say of a stream without a ledger that it has one.
func TestLedgerThatIsNone(t *testing.T) {
	q, s := newStream(t, 0)
	if err := q.books(s).rebuild(); !isErrno(err, unix.EUCLEAN) {
		t.Errorf("rebuilt a ledger of no cells: %v", err)
	}
}

// A chain that comes back to where it was has an end all the same.
func TestCyclicChain(t *testing.T) {
	q, s := newStream(t, 0)
	v := view{q, s}
	for range 4 {
		put(t, q, s, pattern(1, chunkSize))
	}
	first := q.current().first
	second, err := v.next(first)
	if err != nil {
		t.Fatal(err)
	}
	third, err := v.next(second)
	if err != nil {
		t.Fatal(err)
	}
	l, err := v.link(second)
	if err != nil {
		t.Fatal(err)
	}
	l.next = first
	st := q.current()
	q.get[q.gets.Load()&1].head.Store(uint64(at(third, 0)))
	if err := v.collect(&st); !isErrno(err, unix.EUCLEAN) {
		t.Errorf("collected a cycle: %v", err)
	}
	l.next = third
	q.get[q.gets.Load()&1].head.Store(uint64(at(first, 0)))
}

func BenchmarkPutGet(b *testing.B) {
	for _, size := range []int{5, 1 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			q, s := newStream(b, 0)
			item, buf := pattern(0, size), make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				if err := q.TryPut(s, nil, record(item), now); err != nil {
					b.Fatal(err)
				}
				if _, err := q.TryGet(s, buf, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The memory that a segment keeps for what comes next can be given back.
func TestReclaim(t *testing.T) {
	q, s := newStream(t, 0)
	for round := range 3 {
		for i := range 1000 {
			put(t, q, s, pattern(i, 3000))
		}
		for i := range 1000 {
			if !bytes.Equal(get(t, q, s), pattern(i, 3000)) {
				t.Fatalf("round %d: item %d differs", round, i)
			}
		}
		if err := q.Put(s, nil, &Record{Buffers: [][]byte{pattern(1, 1<<20)}}, now); err != nil {
			t.Fatal(err)
		}
		receive(t, q, s)
		put(t, q, s, pattern(7, 100_000)) // stays where it is
		before := s.Memory()
		if !reclaim(s) || s.Memory() > before/8 {
			t.Errorf("round %d: %d of %d bytes are left", round, s.Memory(), before)
		}
		if reclaim(s) {
			t.Errorf("round %d: there was more", round)
		}
		check(t, q, s)
		checkExtents(t, s)
		if !bytes.Equal(get(t, q, s), pattern(7, 100_000)) {
			t.Error("an item that was there differs")
		}
	}
}
