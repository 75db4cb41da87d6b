package core

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/process"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"github.com/goprocessing/goprocessing/core/internal/stream"
	"golang.org/x/sys/unix"
)

// A patch is a word that somebody wrote into the first page of a segment, behind its
// header: its number and the word. What lies deeper is core/internal's to fuzz.
const patchSize = 2 + 8

func patch(word uint16, value uint64) []byte {
	return binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint16(nil, word), value)
}

// spoil applies patches. A word by which a process that lives would hold a lock is left
// out: it could not be told from one that does.
func spoil(s *Segment, patches []byte) {
	const words = (4096 - shm.HeaderSize) / 8
	for ; len(patches) >= patchSize; patches = patches[patchSize:] {
		word := binary.NativeEndian.Uint16(patches) % words
		value := binary.NativeEndian.Uint64(patches[2:])
		owner := process.ID{PID: uint32(value) &^ (1 << 31), Start: uint32(value >> 32)}
		if owner.PID != 0 && owner.Alive() {
			continue
		}
		atomic.StoreUint64((*uint64)(unsafe.Add(s.Base(), shm.HeaderSize+8*uintptr(word))), value)
	}
}

// bounded fails the test if f allocates much, and ends the program if f does not return.
func bounded(t testing.TB, content []byte, f func()) {
	t.Helper()
	timer := time.AfterFunc(20*time.Second, func() {
		buf := make([]byte, 1<<16)
		panic(fmt.Sprintf("hangs with %x\n%s", content, buf[:runtime.Stack(buf, true)]))
	})
	defer timer.Stop()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
		t.Errorf("allocated %d bytes", n)
	}
}

func addSeeds(f *testing.F, add func(patches []byte)) {
	f.Helper()
	add(nil)
	for _, v := range []uint64{0, 1 << 40, 1<<64 - 1} {
		for word := range uint16(2 * stream.Size / 8) {
			if word%96 < 8 || word%96 >= 64 && word%4 != 0 {
				continue // padding, for the most part
			}
			add(patch(word, v))
		}
	}
}

// Whatever somebody wrote into a queue's memory, its methods return in time.
func FuzzQueue(f *testing.F) {
	addSeeds(f, func(patches []byte) { f.Add(patches) })
	f.Fuzz(func(t *testing.T, patches []byte) {
		q, err := NewJoinableQueue(MaxItems(20))
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		if _, err := q.Watch(); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 10, 1000, 100_000, 300_000, 10} {
			if err := q.TryPut(make([]byte, n)); err != nil {
				t.Fatal(err)
			}
		}
		spoil(&q.s, patches)
		bounded(t, patches, func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			for range 2 {
				_, _ = q.TryGet()
				_, _ = q.Get(ctx)
				_, _ = q.GetMany(ctx, 3)
				_ = q.TryPut(make([]byte, 300_000))
				_ = q.Put(ctx, []byte("item"))
				_, _ = q.PutMany(ctx, [][]byte{nil, make([]byte, 100), make([]byte, 10_000)})
				_, _, _ = q.Len(), q.Full(), q.MaxItems()
				_, _ = q.TaskDone(), q.Unfinished()
				_ = q.Join(ctx)
			}
			_ = q.Shutdown(true)
		})
	})
}

// The same for a pipe, whose other end may also write what it likes to the socket.
func FuzzConn(f *testing.F) {
	for _, bytes := range []string{"", "\xff", "\xff\xff", "x", "x\xffy"} {
		f.Add([]byte(nil), []byte(bytes))
	}
	addSeeds(f, func(patches []byte) { f.Add(patches, []byte("\xff")) })
	f.Fuzz(func(t *testing.T, patches, bytes []byte) {
		a, b, err := Pipe(true)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		defer b.Close()
		for _, n := range []int{0, 10, 1000, 100_000, 300_000, 10} {
			if err := a.SendWithin(make([]byte, n), atOnce()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := unix.SendmsgN(int(a.sock), bytes, nil, nil, unix.MSG_DONTWAIT); err != nil {
			t.Skip(err) // no room
		}
		spoil(&a.s, patches)
		bounded(t, patches, func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			for range 2 {
				_, _ = b.Recv(ctx)
				_ = b.PollWithin(within(ctx))
				_ = b.Send(ctx, make([]byte, 300_000))
				_, _ = a.Recv(ctx)
				_ = a.Send(ctx, make([]byte, 100_000))
				_ = a.Send(ctx, nil)
				_, _ = b.RecvWithin(make([]byte, 10), within(ctx))
				_, _ = b.RecvHandleWithin(atOnce())
				_, _ = b.Watch()
			}
		})
	})
}
