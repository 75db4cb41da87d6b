package core

import (
	"context"
	"os"
	"testing"
)

// Each is measured between two processes, that of the benchmark and a child.

const itemSize = 64

func BenchmarkPipePingPong(b *testing.B) {
	x, y := newPipe(b, true)
	startWithConn(b, "echo", y)
	msg, buf := make([]byte, itemSize), make([]byte, itemSize)
	l := within(context.Background())
	for b.Loop() {
		if err := x.SendWithin(msg, l); err != nil {
			b.Fatal(err)
		}
		if _, err := x.RecvWithin(buf, l); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPipeOneWay(b *testing.B) {
	x, y := newPipe(b, true)
	startWithConn(b, "receive", x)
	msg := make([]byte, itemSize)
	l := within(context.Background())
	for b.Loop() {
		if err := y.SendWithin(msg, l); err != nil {
			b.Fatal(err)
		}
	}
}

func newBenchQueues(b *testing.B, child string, maxItems uint64) (there, back *Queue) {
	b.Helper()
	var queues [2]*Queue
	var files []*os.File
	for i := range queues {
		q, err := NewQueue(maxItems)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := q.Close(); err != nil {
				b.Error(err)
			}
		})
		segment, bell, err := q.Files()
		if err != nil {
			b.Fatal(err)
		}
		defer segment.Close()
		defer bell.Close()
		queues[i] = q
		files = append(files, segment, bell)
	}
	startChild(b, child, files...)
	return queues[0], queues[1]
}

func init() {
	open := func(files []*os.File) (there, back *Queue, err error) {
		if there, err = OpenQueue(files[0], files[1]); err == nil {
			back, err = OpenQueue(files[2], files[3])
		}
		return there, back, err
	}
	children["bench echo"] = func(files []*os.File) error {
		there, back, err := open(files)
		buf := make([]byte, itemSize)
		l := within(context.Background())
		for n := 0; err == nil; {
			if n, err = there.GetWithin(buf, l); err == nil {
				err = back.PutWithin(buf[:n], l)
			}
		}
		return err
	}
	children["bench put"] = func(files []*os.File) error {
		there, _, err := open(files)
		item := make([]byte, itemSize)
		l := within(context.Background())
		for err == nil {
			err = there.PutWithin(item, l)
		}
		return err
	}
}

func BenchmarkQueuePingPong(b *testing.B) {
	there, back := newBenchQueues(b, "bench echo", 0)
	item, buf := make([]byte, itemSize), make([]byte, itemSize)
	l := within(context.Background())
	for b.Loop() {
		if err := there.PutWithin(item, l); err != nil {
			b.Fatal(err)
		}
		if _, err := back.GetWithin(buf, l); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQueueRate(b *testing.B) {
	q, _ := newBenchQueues(b, "bench put", 1<<14)
	buf := make([]byte, itemSize)
	l := within(context.Background())
	for b.Loop() {
		if _, err := q.GetWithin(buf, l); err != nil {
			b.Fatal(err)
		}
	}
}
