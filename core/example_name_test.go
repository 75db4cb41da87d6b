package core_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"sync"

	"github.com/goprocessing/goprocessing/core"
)

// name returns one that no other process uses meanwhile.
func name() string { return fmt.Sprint("example-", os.Getpid()) }

func ExampleCreate() {
	name := name() // such as "jobs"
	q, err := core.Create[core.Queue](name, core.MaxItems(100), core.UnlinkOnClose())
	if err != nil {
		log.Fatal(err)
	}
	_, err = core.Create[core.Queue](name)
	fmt.Println(errors.Is(err, fs.ErrExist))

	same, err := core.Open[core.Queue](name) // in any process
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(same.MaxItems(), same.Close(), q.Close())
	_, err = core.Open[core.Queue](name)
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output:
	// true
	// 100 <nil> <nil>
	// true
}

// Whoever comes first makes the lock.
func ExampleOpen() {
	name := name()
	lock, err := core.Open[core.Lock](name, core.OrCreate())
	if err != nil {
		log.Fatal(err)
	}
	defer lock.Close()
	other, err := core.Open[core.Lock](name, core.OrCreate())
	if err != nil {
		log.Fatal(err)
	}
	defer other.Close()
	fmt.Println(lock.Lock(context.Background()), other.TryLock())
	fmt.Println(core.Unlink(name))
	// Output:
	// <nil> false
	// <nil>
}

func ExampleOpenPipe() {
	name := name()
	ctx := context.Background()
	var peer sync.WaitGroup
	defer peer.Wait()
	peer.Go(func() { // or another process
		out, err := core.OpenPipe(ctx, name, core.WriteOnly())
		if err != nil {
			log.Fatal(err)
		}
		defer out.Close()
		if err := out.Send(ctx, []byte("hello")); err != nil {
			log.Fatal(err)
		}
	})
	in, err := core.OpenPipe(ctx, name, core.ReadOnly())
	if err != nil {
		log.Fatal(err)
	}
	defer in.Close()
	for msg, err := range in.All(ctx) {
		fmt.Println(string(msg), err)
	}
	// Output: hello <nil>
}
