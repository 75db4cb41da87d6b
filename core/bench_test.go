package core

import (
	"context"
	"os"
	"testing"
)

// What follows is measured between the benchmark's process and another, with
// messages of 64 bytes.
const benchSize = 64

// sender and receiver are what connections and queues have in common.
type (
	sender   func(msg []byte, l *Limit) error
	receiver func(buf []byte, l *Limit) (int, error)
)

func (send sender) forever() error {
	l := within(context.Background())
	for msg := make([]byte, benchSize); ; {
		if err := send(msg, l); err != nil {
			return err
		}
	}
}

func (recv receiver) forever() error {
	l := within(context.Background())
	for buf := make([]byte, benchSize); ; {
		if _, err := recv(buf, l); err != nil {
			return err
		}
	}
}

func echo(recv receiver, send sender) error {
	l := within(context.Background())
	for buf := make([]byte, benchSize); ; {
		n, err := recv(buf, l)
		if err != nil {
			return err
		}
		if err := send(buf[:n], l); err != nil {
			return err
		}
	}
}

func pingPong(b *testing.B, send sender, recv receiver) {
	l := within(context.Background())
	buf := make([]byte, benchSize)
	for b.Loop() {
		if err := send(buf, l); err != nil {
			b.Fatal(err)
		}
		if _, err := recv(buf, l); err != nil {
			b.Fatal(err)
		}
	}
}

func init() {
	onConn := func(do func(c *Conn) error) func([]*os.File) error {
		return func(files []*os.File) error {
			c, err := OpenConn(files[0], files[1], 1, Readable|Writable)
			if err != nil {
				return err
			}
			return do(c)
		}
	}
	onQueues := func(do func(there, back *Queue) error) func([]*os.File) error {
		return func(files []*os.File) error {
			there, err := OpenQueue(files[0], files[1])
			if err != nil {
				return err
			}
			back, err := OpenQueue(files[2], files[3])
			if err != nil {
				return err
			}
			return do(there, back)
		}
	}
	children["bench conn echo"] = onConn(func(c *Conn) error { return echo(c.RecvWithin, c.SendWithin) })
	children["bench conn send"] = onConn(func(c *Conn) error { return sender(c.SendWithin).forever() })
	children["bench conn recv"] = onConn(func(c *Conn) error { return receiver(c.RecvWithin).forever() })
	children["bench queue echo"] = onQueues(func(there, back *Queue) error { return echo(there.GetWithin, back.PutWithin) })
	children["bench queue put"] = onQueues(func(there, _ *Queue) error { return sender(there.PutWithin).forever() })
	children["bench queue get"] = onQueues(func(there, _ *Queue) error { return receiver(there.GetWithin).forever() })
}

func BenchmarkConnBetweenProcesses(b *testing.B) {
	b.Run("ping-pong", func(b *testing.B) {
		x, y := newPipe(b, true)
		startWithConn(b, "bench conn echo", y)
		pingPong(b, x.SendWithin, x.RecvWithin)
	})
	b.Run("send", func(b *testing.B) {
		x, y := newPipe(b, true)
		startWithConn(b, "bench conn recv", y)
		l := within(context.Background())
		msg := make([]byte, benchSize)
		for b.Loop() {
			if err := x.SendWithin(msg, l); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("receive", func(b *testing.B) {
		x, y := newPipe(b, true)
		startWithConn(b, "bench conn send", y)
		l := within(context.Background())
		buf := make([]byte, benchSize)
		for b.Loop() {
			if _, err := x.RecvWithin(buf, l); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkQueueBetweenProcesses(b *testing.B) {
	start := func(b *testing.B, child string) (there, back *JoinableQueue) {
		// Bounded, so that a producer does not run away.
		there, back = newQueue(b, 1<<14), newQueue(b, 0)
		startChild(b, child, shareQueues(b, there, back)...)
		return there, back
	}
	b.Run("ping-pong", func(b *testing.B) {
		there, back := start(b, "bench queue echo")
		pingPong(b, there.PutWithin, back.GetWithin)
	})
	b.Run("put", func(b *testing.B) {
		q, _ := start(b, "bench queue get")
		l := within(context.Background())
		item := make([]byte, benchSize)
		for b.Loop() {
			if err := q.PutWithin(item, l); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("get", func(b *testing.B) {
		q, _ := start(b, "bench queue put")
		l := within(context.Background())
		buf := make([]byte, benchSize)
		for b.Loop() {
			if _, err := q.GetWithin(buf, l); err != nil {
				b.Fatal(err)
			}
		}
	})
}
