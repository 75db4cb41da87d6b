// Peers is the process in Go of tests in which unrelated processes meet by name. It does
// what peer.py does, and shows what Go reads and writes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/goprocessing/goprocessing/core"
	"github.com/goprocessing/goprocessing/core/codec/json"
	"github.com/goprocessing/goprocessing/core/codec/msgpack"
	"github.com/goprocessing/goprocessing/core/codec/pickle"
)

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

var ctx = context.Background()

// ready says that what was to be opened is.
func ready() { fmt.Println("ready") }

func echo(from, to string) {
	in := must(core.Open[core.Queue](from, core.OrCreate()))
	out := must(core.Open[core.JoinableQueue](to, core.OrCreate()))
	ready()
	for {
		item := must(in.Get(ctx))
		if len(item) == 0 {
			break
		}
		check(out.Put(ctx, item))
	}
	check(out.Join(ctx))
}

func semaphores(acquired, released string) {
	a := must(core.Open[core.Semaphore](acquired, core.OrCreate(), core.Value(0)))
	b := must(core.Open[core.Semaphore](released, core.OrCreate(), core.Value(0)))
	ready()
	check(a.Acquire(ctx))
	check(b.Release())
}

func events(awaited, set string) {
	a := must(core.Open[core.Event](awaited, core.OrCreate()))
	b := must(core.Open[core.Event](set, core.OrCreate()))
	ready()
	check(a.Wait(ctx))
	b.Set()
}

func hold(lock, until string) {
	l := must(core.Open[core.Lock](lock, core.OrCreate()))
	e := must(core.Open[core.Event](until, core.OrCreate()))
	check(l.Lock(ctx))
	ready()
	check(e.Wait(ctx))
	check(l.Unlock())
}

func pipe(name, _ string) {
	c := must(core.OpenPipe(ctx, name))
	ready()
	for {
		message, err := c.Recv(ctx)
		if err == io.EOF {
			return
		}
		check(err)
		check(c.Send(ctx, message))
	}
}

type record struct {
	Name   string         `json:"name"`
	Size   int64          `json:"size"`
	Ratio  float64        `json:"ratio"`
	Digest []byte         `json:"digest"`
	Tags   []string       `json:"tags"`
	Shape  [2]int         `json:"shape"`
	Counts map[string]int `json:"counts"`
	Next   *record        `json:"next"`
}

// recode puts back what it gets, which is of type T to it, or why it cannot be decoded.
func recode[T any](codec core.Codec) func(from, to string) {
	return func(from, to string) {
		in := core.NewTyped[T](must(core.Open[core.Queue](from)), codec)
		out := core.NewTyped[any](must(core.Open[core.Queue](to)), codec)
		for v, err := range in.All(ctx) {
			var refused *core.DecodeError
			switch {
			case errors.As(err, &refused):
				check(out.Put(ctx, err.Error()))
			case err != nil:
				log.Fatal(err)
			default:
				check(out.Put(ctx, v))
			}
		}
	}
}

// answer sends back what it receives, as one object in a list.
func answer(name, _ string) {
	c := must(core.OpenPipe(ctx, name))
	typed := core.NewTypedConn[[]any, any](c, pickle.Codec{})
	for v, err := range typed.All(ctx) {
		check(err)
		check(typed.Send(ctx, []any{v}))
	}
	check(c.Close())
}

// buffers puts back what it gets or, of what has buffers, a list of those.
func buffers(from, to string) {
	in := must(core.Open[core.Queue](from))
	out := must(core.Open[core.Queue](to))
	lists := core.NewTyped[[][]byte](out, pickle.Codec{})
	for {
		item, err := in.Get(ctx)
		switch {
		case err == core.ErrShutdown:
			return
		case err == nil:
			check(out.Put(ctx, item))
		case err == core.ErrBuffers:
			_, buffers, err := in.GetBuffers(ctx)
			check(err)
			check(lists.Put(ctx, buffers))
		default:
			log.Fatal(err)
		}
	}
}

func main() {
	log.SetFlags(0)
	parts := map[string]func(string, string){
		"echo": echo, "semaphores": semaphores, "events": events, "hold": hold, "pipe": pipe,
		"json": recode[any](json.Codec{}), "json records": recode[record](json.Codec{}),
		"msgpack": recode[any](msgpack.Codec{}), "msgpack records": recode[record](msgpack.Codec{}),
		"pickle": recode[any](pickle.Codec{}), "pickle records": recode[record](pickle.Codec{}),
		"answer": answer, "buffers": buffers,
	}
	parts[os.Args[1]](os.Args[2], os.Args[3])
}
