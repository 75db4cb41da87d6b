package stream

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func TestBatch(t *testing.T) {
	items := [][]byte{{}, {1}, pattern(1, 8), pattern(2, 9), pattern(3, 1000)}
	var b Batch
	for _, item := range items {
		b = b.Append(item)
	}
	for _, want := range items {
		item, rest, err := b.Next()
		if err != nil || !bytes.Equal(item, want) {
			t.Fatalf("%d bytes, %v; want %d", len(item), err, len(want))
		}
		b = rest
	}
	for _, bad := range []Batch{{}, {1, 2}, {255, 255, 255, 255, 255, 255, 255, 255}, {1, 0, 0, 0, 0, 0, 0, 0, 1}} {
		if _, _, err := bad.Next(); err != unix.EINVAL {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// A stream with batches is a first-in first-out queue.
func TestBatchesAreItems(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		maxItems := rapid.SampledFrom([]uint64{0, 1, 2, 5}).Draw(r, "maxItems")
		q, s := newStream(t, maxItems)
		var reference [][]byte
		size := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, chunkSize+20))
		r.Repeat(map[string]func(*rapid.T){
			"put": func(r *rapid.T) {
				var b Batch
				var items [][]byte
				for i := range rapid.IntRange(0, 10).Draw(r, "items") {
					items = append(items, pattern(i, size.Draw(r, "size")))
					b = b.Append(items[i])
				}
				n, rest, err := q.PutMany(s, nil, b, now)
				want := len(items)
				if maxItems > 0 {
					want = min(want, int(maxItems)-len(reference))
				}
				if int(n) != want || (err == ErrFull) != (want < len(items)) || (err == nil) != (len(rest) == 0) {
					r.Fatalf("%d of %d items put, %d bytes left, %v; want %d", n, len(items), len(rest), err, want)
				}
				reference = append(reference, items[:want]...)
			},
			"get": func(r *rapid.T) {
				buf := make([]byte, rapid.IntRange(0, 2*chunkSize).Draw(r, "room"))
				limit := rapid.IntRange(1, 12).Draw(r, "limit")
				n, size, err := q.GetMany(s, buf, uint64(limit), now)
				if len(reference) == 0 {
					if err != ErrEmpty {
						r.Fatal(err)
					}
					return
				}
				if first := recordSize(uint64(len(reference[0]))); first > uint64(len(buf)) {
					if err != ErrTooLong || uint64(size) != first {
						r.Fatalf("%v, %d for a record of %d bytes", err, size, first)
					}
					return
				}
				b := Batch(buf[:size])
				for range n {
					item, rest, err := b.Next()
					if err != nil || !bytes.Equal(item, reference[0]) {
						r.Fatalf("%d bytes, %v; want %d", len(item), err, len(reference[0]))
					}
					b, reference = rest, reference[1:]
				}
				fits := len(reference) > 0 && size+int(recordSize(uint64(len(reference[0])))) <= len(buf)
				if err != nil || len(b) > 0 || n == 0 || int(n) < limit && fits {
					r.Fatalf("%d items of %d got, %d bytes left, %v", n, limit, len(b), err)
				}
			},
			"get one": func(r *rapid.T) {
				if len(reference) > 0 {
					if !bytes.Equal(get(t, q, s), reference[0]) {
						r.Fatal("the item differs")
					}
					reference = reference[1:]
				}
			},
			"": func(r *rapid.T) {
				if q.Len() != uint64(len(reference)) {
					r.Fatalf("%d items, want %d", q.Len(), len(reference))
				}
				check(t, q, s)
			},
		})
	})
}

func TestBatchesStopAtExtents(t *testing.T) {
	q, s := newStream(t, 0)
	put(t, q, s, []byte("small"))
	if err := q.Put(s, nil, record(make([]byte, largeItem)), now); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1000)
	if n, size, err := q.GetMany(s, buf, 10, now); n != 1 || size != 16 || err != nil {
		t.Error(n, size, err)
	}
	if n, _, err := q.GetMany(s, buf, 10, now); n != 0 || err != ErrBuffers {
		t.Error(n, err)
	}
	receive(t, q, s)
}

func TestBatchAfterShutdown(t *testing.T) {
	q, s := newStream(t, 0)
	put(t, q, s, []byte("small"))
	if err := q.Shutdown(s, nil, false, now); err != nil {
		t.Fatal(err)
	}
	if n, rest, err := q.PutMany(s, nil, Batch{}.Append(nil), now); n != 0 || len(rest) != 8 || err != ErrShut {
		t.Error(n, rest, err)
	}
	buf := make([]byte, 100)
	if n, _, err := q.GetMany(s, buf, 10, now); n != 1 || err != nil {
		t.Error(n, err)
	}
	if n, _, err := q.GetMany(s, buf, 10, now); n != 0 || err != ErrShut {
		t.Error(n, err)
	}
}

// As TestMemoryOfDeadProducer, however many items are taken at a time.
func TestMemoryOfDeadProducerOfBatches(t *testing.T) {
	q, s := newStream(t, 0)
	put(t, q, s, nil)
	var b Batch
	for range 16 {
		b = b.Append(pattern(1, 100_000))
	}
	const batches = 10
	for range batches {
		if _, _, err := q.PutMany(s, nil, b, now); err != nil {
			t.Fatal(err)
		}
	}
	get(t, q, s)
	leaveLocked(t, &q.putLock)
	for range batches {
		if n, _, err := q.GetMany(s, make([]byte, len(b)), 16, now); n != 16 || err != nil {
			t.Fatal(n, err)
		}
	}
	if m := memory(t, s); m > (warmChunks+3)*chunkSize {
		t.Errorf("a drained stream keeps %d bytes", m)
	}
}
