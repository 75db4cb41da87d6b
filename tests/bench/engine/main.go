// Engine measures core.Queue between two Go processes: `engine rate N` prints the
// seconds in which N items of 64 bytes go from one to the other, `engine trips N`
// those of N round trips.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/goprocessing/goprocessing/core"
)

const itemSize = 64

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatalf("usage: %s rate|trips N", os.Args[0])
	}
	what, n := os.Args[1], must(strconv.Atoi(os.Args[2]))
	echo := map[string]bool{"rate": false, "trips": true}
	each, ok := echo[what]
	if !ok {
		log.Fatalf("%s: rate or trips is measured, not %s", os.Args[0], what)
	}
	if len(os.Args) == 4 {
		answer(n, each)
		return
	}
	fmt.Println(ask(what, n, each).Seconds())
}

// ask puts n items into a queue whose consumer is a process it starts.
func ask(what string, n int, each bool) time.Duration {
	there, back := must(core.NewQueue()), must(core.NewQueue())
	child := exec.Command(must(os.Executable()), what, strconv.Itoa(n), "answer")
	child.Stderr = os.Stderr
	for _, q := range []*core.Queue{there, back} {
		segment, bell, err := q.Files()
		check(err)
		child.ExtraFiles = append(child.ExtraFiles, segment, bell)
	}
	check(child.Start())
	exited := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		err := child.Wait()
		if err != nil {
			cancel()
		}
		exited <- err
	}()

	item := make([]byte, itemSize)
	must(back.Get(ctx)) // it is ready
	start := time.Now()
	for range n {
		check(there.Put(ctx, item))
		if each {
			must(back.Get(ctx))
		}
	}
	if !each {
		must(back.Get(ctx)) // it has them all
	}
	took := time.Since(start)
	check(<-exited)
	return took
}

// answer is the consumer: it answers to each item, or to the last one.
func answer(n int, each bool) {
	ctx := context.Background()
	// os/exec: entry i of ExtraFiles is descriptor 3+i.
	there := must(core.OpenQueue(os.NewFile(3, "segment"), os.NewFile(4, "bell")))
	back := must(core.OpenQueue(os.NewFile(5, "segment"), os.NewFile(6, "bell")))
	check(back.Put(ctx, nil))
	for range n {
		item := must(there.Get(ctx))
		if len(item) != itemSize {
			log.Fatalf("an item of %d bytes arrived", len(item))
		}
		if each {
			check(back.Put(ctx, item))
		}
	}
	if !each {
		check(back.Put(ctx, nil))
	}
}
