//go:build !crash

package core

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// Random operations against naive references; -rapid.checks says how many runs. Those who
// are started to be killed do without them: rapid's tables take longer to make than the
// rest of the process.

// expired is a context in which nothing waits.
func expired() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// payloads are items of any size, among them those that lie in extents and across chunks.
func payloads() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		size := rapid.OneOf(
			rapid.IntRange(0, 64), rapid.IntRange(0, 64), rapid.IntRange(0, 64),
			rapid.IntRange(65, 5000), rapid.IntRange(60_000, 140_000),
		).Draw(t, "size")
		item := make([]byte, size)
		seed := rapid.Uint64().Draw(t, "content")
		for i := 0; i+8 <= size; i += 8 {
			binary.NativeEndian.PutUint64(item[i:], seed+uint64(i))
		}
		return item
	})
}

// queueReference is a joinable queue as one would write it down.
type queueReference struct {
	items      [][]byte
	maxItems   int // 0: unbounded
	unfinished int
	shut       bool
}

func (r *queueReference) full() bool { return r.maxItems > 0 && len(r.items) >= r.maxItems }

// put returns what TryPut is to return.
func (r *queueReference) put(item []byte) error {
	switch {
	case r.shut:
		return ErrShutdown
	case r.full():
		return ErrFull
	}
	r.items = append(r.items, item)
	r.unfinished++
	return nil
}

// nothing returns what a get is to return.
func (r *queueReference) nothing() error {
	switch {
	case len(r.items) > 0:
		return nil
	case r.shut:
		return ErrShutdown
	}
	return ErrEmpty
}

func TestQueueProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := queueReference{maxItems: rapid.SampledFrom([]int{0, 1, 2, 7}).Draw(rt, "maxItems")}
		q, err := NewJoinableQueue(MaxItems(uint64(r.maxItems)))
		if err != nil {
			rt.Fatal(err)
		}
		defer q.Close()
		want := func(what string, got, want error) {
			rt.Helper()
			if !errors.Is(got, want) {
				rt.Fatalf("%s: %v, not %v", what, got, want)
			}
		}
		same := func(got, want []byte) {
			rt.Helper()
			if !slices.Equal(got, want) {
				rt.Fatalf("got an item of %d bytes, not that of %d bytes", len(got), len(want))
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				item := payloads().Draw(rt, "item")
				want("put", q.TryPut(item), r.put(item))
			},
			"get": func(rt *rapid.T) {
				item, err := q.TryGet()
				want("get", err, r.nothing())
				if err == nil {
					same(item, r.items[0])
					r.items = r.items[1:]
				}
			},
			"put many": func(rt *rapid.T) {
				items := rapid.SliceOfN(payloads(), 0, 10).Draw(rt, "items")
				n, _ := q.PutMany(expired(), items)
				for _, item := range items[:n] {
					want("put", nil, r.put(item))
				}
				if n < len(items) && !r.full() && !r.shut {
					rt.Fatalf("put %d of %d items though there is room", n, len(items))
				}
			},
			"get many": func(rt *rapid.T) {
				limit := rapid.IntRange(1, 20).Draw(rt, "limit")
				if len(r.items) == 0 {
					rt.Skip()
				}
				items, err := q.GetMany(expired(), limit)
				want("get many", err, nil)
				if len(items) == 0 || len(items) > min(limit, len(r.items)) {
					rt.Fatalf("got %d of %d items, at most %d", len(items), len(r.items), limit)
				}
				for i, item := range items {
					same(item, r.items[i])
				}
				r.items = r.items[len(items):]
			},
			"task done": func(rt *rapid.T) {
				err := q.TaskDone()
				if r.unfinished == 0 {
					want("task done", err, ErrTaskDone)
					return
				}
				want("task done", err, nil)
				r.unfinished--
			},
			"join": func(rt *rapid.T) {
				err := q.Join(expired())
				if r.unfinished == 0 {
					want("join", err, nil)
				} else {
					want("join", err, context.Canceled)
				}
			},
			"shut down": func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "rarely") > 0 {
					rt.Skip()
				}
				immediate := rapid.Bool().Draw(rt, "immediate")
				want("shut down", q.Shutdown(immediate), nil)
				r.shut = true
				if immediate {
					r.unfinished = max(0, r.unfinished-len(r.items))
					r.items = nil
				}
			},
			"": func(rt *rapid.T) {
				if q.Len() != len(r.items) || q.Full() != r.full() || q.Unfinished() != uint64(r.unfinished) {
					rt.Fatalf("len %d, full %v, unfinished %d; not %d, %v, %d",
						q.Len(), q.Full(), q.Unfinished(), len(r.items), r.full(), r.unfinished)
				}
			},
		})
	})
}

func TestConnProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		duplex := rapid.Bool().Draw(rt, "duplex")
		a, b, err := Pipe(duplex)
		if err != nil {
			rt.Fatal(err)
		}
		defer a.Close()
		defer b.Close()
		ends := []*Conn{a, b}
		var closed [2]bool
		var toward [2][][]byte // messages that an end has not received
		var pending [2]int     // their bytes
		receives := func(side int) bool { return duplex || side == 0 }
		side := func(rt *rapid.T) int { return rapid.IntRange(0, 1).Draw(rt, "side") }
		rt.Repeat(map[string]func(*rapid.T){
			"send": func(rt *rapid.T) {
				from := side(rt)
				to := 1 - from
				if closed[from] || pending[to] > 0 {
					rt.Skip() // a pipe holds as much as fits, at least one message
				}
				msg := payloads().Draw(rt, "message")
				err := ends[from].Send(context.Background(), msg)
				switch {
				case !receives(to):
					if err == nil {
						rt.Fatal("sent on an end that only receives")
					}
				case closed[to]:
					if !errors.Is(err, unix.EPIPE) {
						rt.Fatalf("sent to an end that is closed: %v", err)
					}
				case err != nil:
					rt.Fatal(err)
				default:
					toward[to] = append(toward[to], msg)
					if len(msg) > 1000 || len(toward[to]) > 20 {
						pending[to] += len(msg)
					}
				}
			},
			"receive": func(rt *rapid.T) {
				to := side(rt)
				if closed[to] {
					rt.Skip()
				}
				if len(toward[to]) == 0 && receives(to) && !closed[1-to] {
					rt.Skip() // it would wait
				}
				msg, err := ends[to].Recv(context.Background())
				if !receives(to) || len(toward[to]) == 0 {
					if err == nil {
						rt.Fatal("received something out of nothing")
					}
					return
				}
				if err != nil {
					rt.Fatal(err)
				}
				if !slices.Equal(msg, toward[to][0]) {
					rt.Fatalf("received %d bytes, not %d", len(msg), len(toward[to][0]))
				}
				if toward[to] = toward[to][1:]; len(toward[to]) == 0 {
					pending[to] = 0
				}
			},
			"close": func(rt *rapid.T) {
				if rapid.IntRange(0, 9).Draw(rt, "rarely") > 0 {
					rt.Skip()
				}
				i := side(rt)
				if err := ends[i].Close(); err != nil {
					rt.Fatal(err)
				}
				closed[i] = true
			},
		})
	})
}

func TestSemaphoreProperties(t *testing.T) {
	a, err := NewArena()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	rapid.Check(t, func(rt *rapid.T) {
		initial := rapid.IntRange(0, 3).Draw(rt, "value")
		bounded := rapid.Bool().Draw(rt, "bounded")
		newSemaphore := a.NewSemaphore
		if bounded {
			newSemaphore = a.NewBoundedSemaphore
		}
		m, err := newSemaphore(uint32(initial))
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = a.FreeSlot(m.Offset()) }()
		value := initial
		rt.Repeat(map[string]func(*rapid.T){
			"acquire": func(rt *rapid.T) {
				if got := m.TryAcquire(); got != (value > 0) {
					rt.Fatalf("acquired: %v, the value was %d", got, value)
				}
				value = max(value-1, 0)
			},
			"wait": func(rt *rapid.T) {
				err := m.Acquire(expired())
				if (err == nil) != (value > 0) {
					rt.Fatalf("acquired: %v, the value was %d", err, value)
				}
				value = max(value-1, 0)
			},
			"release": func(rt *rapid.T) {
				over := bounded && value == initial
				if err := m.Release(); errors.Is(err, ErrReleased) != over {
					rt.Fatalf("released: %v, the value was %d of %d", err, value, initial)
				}
				if !over {
					value++
				}
			},
			"": func(rt *rapid.T) {
				if m.Value() != value {
					rt.Fatalf("value %d, not %d", m.Value(), value)
				}
			},
		})
	})
}

func TestRLockProperties(t *testing.T) {
	a, err := NewArena()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	rapid.Check(t, func(rt *rapid.T) {
		k, err := a.NewRLock()
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = a.FreeSlot(k.Offset()) }()
		owner, depth := Owner(0), 0
		who := rapid.SampledFrom([]Owner{NewOwner(), NewOwner(), NewOwner()})
		rt.Repeat(map[string]func(*rapid.T){
			"lock": func(rt *rapid.T) {
				by := who.Draw(rt, "who")
				got, want := k.TryLock(by), owner == 0 || owner == by
				if got != want {
					rt.Fatalf("%d locked: %v, the owner was %d", by, got, owner)
				}
				if want {
					owner = by
					depth++
				}
			},
			"unlock": func(rt *rapid.T) {
				by := who.Draw(rt, "who")
				if err := k.Unlock(by); errors.Is(err, ErrNotOwner) != (owner != by) {
					rt.Fatalf("%d unlocked: %v, the owner was %d", by, err, owner)
				}
				if owner == by {
					if depth--; depth == 0 {
						owner = 0
					}
				}
			},
			"": func(rt *rapid.T) {
				if o, d := k.Owner(); o != owner || d != depth {
					rt.Fatalf("owner %d, depth %d; not %d, %d", o, d, owner, depth)
				}
			},
		})
	})
}

func TestEventProperties(t *testing.T) {
	a, err := NewArena()
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	rapid.Check(t, func(rt *rapid.T) {
		e, err := a.NewEvent()
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = a.FreeSlot(e.Offset()) }()
		set := false
		rt.Repeat(map[string]func(*rapid.T){
			"set":   func(*rapid.T) { e.Set(); set = true },
			"clear": func(*rapid.T) { e.Clear(); set = false },
			"wait": func(rt *rapid.T) {
				if err := e.Wait(expired()); (err == nil) != set {
					rt.Fatalf("waited: %v, set: %v", err, set)
				}
			},
			"": func(rt *rapid.T) {
				if e.IsSet() != set {
					rt.Fatalf("set: %v, not %v", e.IsSet(), set)
				}
			},
		})
	})
}

// Messages and handles each come in order, however they are mixed, and the socket
// is readable as long as one of them waits.
func TestHandlesBetweenMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, err := Pipe(true)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		defer a.Close()
		readable := watch(t, a)
		type count struct{ sent, received int }
		var messages, handles count
		check := func(n int, err error, c *count) {
			t.Helper()
			if c.sent == c.received {
				if Errno(err) != unix.EAGAIN {
					t.Fatalf("received %d, %v where nothing was sent", n, err)
				}
				return
			}
			if err != nil || n != c.received {
				t.Fatalf("received %d, %v instead of %d", n, err, c.received)
			}
			c.received++
		}
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				if err := b.SendWithin(make([]byte, messages.sent), atOnce()); err != nil {
					t.Fatal(err)
				}
				messages.sent++
			},
			"send handle": func(t *rapid.T) {
				if err := sendHandle(b, handles.sent); err != nil {
					t.Fatal(err)
				}
				handles.sent++
			},
			"receive": func(t *rapid.T) {
				n, err := a.RecvWithin(make([]byte, messages.sent), atOnce())
				check(n, err, &messages)
			},
			"receive handle": func(t *rapid.T) {
				if handles.sent == handles.received {
					t.Skip() // it takes the bell
				}
				n, err := recvHandle(a, atOnce())
				check(n, err, &handles)
			},
			"": func(t *rapid.T) {
				waits := messages != count{messages.sent, messages.sent} ||
					handles != count{handles.sent, handles.sent}
				if readable() != waits {
					t.Fatalf("messages %v, handles %v: readable is %v", messages, handles, !waits)
				}
				if err := a.PollWithin(atOnce()); (err == nil) != waits {
					t.Fatalf("messages %v, handles %v: poll: %v", messages, handles, err)
				}
			},
		})
	})
}
