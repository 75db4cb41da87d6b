package stream

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/process"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// A patch is a word that somebody wrote into a segment: the number of a region, the
// word's number in it, and the word.
const patchSize = 1 + 2 + 8

// regions of a segment that have a meaning, and how long they are.
var regions = []struct{ offset, size uint64 }{
	{shm.HeaderSize, linkOffset - shm.HeaderSize},         // streams, pool
	{linkOffset, window0Chunks * linkSize},                // links of window 0
	{window0Chunks * chunkSize, window0Chunks * linkSize}, // of window 1, descriptors
	{chunkSize, chunkSize},                                // records
	{2 * chunkSize, chunkSize},
	{firstCell * cellSize, chunkSize - firstCell*cellSize}, // cells
}

// lockOffsets are where futex.Mutexes lie.
var lockOffsets = []uint64{
	shm.HeaderSize + uint64(unsafe.Offsetof(Stream{}.putLock)),
	shm.HeaderSize + uint64(unsafe.Offsetof(Stream{}.getLock)),
	shm.HeaderSize + uint64(unsafe.Offsetof(Stream{}.Doorbell)),
	Size + shm.HeaderSize + uint64(unsafe.Offsetof(Stream{}.putLock)),
	Size + shm.HeaderSize + uint64(unsafe.Offsetof(Stream{}.getLock)),
	Size + shm.HeaderSize + uint64(unsafe.Offsetof(Stream{}.Doorbell)),
	poolOffset + uint64(unsafe.Offsetof(Pool{}.lock)),
}

func patch(region byte, word uint16, value uint64) []byte {
	b := binary.NativeEndian.AppendUint16([]byte{region}, word)
	return binary.NativeEndian.AppendUint64(b, value)
}

// inStream and inPool return the number of the word at an offset of the first stream,
// and of the pool, in the first region.
func inStream(offset uintptr) uint16 { return uint16(offset / 8) }
func inPool(offset uintptr) uint16   { return uint16((maxStreams*Size + offset) / 8) }

// spoil applies patches. A lock that a process holds which lives is not told from one
// that is said to: so there is none.
func spoil(s *shm.Segment, patches []byte) {
	for ; len(patches) >= patchSize; patches = patches[patchSize:] {
		r := regions[int(patches[0])%len(regions)]
		offset := r.offset + 8*uint64(binary.NativeEndian.Uint16(patches[1:]))%r.size
		p, err := s.At(offset, 8)
		if err != nil {
			continue // there is no memory yet
		}
		value := binary.NativeEndian.Uint64(patches[3:])
		for _, lock := range lockOffsets {
			owner := process.ID{PID: uint32(value) &^ (1 << 31), Start: uint32(value >> 32)}
			if offset == lock && owner.Alive() {
				value = 0
			}
		}
		atomic.StoreUint64((*uint64)(p), value)
	}
}

// populate brings a segment to a state in which everything occurs.
func populate(t testing.TB, q *Stream, s *shm.Segment) {
	t.Helper()
	for range 100 {
		put(t, q, s, make([]byte, 5000))
	}
	for range 90 {
		get(t, q, s)
	}
	for range 3 {
		if err := q.Put(s, nil, record(make([]byte, largeItem)), now); err != nil {
			t.Fatal(err)
		}
	}
	buffers := Record{Parts: [3][]byte{{1}}, Buffers: [][]byte{make([]byte, 1000), make([]byte, 10)}}
	if err := q.Put(s, nil, &buffers, now); err != nil {
		t.Fatal(err)
	}
	for range 11 { // the last one is large: its extent is free
		get(t, q, s)
	}
}

// use does all that can be done with a stream.
func use(t testing.TB, q *Stream, s *shm.Segment) {
	t.Helper()
	soon := func() *futex.Limit {
		return &futex.Limit{How: futex.Block, Deadline: futex.Now() + 20_000}
	}
	small := make([]byte, 100)
	room := make([]byte, 64<<10)
	for range 2 {
		for _, n := range []int{0, 100, 9000, 200_000, largeItem} {
			_ = q.Put(s, nil, record(make([]byte, n)), soon())
		}
		_ = q.Put(s, nil, &Record{Buffers: [][]byte{small, room}}, soon())
		_ = q.TryPut(s, nil, record(small), &futex.Limit{})
		_, _, _ = q.PutMany(s, nil, Batch{}.Append(small).Append(room).Append(nil), soon())

		long, err := q.TryGet(s, small, &futex.Limit{})
		if err == ErrTooLong {
			_, _ = q.Get(s, make([]byte, long), soon())
		}
		r, err := q.Receive(s, small, soon())
		buf := small
		if err == ErrTooLong {
			buf = make([]byte, r.Len)
			r, err = q.Receive(s, buf, soon())
		}
		if err == nil {
			for i := range r.Refs {
				ref := DecodeRef(buf[i*refSize:])
				if b, err := ExtentsOf(s).Bytes(ref); err == nil && len(b) > 0 {
					b[0], b[len(b)-1] = 1, 2
				}
				ExtentsOf(s).Release(ref)
			}
		}
		if n, size, err := q.GetMany(s, room, 50, soon()); err == nil {
			b := Batch(room[:size])
			for range n {
				if _, b, err = b.Next(); err != nil {
					t.Errorf("%d items in %d bytes: %v", n, size, err)
				}
			}
		}
		_ = q.Done(s, soon())
		_, _, _, _ = q.Len(), q.Full(), q.Unfinished(), q.MaxItems()
		_ = q.Join(s, nil, soon())
		_ = q.AwaitItem(s, soon())
	}
	_ = q.Shutdown(s, nil, false, soon())
	_ = q.Shutdown(s, nil, true, soon())
	ExtentsOf(s).RecoverLost()
}

// watchdog ends the program if a test takes longer than anything but a loop without
// end: no deadline of the testing package's ends a fuzzing worker.
func watchdog(t testing.TB, content []byte) {
	timer := time.AfterFunc(20*time.Second, func() {
		buf := make([]byte, 1<<16)
		panic(fmt.Sprintf("hangs with %x\n%s", content, buf[:runtime.Stack(buf, true)]))
	})
	t.Cleanup(func() { timer.Stop() })
}

// frugally makes sure that work takes no memory to speak of.
func frugally(t testing.TB, s *shm.Segment, work func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("allocated %d bytes", n)
	}
	if n := s.Memory(); n > 64<<20 {
		t.Errorf("the segment takes %d bytes", n)
	}
}

// whileSpoilt works while another goroutine applies patches, and closes the segment.
func whileSpoilt(t testing.TB, s *shm.Segment, patches func() []byte, work func()) {
	t.Helper()
	var stop atomic.Bool
	var spoiler sync.WaitGroup
	spoiler.Go(func() {
		for !stop.Load() {
			spoil(s, patches())
		}
	})
	watchdog(t, nil)
	work()
	stop.Store(true)
	spoiler.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Whatever words somebody wrote into the segment, calls return in time, touch nothing
// beside the segment, and take no memory to speak of.
func FuzzContent(f *testing.F) {
	for _, seed := range seeds() {
		f.Add(false, seed)
		f.Add(true, seed)
	}
	f.Fuzz(func(t *testing.T, pipe bool, patches []byte) {
		watchdog(t, patches)
		s := new(shm.Segment)
		if err := s.Create("fuzz", shm.KindQueue, FirstAllocation); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if pipe {
			Init(s, 0, 2, 0, 1<<20)
			Init(s, 1, 2, 0, 1<<20)
		} else {
			Init(s, 0, 1, 200, 0)
		}
		q := Of(s, 0)
		populate(t, q, s)
		spoil(s, patches)

		frugally(t, s, func() { use(t, q, s) })
	})
}

// seeds are what once did harm, and what might.
func seeds() (all [][]byte) {
	var q Stream
	var x Pool
	one := func(region byte, word uint16, value uint64) {
		all = append(all, patch(region, word, value))
	}
	values := []uint64{0, 1, 1 << 31, 1<<48 + 1, 1<<64 - 1}
	putStates := []uintptr{unsafe.Offsetof(q.put), unsafe.Offsetof(q.put) + unsafe.Sizeof(q.put[0])}
	getStates := []uintptr{unsafe.Offsetof(q.get), unsafe.Offsetof(q.get) + unsafe.Sizeof(q.get[0])}
	for _, v := range values {
		one(0, inStream(unsafe.Offsetof(q.maxItems)), v)
		one(0, inStream(unsafe.Offsetof(q.maxBytes)), v)
		one(0, inStream(unsafe.Offsetof(q.stride)), v)
		one(0, inStream(unsafe.Offsetof(q.puts)), v)
		one(0, inStream(unsafe.Offsetof(q.putSeq)), v)
		one(0, inStream(unsafe.Offsetof(q.putFlags)), v)
		one(0, inStream(unsafe.Offsetof(q.gets)), v)
		one(0, inStream(unsafe.Offsetof(q.seen)), v)
		one(0, inStream(unsafe.Offsetof(q.done)), v)
		one(0, inPool(unsafe.Offsetof(x.fresh)), v)
		one(0, inPool(unsafe.Offsetof(x.low)), v)
		one(0, inPool(unsafe.Offsetof(x.kept)), v)
		one(0, inPool(unsafe.Offsetof(x.warm)+4*minClass), v)
		one(0, inPool(unsafe.Offsetof(x.cold)+4*minClass), v)
		for word := range uintptr(8) { // of either state
			for _, state := range putStates {
				one(0, inStream(state+8*word), v)
			}
			for _, state := range getStates {
				one(0, inStream(state+8*word%32), v)
			}
		}
		for word := range uint16(window0Chunks) {
			one(1, word, v)
			one(2, word, v)
		}
		for word := range uint16(4) {
			one(3, word*626, v) // records of 5,000 bytes
		}
	}
	// All chunks follow themselves; all stand on stacks below themselves.
	var circles []byte
	for c := range uint16(window0Chunks) {
		circles = append(circles, patch(1, c, uint64(c)<<32|uint64(c))...)
	}
	all = append(all, circles)
	// A state of which the counts say something else than puts does.
	all = append(all, append(patch(0, inStream(putStates[0]), 1<<40), patch(0, inStream(putStates[1]), 1<<40)...))
	// A chunk that is not there, in steps of 0; a record that is longer than all memory.
	steps := patch(0, inStream(unsafe.Offsetof(q.stride)), 1<<32)
	long := patch(3, 0, 1<<40)
	for i := range putStates {
		steps = append(steps, patch(0, inStream(putStates[i]+unsafe.Offsetof(q.put[0].fresh)), window0Chunks)...)
		steps = append(steps, patch(0, inStream(putStates[i]+unsafe.Offsetof(q.put[0].warms)), 0)...)
		long = append(long, patch(0, inStream(putStates[i]+unsafe.Offsetof(q.put[0].bytes)), 1<<62)...)
		long = append(long, patch(0, inStream(getStates[i]+unsafe.Offsetof(q.get[0].head)), uint64(at(1, 0)))...)
	}
	all = append(all, steps, long)
	// Extents beyond all memory, in a file that is long enough.
	for _, fresh := range []uint64{1 << 22, 1 << 28, 1 << 30} {
		all = append(all, append(patch(0, inPool(unsafe.Offsetof(x.fresh)), fresh),
			patch(0, inPool(unsafe.Offsetof(x.warm)+4*minClass), 0)...))
	}
	return all
}

// Somebody who writes rubbish all the time does no more harm. Locks and what a
// process learns under them are left alone: two who think that they have a lock may
// wait for each other.
func TestRubbishAllTheTime(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 5
	}
	all := seeds()
	for range rounds {
		s := new(shm.Segment)
		if err := s.Create("rubbish", shm.KindQueue, FirstAllocation); err != nil {
			t.Fatal(err)
		}
		Init(s, 0, 1, 200, 0)
		q := Of(s, 0)
		populate(t, q, s)
		whileSpoilt(t, s, func() []byte { return all[rand.N(len(all))] }, func() { use(t, q, s) })
	}
}
