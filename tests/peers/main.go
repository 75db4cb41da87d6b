// Peers is the process in Go of tests in which unrelated processes meet by name. It does
// what peer.py does.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/goprocessing/goprocessing/core"
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

func main() {
	log.SetFlags(0)
	parts := map[string]func(string, string){
		"echo": echo, "semaphores": semaphores, "events": events, "hold": hold,
	}
	parts[os.Args[1]](os.Args[2], os.Args[3])
}
