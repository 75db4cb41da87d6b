package arena

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/process"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// objects are the offsets of what a fuzzed arena holds, of each kind one.
type objects [KindBarrier + 1]uint64

// A patch is a word that somebody wrote: the number of an object, 0 for the arena's
// header, or of a block; the word's number in it; and the word.
const patchSize = 1 + 1 + 8

func patch(where, word byte, value uint64) []byte {
	return binary.NativeEndian.AppendUint64([]byte{where, word}, value)
}

// place returns where a patch goes to.
func (o *objects) place(where, word byte) uint64 {
	switch n := int(where) % (len(o) + 2); {
	case n == 0:
		return shm.HeaderSize + 8*uint64(word)%(1024-shm.HeaderSize)
	case n < KindCondition:
		return o[n] + 8*uint64(word)%SlotSize
	case n < len(o):
		return o[n] + 8*uint64(word)%LargeSize
	default:
		return firstBlock + uint64(n-len(o))*blockSize + 8*uint64(word)%blockSize
	}
}

// spoil applies patches. A lock that a process holds which lives is not told from one
// that is said to: so there is none.
func (o *objects) spoil(t testing.TB, s *shm.Segment, patches []byte) {
	mutex := uint64(unsafe.Offsetof(Waiters{}.mutex))
	for ; len(patches) >= patchSize; patches = patches[patchSize:] {
		offset := o.place(patches[0], patches[1])
		value := binary.NativeEndian.Uint64(patches[2:])
		if offset == shm.HeaderSize || offset == o[KindCondition]+mutex || offset == o[KindBarrier]+mutex {
			owner := process.ID{PID: uint32(value) &^ (1 << 31), Start: uint32(value >> 32)}
			if owner.Alive() {
				value = 0
			}
		}
		p, err := s.At(offset, 8)
		if err != nil {
			t.Fatal(err)
		}
		atomic.StoreUint64((*uint64)(p), value)
	}
}

// populate makes an arena with an object of each kind; many wait for the condition and
// the barrier, some of them dead.
func populate(t testing.TB, s *shm.Segment) *objects {
	t.Helper()
	o := new(objects)
	for kind := uint32(KindSemaphore); kind <= KindBarrier; kind++ {
		offset, err := Alloc(s, kind, uint32(1-regionOf(kind)), 1000)
		if err != nil {
			t.Fatal(err)
		}
		o[kind] = offset
	}
	c := (*Condition)(unsafe.Pointer(At(s, o[KindCondition])))
	b := (*Barrier)(unsafe.Pointer(At(s, o[KindBarrier])))
	var dead []*Waiter
	for i := range 40 {
		e, err := c.Enter(s, 0, atOnce)
		if err != nil {
			t.Fatal(err)
		}
		f, _, _, err := b.Arrive(s, 0, true, atOnce)
		if err != nil {
			t.Fatal(err)
		}
		if i%8 == 0 {
			dead = append(dead, e, f)
		}
	}
	for _, e := range dead {
		e.die()
	}
	return o
}

// use does all that can be done with the objects.
func (o *objects) use(t testing.TB, s *shm.Segment) {
	t.Helper()
	soon := func() *futex.Limit {
		return &futex.Limit{How: futex.Sleep, Deadline: futex.Now() + 20_000}
	}
	for kind := uint32(KindSemaphore); kind <= KindBarrier; kind++ {
		if offset, err := Alloc(s, kind, 0, 1); err == nil {
			_ = Release(s, offset)
		}
		_ = Check(s, o[kind], kind)
	}
	m := (*Semaphore)(unsafe.Pointer(At(s, o[KindSemaphore])))
	e := (*Event)(unsafe.Pointer(At(s, o[KindEvent])))
	k := (*RLock)(unsafe.Pointer(At(s, o[KindRLock])))
	for range 2 {
		_ = m.Acquire(soon())
		_ = m.Release()
		_ = e.Wait(e.Word(), soon())
		e.Set()
		e.Clear()
		_ = k.Acquire(1, soon())
		_ = k.Release(1)
	}
	c := (*Condition)(unsafe.Pointer(At(s, o[KindCondition])))
	if w, err := c.Enter(s, 0, soon()); err == nil {
		_ = c.Wait(s, w, soon())
		_, _ = c.Notify(s, 3, soon())
		_, _ = c.Leave(s, w, true)
	}
	c.look(s)
	_, _ = c.Waiting(s)
	_, _ = c.Notify(s, 1<<62, soon())

	b := (*Barrier)(unsafe.Pointer(At(s, o[KindBarrier])))
	for _, end := range []func(w *Waiter) error{
		func(w *Waiter) error { return b.Withdraw(s, w) },
		func(w *Waiter) error { _, err := b.TimeOut(s, w); return err },
		func(w *Waiter) error { return b.Finish(s, w, true) },
		func(w *Waiter) error { return b.Reset(s, soon()) },
		func(w *Waiter) error { return b.Abort(s, soon()) },
	} {
		if w, _, _, err := b.Arrive(s, 0, true, soon()); err == nil && w != nil {
			_, _ = b.Wait(s, w, soon())
			_ = end(w)
		}
		b.look(s)
		_ = b.Reset(s, soon())
	}
	_, _ = b.Waiting(s)
	for _, offset := range o[KindSemaphore:] {
		_ = Release(s, offset)
	}
}

// Whatever words somebody wrote into an arena, calls return in time, touch nothing
// beside it, and take no memory to speak of.
func FuzzContent(f *testing.F) {
	next := byte(unsafe.Offsetof(Waiters{}.next) / 8)
	f.Add([]byte{})
	for _, v := range []uint64{0, 1, 2, 3, 7, 1 << 31, firstBlock, firstBlock + 8, 1<<47 - blockSize, 1<<64 - 1} {
		for word := range byte(16) {
			f.Add(patch(0, word, v))
		}
		for object := byte(KindSemaphore); object <= KindBarrier; object++ {
			for word := range byte(20) {
				f.Add(patch(object, word, v))
			}
		}
		f.Add(append(patch(KindBarrier+1, 0, v), patch(KindBarrier+2, 0, v)...))
	}
	// Blocks that follow themselves, and each other, and those of two objects.
	f.Add(append(patch(KindCondition, next, firstBlock), patch(KindBarrier+1, 0, firstBlock)...))
	f.Add(append(patch(KindBarrier+1, 0, firstBlock+blockSize), patch(KindBarrier+2, 0, firstBlock)...))
	f.Add(append(patch(KindCondition, next, firstBlock), patch(KindBarrier, next, firstBlock)...))
	f.Fuzz(func(t *testing.T, patches []byte) {
		timer := time.AfterFunc(20*time.Second, func() {
			buf := make([]byte, 1<<16)
			panic(fmt.Sprintf("hangs with %x\n%s", patches, buf[:runtime.Stack(buf, true)]))
		})
		defer timer.Stop()
		s := new(shm.Segment)
		if err := Create(s); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		o := populate(t, s)
		o.spoil(t, s, patches)

		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		o.use(t, s)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
			t.Errorf("allocated %d bytes", n)
		}
		if n := s.Memory(); n > 1<<20 {
			t.Errorf("the arena takes %d bytes", n)
		}
	})
}
