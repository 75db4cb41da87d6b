package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// receive takes the oldest item with its buffers, which it releases.
func receive(t testing.TB, q *Stream, s *shm.Segment) (data []byte, buffers [][]byte) {
	t.Helper()
	r, err := q.TryReceive(s, nil, now)
	var buf []byte
	if err == ErrTooLong {
		buf = make([]byte, r.Len)
		r, err = q.TryReceive(s, buf, now)
	}
	if err != nil || r.Len != len(buf) {
		t.Fatalf("receiving: %+v, %v", r, err)
	}
	x := ExtentsOf(s)
	for range r.Refs {
		ref := DecodeRef(buf)
		b, err := x.Bytes(ref)
		if err != nil {
			t.Fatal(err)
		}
		buffers = append(buffers, bytes.Clone(b))
		x.Release(ref)
		buf = buf[refSize:]
	}
	if r.Whole {
		return buffers[0], nil
	}
	return buf, buffers
}

func TestLargeItems(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		qs, s := newStreams(t, uint32(rapid.IntRange(1, 2).Draw(r, "streams")), 0, 0)
		type sent struct {
			data    []byte
			buffers [][]byte
		}
		waiting := make([][]sent, len(qs))
		size := rapid.IntRange(0, 4*largeItem)
		for range rapid.IntRange(1, 40).Draw(r, "steps") {
			i := rapid.IntRange(0, len(qs)-1).Draw(r, "stream")
			q := qs[i]
			if len(waiting[i]) > 0 && rapid.Bool().Draw(r, "get") {
				want := waiting[i][0]
				waiting[i] = waiting[i][1:]
				data, buffers := receive(t, q, s)
				if !bytes.Equal(data, want.data) || len(buffers) != len(want.buffers) {
					r.Fatalf("received %d bytes, %d buffers; want %d, %d", len(data), len(buffers), len(want.data), len(want.buffers))
				}
				for k := range buffers {
					if !bytes.Equal(buffers[k], want.buffers[k]) {
						r.Fatalf("buffer %d differs", k)
					}
				}
				continue
			}
			item := sent{data: pattern(rapid.IntRange(0, 255).Draw(r, "seed"), size.Draw(r, "size"))}
			cut := rapid.IntRange(0, len(item.data)).Draw(r, "cut")
			record := &Record{Parts: [3][]byte{item.data[:cut], nil, item.data[cut:]}}
			for k := range rapid.IntRange(0, 10).Draw(r, "buffers") {
				item.buffers = append(item.buffers, pattern(k, size.Draw(r, "size")/8))
			}
			record.Buffers = item.buffers
			if err := q.Put(s, nil, record, now); err != nil {
				r.Fatal(err)
			}
			waiting[i] = append(waiting[i], item)
		}
		checkExtents(t, s)
	})
}

func TestGetCopiesLargeItems(t *testing.T) {
	q, s := newStream(t, 0)
	item := pattern(1, 5*largeItem)
	if err := q.Put(s, nil, record(item), now); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(get(t, q, s), item) {
		t.Error("the item differs")
	}
	if err := q.Put(s, nil, &Record{Buffers: [][]byte{item}}, now); err != nil {
		t.Fatal(err)
	}
	if _, err := q.TryGet(s, make([]byte, 10*largeItem), now); err != ErrBuffers {
		t.Errorf("getting an item with buffers: %v", err)
	}
	if _, buffers := receive(t, q, s); !bytes.Equal(buffers[0], item) {
		t.Error("the buffer differs")
	}
	if owned := checkExtents(t, s); owned != 0 {
		t.Errorf("%d extents are owned", owned)
	}
}

// The descriptors that are looked at have memory, so that looking cannot fail.
func TestDescriptorsHaveMemory(t *testing.T) {
	q, s := newStream(t, 0)
	if err := q.Put(s, nil, record(make([]byte, 20<<20)), now); err != nil {
		t.Fatal(err)
	}
	before := memory(t, s)
	ExtentsOf(s).RecoverLost()
	if after := memory(t, s); after != before {
		t.Errorf("looking at them took %d bytes", after-before)
	}
}

func TestExtentsAreUsedAgain(t *testing.T) {
	q, s := newStream(t, 0)
	for range 50 {
		if err := q.Put(s, nil, record(make([]byte, 10<<20)), now); err != nil {
			t.Fatal(err)
		}
		receive(t, q, s)
	}
	if n := memory(t, s); n > 11<<20 {
		t.Errorf("%d bytes for one item of 10 MiB at a time", n)
	}
}

func TestMemoryOfExtentsIsGivenBack(t *testing.T) {
	q, s := newStream(t, 0)
	for range 100 {
		if err := q.Put(s, nil, record(make([]byte, 1<<20)), now); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 {
		receive(t, q, s)
	}
	if n := memory(t, s); n > minKept+1<<20 {
		t.Errorf("%d bytes are left of 100 MiB", n)
	}
	if err := q.Put(s, nil, record(make([]byte, 100<<20)), now); err != nil {
		t.Fatal(err)
	}
	receive(t, q, s)
	for range 500 {
		if err := q.Put(s, nil, record(make([]byte, largeItem)), now); err != nil {
			t.Fatal(err)
		}
		receive(t, q, s)
	}
	if n := memory(t, s); n > minKept+1<<20 {
		t.Errorf("%d bytes are left of an item of 100 MiB, 500 items later", n)
	}
}

func TestNoMemoryForAnExtent(t *testing.T) {
	if !limited() {
		runLimited(t)
		return
	}
	q, s := newStream(t, 0)
	// The extents of this size lie in a window that the limit cuts.
	item := record(make([]byte, 4<<20))
	if err := q.Put(s, nil, item, now); !isErrno(err, unix.EFBIG) {
		t.Errorf("an extent beyond the limit: %v", err)
	}
	if owned := checkExtents(t, s); owned != 0 {
		t.Errorf("%d extents are owned", owned)
	}
	put(t, q, s, []byte("small"))
	get(t, q, s)
	// Nor does it take the room from others.
	for range 3 {
		if err := q.Put(s, nil, record(make([]byte, largeItem)), now); err != nil {
			t.Error(err)
		}
	}
	for range 3 {
		get(t, q, s)
	}
	if err := q.Put(s, nil, record(make([]byte, 2<<20+1)), now); err != nil {
		t.Error(err)
	}
	get(t, q, s)
	before := memory(t, s)
	if err := q.Put(s, nil, item, now); !isErrno(err, unix.EFBIG) {
		t.Errorf("an extent that was not too long is: %v", err)
	}
	if after := memory(t, s); after > before {
		t.Errorf("an item that was not put took %d bytes", after-before)
	}
	checkExtents(t, s)
}

func TestPutThatFailsReleasesItsExtents(t *testing.T) {
	q, s := newStream(t, 1)
	if err := q.Put(s, nil, record(make([]byte, largeItem)), now); err != nil {
		t.Fatal(err)
	}
	if err := q.Put(s, nil, record(make([]byte, largeItem)), now); err != ErrFull {
		t.Fatal(err)
	}
	if owned := checkExtents(t, s); owned != 1 {
		t.Errorf("%d extents are owned by one item", owned)
	}
	if err := q.Shutdown(s, nil, true, now); err != nil {
		t.Fatal(err)
	}
	if err := q.Put(s, nil, record(make([]byte, largeItem)), now); err != ErrShut {
		t.Fatal(err)
	}
	if owned := checkExtents(t, s); owned != 0 {
		t.Errorf("%d extents are owned after an immediate shutdown", owned)
	}
}

// deadProcess is the ID of a process that has ended, as an owner.
func deadProcess(t testing.TB) uint64 {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return uint64(cmd.Process.Pid) | 1<<32
}

// What a process leaves behind that is killed at each step of an extent's way.
func TestLostExtents(t *testing.T) {
	q, s := newStream(t, 0)
	x := ExtentsOf(s)
	dead := deadProcess(t)
	take := func() (*extent, Ref) {
		ref, err := x.Take(largeItem, now)
		if err != nil {
			t.Fatal(err)
		}
		e, err := x.find(ref)
		if err != nil {
			t.Fatal(err)
		}
		return e, ref
	}
	owned := func(want int, when string) {
		t.Helper()
		x.RecoverLost()
		if n := checkExtents(t, s); n != want {
			t.Errorf("%s: %d extents are owned, want %d", when, n, want)
		}
	}

	e, _ := take()
	owned(1, "being filled")
	e.owner.Store(dead)
	owned(0, "killed while it filled one")

	e, _ = take()
	e.item.Store(q.puts.Load())
	e.owner.Store(dead)
	owned(1, "killed as it put its item")
	_, ref := take()
	if err := x.enqueue([]Ref{ref}, q.puts.Load()); err != nil {
		t.Fatal(err)
	}
	owned(2, "killed before it committed its item")
	put(t, q, s, nil)
	owned(2, "another item has the number")
	receive(t, q, s)
	owned(0, "that was got")

	if err := q.Put(s, nil, record(pattern(1, largeItem)), now); err != nil {
		t.Fatal(err)
	}
	owned(1, "on its way")
	var buf [refSize]byte
	v := view{q, s}
	before := position(q.get[q.gets.Load()&1].head.Load())
	head := before + recordHeader
	if _, _, err := v.takeExtents(&head, 8+refSize, true, buf[:], nil); err != nil {
		t.Fatal(err)
	}
	e, err := x.find(DecodeRef(buf[:]))
	if err != nil {
		t.Fatal(err)
	}
	e.owner.Store(dead)
	owned(1, "killed before it committed that it got the item")
	r, err := q.TryReceive(s, buf[:], now)
	if err != nil || r.Refs != 1 {
		t.Fatal(r, err)
	}
	owned(1, "in use")
	if b, err := x.Bytes(DecodeRef(buf[:])); err != nil || !bytes.Equal(b, pattern(1, largeItem)) {
		t.Error("the item differs", err)
	}
	e.owner.Store(dead)
	owned(0, "killed while it used the item")
}

// A process that is killed while it allocates or discards memory leaves some that
// ready does not tell of.
func TestMemoryOfLostExtents(t *testing.T) {
	_, s := newStream(t, 0)
	x := ExtentsOf(s)
	for range 3 {
		ref, err := x.Take(10<<20, now)
		if err != nil {
			t.Fatal(err)
		}
		e, err := x.find(ref)
		if err != nil {
			t.Fatal(err)
		}
		e.ready.Store(1 << 20)
		e.owner.Store(deadProcess(t))
	}
	x.RecoverLost()
	if m := memory(t, s); m > 4<<20 {
		t.Errorf("free extents take %d bytes of memory", m)
	}
	checkExtents(t, s)
}

// Lost extents are looked for before they take much more memory than the others,
// also after many were in use at once.
func TestLostExtentsAreLookedFor(t *testing.T) {
	_, s := newStream(t, 0)
	x := ExtentsOf(s)
	for range 2 {
		for range 30 {
			ref, err := x.Take(10<<20, now)
			if err != nil {
				t.Fatal(err)
			}
			e, err := x.find(ref)
			if err != nil {
				t.Fatal(err)
			}
			e.owner.Store(deadProcess(t))
			if m := memory(t, s); m > 50<<20 {
				t.Fatalf("%d bytes of memory for nothing", m)
			}
		}
		var refs []Ref
		for range 200 {
			ref, err := x.Take(1, now)
			if err != nil {
				t.Fatal(err)
			}
			refs = append(refs, ref)
		}
		for _, ref := range refs {
			x.Release(ref)
		}
	}
	checkExtents(t, s)
}

// A process that cannot map what it looks for leaves that to the next one.
func TestRecoveryThatFails(t *testing.T) {
	_, s := newStream(t, 0)
	x := ExtentsOf(s)
	var refs []Ref
	for range 20 {
		ref, err := x.Take(largeItem, now)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	for _, ref := range refs[:10] {
		x.Release(ref)
	}
	other := new(shm.Segment)
	fd, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Open(fd, shm.KindQueue); err != nil {
		t.Fatal(err)
	}
	other.FD = -1
	if err := ExtentsOf(other).recover(); err == nil {
		t.Error("nothing failed")
	}
	other.FD = int32(fd)
	if err := other.Close(); err != nil {
		t.Error(err)
	}

	if _, err := x.Take(10<<20, now); err != nil {
		t.Fatal(err)
	}
	if owned := checkExtents(t, s); owned != 11 {
		t.Errorf("%d extents are owned, want 11", owned)
	}
}

func TestStacksAreBuiltAnew(t *testing.T) {
	q, s := newStream(t, 0)
	x := ExtentsOf(s)
	var refs []Ref
	for i := range 20 {
		ref, err := x.Take(largeItem<<(i%3), now)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	for _, ref := range refs[:10] {
		x.Release(ref)
	}
	// A process was killed while it took one.
	if _, err := x.p.lock.Lock(now); err != nil {
		t.Fatal(err)
	}
	c, e, err := x.pop(&x.p.warm, minClass)
	if err != nil || e == nil {
		t.Fatal(c, e, err)
	}
	x.p.warm[minClass] = 12345
	atomic.StoreUint64((*uint64)(unsafe.Pointer(&x.p.lock)), deadProcess(t))
	if _, err := x.Take(largeItem, &futex.Limit{How: futex.Block, Deadline: futex.Forever}); err != nil {
		t.Fatal(err)
	}
	if owned := checkExtents(t, s); owned != 11 {
		t.Errorf("%d extents are owned, want 11", owned)
	}
	put(t, q, s, nil)
}

// No reference makes a reader leave the segment.
func TestCorruptReferences(t *testing.T) {
	q, s := newStream(t, 0)
	if err := q.Put(s, nil, record(make([]byte, largeItem)), now); err != nil {
		t.Fatal(err)
	}
	x := ExtentsOf(s)
	good := Ref{uint64(place0(t)) * chunkSize, largeItem}
	if _, err := x.Bytes(good); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []Ref{
		{0, 1}, {good.Offset + 1, 1}, {good.Offset + chunkSize, 1}, {good.Offset, 1 << 40},
		{good.Offset, 1<<64 - 1}, {1 << 63, 1}, {good.Offset / 2, 1}, {good.Offset + 4*chunkSize, 1},
	} {
		if b, err := x.Bytes(bad); !errors.Is(err, shm.ErrBounds) {
			t.Errorf("%+v: %d bytes, %v", bad, len(b), err)
		}
	}
	receive(t, q, s)
}

// However long the buffer is that a reader offers next, it would be too short.
func TestCorruptRecordOfAnExtent(t *testing.T) {
	q, s := newStream(t, 0)
	if err := q.Put(s, nil, record(make([]byte, largeItem)), now); err != nil {
		t.Fatal(err)
	}
	v := view{q, s}
	header, err := v.chunk(q.base, 0, recordHeader)
	if err != nil {
		t.Fatal(err)
	}
	good := binary.NativeEndian.Uint64(header)
	binary.NativeEndian.PutUint64(header, good+8)
	for _, n := range []int{0, 24, largeItem} {
		if _, err := q.TryGet(s, make([]byte, n), now); !errors.Is(err, shm.ErrBounds) {
			t.Errorf("getting into %d bytes: %v", n, err)
		}
	}
	binary.NativeEndian.PutUint64(header, good)
	receive(t, q, s)
}

func place0(t testing.TB) uint32 {
	t.Helper()
	c, ok := place(0, minClass)
	if !ok {
		t.Fatal("no place")
	}
	return c
}

func TestPlace(t *testing.T) {
	fresh := uint32(0)
	rapid.Check(t, func(r *rapid.T) {
		class := uint32(rapid.IntRange(minClass, 12).Draw(r, "class"))
		c, ok := place(fresh, class)
		start := windowStart(c)
		if !ok || c < fresh || c%(1<<class) != 0 || c < start+start/2 || c+1<<class > 2*start {
			r.Fatalf("class %d after %d at %d, %t", class, fresh, c, ok)
		}
		if c < 1<<24 {
			fresh = c + 1<<class
		}
	})
	if c, ok := place(0, numClasses-1); !ok || c != 3<<(numClasses-1) {
		t.Errorf("the largest class at %d, %t", c, ok)
	}
	if c, ok := place(maxChunks-4, minClass+1); ok {
		t.Errorf("beyond the end at %d", c)
	}
}

// Whatever the stacks of a corrupt segment say, nobody is caught in them.
func TestCorruptStacks(t *testing.T) {
	const size = 4 * chunkSize << 4
	for name, corrupt := range map[string]func(x Extents, c uint32, e *extent){
		"class beyond the last": func(x Extents, c uint32, e *extent) { e.class.Store(77) },
		"class of another":      func(x Extents, c uint32, e *extent) { e.class.Store(minClass) },
		"cycle": func(x Extents, c uint32, e *extent) {
			e.free = c
			x.p.cold[classOf(size)] = c
		},
		"top beyond the end": func(x Extents, c uint32, e *extent) { x.p.warm[classOf(size)] = 1 << 31 },
		"top of a stream":    func(x Extents, c uint32, e *extent) { x.p.warm[classOf(size)] = 17 },
		"in use":             func(x Extents, c uint32, e *extent) { e.owner.Store(queued) },
	} {
		t.Run(name, func(t *testing.T) {
			_, s := newStream(t, 0)
			x := ExtentsOf(s)
			var refs [2]Ref
			for i := range refs {
				var err error
				if refs[i], err = x.Take(size, now); err != nil {
					t.Fatal(err)
				}
			}
			other, err := x.Take(1, now)
			if err != nil {
				t.Fatal(err)
			}
			x.Release(refs[0])
			e, err := x.find(refs[0])
			if err != nil {
				t.Fatal(err)
			}
			corrupt(x, uint32(refs[0].Offset/chunkSize), e)
			x.p.kept = 1 << 62
			x.Release(other)
			for range 3 {
				if _, err := x.Take(size, now); err != nil && !errors.Is(err, shm.ErrBounds) {
					t.Error(err)
				}
			}
			x.RecoverLost()
			x.Release(refs[1])
		})
	}
}

// A wake-up is for one of those who wait for room. If there is room for more when a
// large item has been put, it is passed on.
func TestPutOfALargeItemWakesTheNext(t *testing.T) {
	q, s := newStream(t, 2)
	small := Batch{}.Append(nil).Append(nil)
	if _, _, err := q.PutMany(s, nil, small, now); err != nil {
		t.Fatal(err)
	}
	waiting := (*atomic.Uint32)(unsafe.Pointer(&q.nonFull))
	put := make(chan error)
	go func() {
		put <- q.Put(s, nil, record(make([]byte, largeItem)), &futex.Limit{How: futex.Sleep, Deadline: futex.Forever})
	}()
	for waiting.Load()&1 == 0 {
		time.Sleep(time.Millisecond)
	}
	if n, _, err := q.GetMany(s, make([]byte, 16), 2, now); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	if err := <-put; err != nil {
		t.Fatal(err)
	}
	if waiting.Load()&1 != 0 {
		t.Error("others who wait are not woken")
	}
}
