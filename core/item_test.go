package core

import (
	"bytes"
	"reflect"
	"testing"
)

// Items with buffers, as Python puts arrays, do not keep a Go program from those behind.
func TestBuffers(t *testing.T) {
	joinable := newQueue(t, 0)
	plain, err := NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	a, b := newPipe(t, true)
	large := bytes.Repeat([]byte{7}, 1<<20)
	for _, c := range []struct {
		name string
		s    *Segment
		put  func(item *Item) error
		get  func() ([]byte, error)
		many func() ([][]byte, error)
		take func() ([]byte, [][]byte, error)
		done func() error
	}{
		{
			"Queue", &plain.s,
			func(item *Item) error { return plain.PutItemWithin(item, atOnce()) },
			plain.TryGet,
			func() ([][]byte, error) { return plain.GetMany(t.Context(), 2) },
			func() ([]byte, [][]byte, error) { return plain.GetBuffers(t.Context()) },
			func() error { return nil },
		},
		{
			"JoinableQueue", &joinable.s,
			func(item *Item) error { return joinable.PutItemWithin(item, atOnce()) },
			joinable.TryGet,
			func() ([][]byte, error) { return joinable.GetMany(t.Context(), 2) },
			func() ([]byte, [][]byte, error) { return joinable.GetBuffers(t.Context()) },
			joinable.TaskDone,
		},
		{
			"Conn", &b.s,
			func(item *Item) error { return a.SendItemWithin(item, atOnce()) },
			func() ([]byte, error) { return b.Recv(t.Context()) },
			func() ([][]byte, error) { return nil, ErrBuffers },
			func() ([]byte, [][]byte, error) { return b.RecvBuffers(t.Context()) },
			func() error { return nil },
		},
	} {
		for _, item := range []Item{
			{Parts: [3][]byte{[]byte("small")}},
			{Parts: [3][]byte{large[:600]}},
			{Parts: [3][]byte{large}},
			{Parts: [3][]byte{[]byte("head"), []byte("tail")}, Buffers: [][]byte{large, []byte("x"), {}}},
			{Parts: [3][]byte{large[:600]}, Buffers: [][]byte{large, large}},
			{Parts: [3][]byte{}, Buffers: make([][]byte, 100)},
		} {
			want := bytes.Join(item.Parts[:], nil)
			if err := c.put(&item); err != nil {
				t.Fatal(c.name, err)
			}
			if len(item.Buffers) > 0 {
				if got, err := c.get(); got != nil || err != ErrBuffers {
					t.Errorf("%s: %d bytes, %v", c.name, len(got), err)
				}
				if got, err := c.many(); got != nil || err != ErrBuffers {
					t.Errorf("%s: %d items, %v", c.name, len(got), err)
				}
			}
			data, buffers, err := c.take()
			if err != nil || !bytes.Equal(data, want) || len(buffers) != len(item.Buffers) {
				t.Errorf("%s: %d bytes, %d buffers, %v", c.name, len(data), len(buffers), err)
			}
			for i, b := range buffers {
				if !bytes.Equal(b, item.Buffers[i]) {
					t.Errorf("%s: buffer %d has %d bytes", c.name, i, len(b))
				}
			}
			if err := c.done(); err != nil {
				t.Error(c.name, err)
			}
		}
		// Nothing stays with the receiver.
		item := Item{Buffers: [][]byte{large, large}}
		for range 50 {
			if err := c.put(&item); err != nil {
				t.Fatal(c.name, err)
			}
			if _, buffers, err := c.take(); err != nil || !reflect.DeepEqual(buffers, item.Buffers) {
				t.Error(c.name, err)
			}
			if err := c.done(); err != nil {
				t.Error(c.name, err)
			}
		}
		if n := c.s.Memory(); n > 40<<20 {
			t.Errorf("%s takes %d MiB", c.name, n>>20)
		}
	}
}
