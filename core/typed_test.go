package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"testing"
	"time"
)

// decimal is a codec of integers.
type decimal struct{}

func (decimal) Marshal(v any) ([]byte, error) {
	if n := v.(int); n >= 0 {
		return strconv.AppendInt(nil, int64(n), 10), nil
	}
	return nil, strconv.ErrRange
}

func (decimal) Unmarshal(data []byte, v any) (err error) {
	*v.(*int), err = strconv.Atoi(string(data))
	return err
}

// steps are what a loop did, one a line.
func steps[T any](loop iter.Seq2[T, error]) (done []string) {
	for v, err := range loop {
		done = append(done, fmt.Sprint(v, " ", err))
	}
	return done
}

func TestAllEndsWithShutdown(t *testing.T) {
	for i, q := range []*JoinableQueue{newPlainQueue(t, 0), newQueue(t, 0)} {
		typed := NewTyped[int](q, decimal{})
		for v := range 3 {
			if err := typed.Put(t.Context(), v); err != nil {
				t.Fatal(err)
			}
		}
		if err := q.Shutdown(false); err != nil {
			t.Fatal(err)
		}
		if got := steps(typed.All(t.Context())); !slices.Equal(got, []string{"0 <nil>", "1 <nil>", "2 <nil>"}) {
			t.Errorf("queue %d: %q", i, got)
		}
	}
}

func TestAllThatIsLeftLosesNothing(t *testing.T) {
	q := newQueue(t, 0)
	for i := range byte(3) {
		if err := q.TryPut([]byte{i}); err != nil {
			t.Fatal(err)
		}
	}
	for item, err := range q.All(t.Context()) {
		if err != nil || item[0] == 1 {
			break
		}
	}
	if item, err := q.TryGet(); err != nil || item[0] != 2 {
		t.Errorf("%v, %v after the loop", item, err)
	}
}

// The cause of ctx's end is yielded, also to one who waits, after what was there.
func TestAllEndsWithContext(t *testing.T) {
	enough := errors.New("enough")
	q := newQueue(t, 0)
	a, b := newPipe(t, true)
	if err := errors.Join(q.TryPut([]byte("1")), b.Send(t.Context(), []byte("1"))); err != nil {
		t.Fatal(err)
	}
	for name, loop := range map[string]func(context.Context) iter.Seq2[[]byte, error]{"queue": q.All, "pipe": a.All} {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, enough)
		defer cancel()
		if got := steps(loop(ctx)); !slices.Equal(got, []string{"[49] <nil>", "[] enough"}) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestAllEndsWithEndOfFile(t *testing.T) {
	a, b := newPipe(t, false)
	sender, receiver := NewTypedConn[int, int](b, decimal{}), NewTypedConn[int, int](a, decimal{})
	for i := range 2 {
		if err := sender.Send(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got := steps(receiver.All(t.Context())); !slices.Equal(got, []string{"0 <nil>", "1 <nil>"}) {
		t.Errorf("%q", got)
	}
}

func TestAllOfClosed(t *testing.T) {
	q, err := NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if got := steps(q.All(t.Context())); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// What the codec cannot decode is told with the item, and the next ones follow.
func TestDecodeError(t *testing.T) {
	q := newQueue(t, 0)
	typed := NewTyped[int](q, decimal{})
	for _, item := range []string{"1", "x", "2", "y"} {
		if err := q.TryPut([]byte(item)); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Shutdown(false); err != nil {
		t.Fatal(err)
	}
	got := 0
	for v, err := range typed.All(t.Context()) {
		var failed *DecodeError
		switch {
		case err == nil:
			got += v
		case !errors.As(err, &failed) || !errors.Is(err, strconv.ErrSyntax) || v != 0:
			t.Errorf("%v, %v", v, err)
		default:
			got += 10 * int(failed.Item[0]-'w')
		}
	}
	if got != 1+10+2+20 {
		t.Error(got)
	}
}

// reading is a codec that reads its items, as a json.Decoder does.
type reading struct{ decimal }

func (reading) Unmarshal(data []byte, v any) error {
	_, err := fmt.Fscan(bytes.NewReader(data), v)
	return err
}

// An item without content is not the end, though the codec says io.EOF.
func TestDecodeErrorOfEnd(t *testing.T) {
	a, b := newPipe(t, false)
	for _, msg := range []string{"", "1"} {
		if err := b.Send(t.Context(), []byte(msg)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	got := steps(NewTypedConn[int, int](a, reading{}).All(t.Context()))
	if !slices.Equal(got, []string{"0 decoding an item of 0 bytes: EOF", "1 <nil>"}) {
		t.Errorf("%q", got)
	}
}

// What the codec cannot encode is not put.
func TestEncodeError(t *testing.T) {
	q := newQueue(t, 1)
	a, b := newPipe(t, true)
	typed := NewTyped[int](q, decimal{})
	for _, err := range []error{
		typed.Put(t.Context(), -1),
		typed.TryPut(-1),
		NewTypedConn[int, int](a, decimal{}).Send(t.Context(), -1),
	} {
		if !errors.Is(err, strconv.ErrRange) {
			t.Error(err)
		}
	}
	if _, err := typed.TryGet(); err != ErrEmpty {
		t.Error(err)
	}
	if err := b.PollWithin(atOnce()); err == nil {
		t.Error("a message")
	}
	if err := errors.Join(typed.TryPut(1), typed.TryPut(1)); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
}
