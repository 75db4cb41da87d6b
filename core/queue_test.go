package core

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newQueue(t testing.TB, maxItems uint64, options ...Option) *JoinableQueue {
	t.Helper()
	q, err := NewJoinableQueue(append(options, MaxItems(maxItems))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

// newPlainQueue is newQueue for one that forgets what was got.
func newPlainQueue(t testing.TB, maxItems uint64) *JoinableQueue {
	t.Helper()
	q := new(JoinableQueue)
	if err := q.Queue.Create(maxItems); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

// share returns a file of an object for a child.
func share(t testing.TB, o interface{ File() (*os.File, error) }) *os.File {
	t.Helper()
	f, err := o.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// shareQueues returns the files of queues for a child.
func shareQueues(t testing.TB, queues ...*JoinableQueue) (files []*os.File) {
	t.Helper()
	for _, q := range queues {
		segment, bell, err := q.Files()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, segment, bell)
	}
	t.Cleanup(func() {
		for _, f := range files {
			_ = f.Close()
		}
	})
	return files
}

func TestQueueBounds(t *testing.T) {
	q := newQueue(t, 2)
	if _, err := q.TryGet(); err != ErrEmpty {
		t.Errorf("get from an empty queue: %v", err)
	}
	for i := range 2 {
		if q.Full() || q.Len() != i {
			t.Errorf("full %v, length %d after %d", q.Full(), q.Len(), i)
		}
		if err := q.TryPut([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.TryPut(nil); err != ErrFull {
		t.Errorf("put into a full queue: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := q.Put(ctx, nil); err != context.DeadlineExceeded {
		t.Errorf("put into a full queue: %v", err)
	}
	for i := range 2 {
		item, err := q.TryGet()
		if err != nil || !bytes.Equal(item, []byte{byte(i)}) {
			t.Errorf("item %d: %v, %v", i, item, err)
		}
	}
	if _, err := q.Get(ctx); err != context.DeadlineExceeded {
		t.Errorf("get from an empty queue: %v", err)
	}
}

func TestQueueCancel(t *testing.T) {
	q := newQueue(t, 1)
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := q.Get(ctx)
		got <- err
	}()
	cancel(why)
	if err := <-got; err != why {
		t.Errorf("got %v", err)
	}
}

func TestOpenQueueOfAnotherKind(t *testing.T) {
	a, err := NewArena()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	f := share(t, a)
	if q, err := OpenQueue(f, nil); !errors.Is(err, ErrKind) {
		t.Errorf("opened an arena as a queue: %v, %v", q, err)
	}
	plain, err := NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	segment, bell, err := plain.Files()
	if err != nil {
		t.Fatal(err)
	}
	defer segment.Close()
	defer bell.Close()
	if q, err := OpenJoinableQueue(segment, bell); q != nil || !errors.Is(err, ErrKind) {
		t.Errorf("opened a plain queue as one that can be joined: %v", err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if q, err := OpenQueue(null, nil); !errors.Is(err, ErrKind) {
		t.Errorf("opened a device as a queue: %v, %v", q, err)
	}
}

const (
	childItems = 20_000
	childSizes = 3000
)

// An item of the tests: its producer, its number, and so many bytes more.
func numbered(producer, n uint32) []byte {
	item := make([]byte, 8+n*31%childSizes)
	binary.NativeEndian.PutUint32(item, producer)
	binary.NativeEndian.PutUint32(item[4:], n)
	for i := range item[8:] {
		item[8+i] = byte(n) + byte(i)
	}
	return item
}

func init() {
	children["produce"] = func(files []*os.File) error {
		q, err := OpenQueue(files[0], files[1])
		if err != nil {
			return err
		}
		for n := range uint32(childItems) {
			if err := q.Put(context.Background(), numbered(uint32(os.Getpid()), n)); err != nil {
				return err
			}
		}
		return q.Close()
	}
	// Takes items and passes them on, for ever.
	children["forward"] = func(files []*os.File) error {
		from, err := OpenQueue(files[0], files[1])
		if err != nil {
			return err
		}
		to, err := OpenQueue(files[2], files[3])
		if err != nil {
			return err
		}
		for {
			item, err := from.Get(context.Background())
			if err != nil {
				return err
			}
			if err := to.Put(context.Background(), item); err != nil {
				return err
			}
		}
	}
}

// Producers in three processes, consumers in two and in this one.
func TestQueueBetweenProcesses(t *testing.T) {
	for _, maxItems := range []uint64{0, 5} {
		t.Run(fmt.Sprint("maxItems=", maxItems), func(t *testing.T) {
			q, back := newQueue(t, maxItems), newQueue(t, maxItems)
			var producers []*exec.Cmd
			for range 3 {
				producers = append(producers, startChild(t, "produce", shareQueues(t, q)...))
			}
			for range 2 {
				startChild(t, "forward", shareQueues(t, q, back)...)
			}
			seen := map[string]bool{}
			for range 3 * childItems {
				item, err := back.Get(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				producer, n := binary.NativeEndian.Uint32(item), binary.NativeEndian.Uint32(item[4:])
				if !bytes.Equal(item, numbered(producer, n)) {
					t.Fatalf("item %d of %d is torn", n, producer)
				}
				key := string(item[:8])
				if seen[key] {
					t.Fatalf("item %d of %d came twice", n, producer)
				}
				seen[key] = true
			}
			for _, p := range producers {
				if err := p.Wait(); err != nil {
					t.Error(err)
				}
			}
			if q.Len() != 0 || back.Len() != 0 {
				t.Errorf("%d and %d items left", q.Len(), back.Len())
			}
		})
	}
}

// Producers and consumers are killed all the time; the survivors go on, and each
// producer's items come in order, without a gap, none twice, none torn.
func TestQueueOutlivesKilledProcesses(t *testing.T) {
	kills := 60
	if testing.Short() {
		kills = 10
	}
	q := newQueue(t, 50)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	next := map[uint32]uint32{}
	for i := range kills {
		victim := startChild(t, "produce", shareQueues(t, q)...)
		for range 20 + i*37%400 {
			item, err := q.Get(ctx)
			if err != nil {
				t.Fatal(err)
			}
			producer, n := binary.NativeEndian.Uint32(item), binary.NativeEndian.Uint32(item[4:])
			if !bytes.Equal(item, numbered(producer, n)) {
				t.Fatalf("item %d of %d is torn", n, producer)
			}
			if n != next[producer] {
				t.Fatalf("item %d of %d came after %d", n, producer, next[producer])
			}
			next[producer]++
		}
		if err := victim.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // and some stay zombies for a while
			_ = victim.Wait()
		}
	}
	for q.Len() > 0 {
		if _, err := q.Get(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func TestQueueConsumersKilled(t *testing.T) {
	kills := 60
	if testing.Short() {
		kills = 10
	}
	q, back := newQueue(t, 0), newQueue(t, 0)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	put := uint32(0)
	got := map[uint32]bool{}
	for range kills {
		victim := startChild(t, "forward", shareQueues(t, q, back)...)
		for range 300 {
			if err := q.Put(ctx, numbered(0, put)); err != nil {
				t.Fatal(err)
			}
			put++
		}
		for range 100 {
			item, err := back.Get(ctx)
			if err != nil {
				t.Fatal(err)
			}
			n := binary.NativeEndian.Uint32(item[4:])
			if !bytes.Equal(item, numbered(0, n)) || got[n] {
				t.Fatalf("item %d is torn or came twice", n)
			}
			got[n] = true
		}
		if err := victim.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = victim.Wait()
	}
	for _, rest := range []*JoinableQueue{q, back} {
		for rest.Len() > 0 {
			item, err := rest.Get(ctx)
			if err != nil {
				t.Fatal(err)
			}
			n := binary.NativeEndian.Uint32(item[4:])
			if got[n] {
				t.Fatalf("item %d came twice", n)
			}
			got[n] = true
		}
	}
	// Each victim may have taken one item along.
	if lost := int(put) - len(got); lost > kills {
		t.Errorf("%d of %d items lost with %d processes", lost, put, kills)
	}
}

func TestJoin(t *testing.T) {
	q := newQueue(t, 0)
	const items = 100
	for i := range items {
		if err := q.TryPut([]byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	var group sync.WaitGroup
	group.Go(func() {
		if err := q.Join(t.Context()); err != nil {
			t.Error(err)
		}
		if q.Unfinished() != 0 {
			t.Errorf("joined with %d unfinished", q.Unfinished())
		}
	})
	for range items {
		if _, err := q.TryGet(); err != nil {
			t.Fatal(err)
		}
		if err := q.TaskDone(); err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
	if err := q.TaskDone(); err != ErrTaskDone {
		t.Errorf("one too many: %v", err)
	}
}

func TestClosedQueue(t *testing.T) {
	q, err := NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if err := q.TryPut(nil); err != ErrClosed {
		t.Errorf("put: %v", err)
	}
	if _, err := q.TryGet(); err != ErrClosed {
		t.Errorf("get: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestErrno(t *testing.T) {
	for err, want := range map[error]unix.Errno{
		nil: 0, ErrEmpty: unix.EAGAIN, ErrFull: unix.EAGAIN, ErrTaskDone: unix.ERANGE,
		ErrShutdown: unix.ESHUTDOWN, ErrNoBell: unix.ENOTSUP,
		ErrTooLong: unix.EMSGSIZE, ErrKind: unix.EINVAL, ErrLayout: unix.EPROTO,
		ErrClosed: unix.EBADF, fmt.Errorf("growing: %w", unix.ENOSPC): unix.ENOSPC,
		errors.New("unknown"): unix.EIO,
	} {
		if got := Errno(err); got != want {
			t.Errorf("%v: %v, not %v", err, got, want)
		}
	}
}

func BenchmarkQueue(b *testing.B) {
	q := newQueue(b, 0)
	item, buf := make([]byte, 64), make([]byte, 64)
	l := within(context.Background())
	b.Run("one goroutine", func(b *testing.B) {
		for b.Loop() {
			if err := q.PutWithin(item, l); err != nil {
				b.Fatal(err)
			}
			if _, err := q.GetWithin(buf, l); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("two goroutines", func(b *testing.B) {
		var group sync.WaitGroup
		group.Go(func() {
			for range b.N {
				if _, err := q.GetWithin(buf, l); err != nil {
					b.Error(err)
					return
				}
			}
		})
		for range b.N {
			if err := q.PutWithin(item, l); err != nil {
				b.Fatal(err)
			}
		}
		group.Wait()
	})
}

// Neither what succeeds nor what has to wait leaves anything for the collector.
func TestNoGarbage(t *testing.T) {
	q := newQueue(t, 1)
	a, b := newPipe(t, true)
	item, buf := make([]byte, 64), make([]byte, 64)
	if n := testing.AllocsPerRun(100, func() {
		l := Limit{How: Block, Deadline: 1}
		if Errno(q.PutWithin(item, &l)) != 0 || Errno(q.PutWithin(item, &l)) != unix.ETIMEDOUT {
			t.Error("put")
		}
		if _, err := q.GetWithin(buf, &l); Errno(err) != 0 {
			t.Error("get")
		}
		if _, err := q.GetWithin(buf, &l); Errno(err) != unix.ETIMEDOUT {
			t.Error("get")
		}
		if Errno(a.SendWithin(item, &l)) != 0 {
			t.Error("send")
		}
		if _, err := b.RecvWithin(buf, &l); Errno(err) != 0 {
			t.Error("receive")
		}
		if _, err := b.RecvWithin(buf, &l); Errno(err) != unix.ETIMEDOUT {
			t.Error("receive")
		}
		if _, err := b.RecvHandleWithin(&l); Errno(err) != unix.ETIMEDOUT || b.SentHandle() != nil {
			t.Error("handle")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Nor do large items, with up to 8 buffers, and batches.
func TestNoGarbageOfLargeItems(t *testing.T) {
	q := newQueue(t, 1)
	many := newQueue(t, 10)
	a, b := newPipe(t, true)
	large, buf := make([]byte, 300_000), make([]byte, 300_000)
	buffers := [][]byte{large, nil, large, nil, nil, nil, nil, large}
	var batch Batch
	for n := range 10 {
		batch = batch.Append(make([]byte, 400-10*n))
	}
	receive := func(s *Segment, r Received, err error, refs int) {
		if err != nil || r.Refs != refs {
			t.Error(r, err)
		}
		for i := range refs {
			ref := Ref{
				Offset: binary.NativeEndian.Uint64(buf[16*i:]),
				Len:    binary.NativeEndian.Uint64(buf[16*i+8:]),
			}
			if data, err := Extent(s, ref); err != nil || uint64(len(data)) != ref.Len {
				t.Error(err)
			}
			ReleaseExtent(s, ref)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		l := Limit{How: Block, Deadline: 1}
		item := Item{Parts: [3][]byte{buf[:300], nil, buf[:10]}, Buffers: buffers}
		if Errno(q.PutItemWithin(&item, &l)) != 0 || Errno(q.PutItemWithin(&item, &l)) != unix.ETIMEDOUT {
			t.Error("put")
		}
		if _, err := q.GetWithin(buf, &l); Errno(err) != unix.EBADMSG {
			t.Error("get")
		}
		if r, err := q.ReceiveWithin(nil, &l); r.Len != 16*len(buffers)+310 || Errno(err) != unix.EMSGSIZE {
			t.Error("receive")
		}
		r, err := q.ReceiveWithin(buf, &l)
		receive(&q.s, r, err, len(buffers))
		if _, err = q.ReceiveWithin(buf, &l); Errno(err) != unix.ETIMEDOUT {
			t.Error("receive")
		}
		if Errno(q.PutWithin(large, &l)) != 0 {
			t.Error("put")
		}
		if n, err := q.GetWithin(nil, &l); n != len(large) || Errno(err) != unix.EMSGSIZE {
			t.Error("get")
		}
		if n, err := q.GetWithin(buf, &l); n != len(large) || err != nil {
			t.Error("get")
		}
		if Errno(a.SendItemWithin(&item, &l)) != 0 {
			t.Error("send")
		}
		r, err = b.ReceiveWithin(buf, &l)
		receive(&b.s, r, err, len(buffers))
		for range 4 {
			if Errno(a.SendWithin(large, &l)) != 0 {
				t.Error("send")
			}
		}
		if Errno(a.SendWithin(large, &l)) != unix.ETIMEDOUT {
			t.Error("send")
		}
		if n, err := b.RecvWithin(nil, &l); n != len(large) || Errno(err) != unix.EMSGSIZE {
			t.Error("receive")
		}
		for range 4 {
			if n, err := b.RecvWithin(buf, &l); n != len(large) || err != nil {
				t.Error("receive")
			}
		}
		if n, _, err := many.PutManyWithin(batch, &l); n != 10 || err != nil {
			t.Error("put many")
		}
		if n, _, err := many.PutManyWithin(batch, &l); n != 0 || Errno(err) != unix.ETIMEDOUT {
			t.Error("put many")
		}
		if n, size, err := many.GetManyWithin(nil, 100, &l); n != 0 || size != 408 || Errno(err) != unix.EMSGSIZE {
			t.Error("get many")
		}
		if n, _, err := many.GetManyWithin(buf, 100, &l); n != 10 || err != nil {
			t.Error("get many")
		}
		if n, _, err := many.GetManyWithin(buf, 100, &l); n != 0 || Errno(err) != unix.ETIMEDOUT {
			t.Error("get many")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
