package stream

import (
	"encoding/binary"
	"testing"

	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// check validates the whole structure of a stream that nobody uses: every chunk
// of it is in the chain or on a stack, once; the records between head and tail
// are as many as puts and gets say, and as long as the byte counts.
func check(t testing.TB, q *Stream, s *shm.Segment) {
	t.Helper()
	v := view{q, s}
	st := q.current()
	if q.puts.Load() != st.puts {
		t.Errorf("puts is %d, the state's %d", q.puts.Load(), st.puts)
	}
	gets := q.gets.Load()
	got := &q.get[gets&1]

	seen := map[uint32]string{}
	visit := func(c uint32, where string) {
		if old := seen[c]; old != "" {
			t.Fatalf("chunk %d is in %s and in %s", c, old, where)
		}
		seen[c] = where
	}
	for c := st.first; ; {
		visit(c, "chain")
		if c == st.tail.chunk() {
			break
		}
		next, err := v.next(c)
		if err != nil {
			t.Fatal(err)
		}
		c = next
	}
	stack := func(c uint32, where string) (n uint32) {
		for ; c != 0; n++ {
			visit(c, where)
			l, err := v.link(c)
			if err != nil {
				t.Fatal(err)
			}
			c = l.free
		}
		return n
	}
	if n := stack(st.warm, "warm"); n < st.warms {
		t.Errorf("%d warm chunks, not %d", n, st.warms)
	}
	stack(st.cold, "cold")
	for c := q.base; c < st.fresh; c = q.after(c) {
		start := windowStart(c)
		if start > 0 && c-start < tableChunks(start) {
			visit(c, "table")
		}
		if seen[c] == "" {
			t.Errorf("chunk %d is lost", c)
		}
	}

	p := position(got.head.Load())
	size := uint64(0)
	for range st.puts - gets {
		var header [recordHeader]byte
		if err := v.read(&p, header[:]); err != nil {
			t.Fatal(err)
		}
		word := binary.NativeEndian.Uint64(header[:])
		body := make([]byte, (word&maxItem+7)&^7)
		if err := v.read(&p, body); err != nil {
			t.Fatal(err)
		}
		size += recordHeader + uint64(len(body))
		if word&hasRefs != 0 {
			for i := range binary.NativeEndian.Uint64(body) {
				size += DecodeRef(body[8+i*refSize:]).Len
			}
		}
	}
	if p != st.tail {
		t.Errorf("the last record ends at %#x, the tail is %#x", p, st.tail)
	}
	if size != st.bytes-got.bytes.Load() {
		t.Errorf("%d bytes of records, counted %d", size, st.bytes-got.bytes.Load())
	}
}
