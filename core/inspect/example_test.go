package inspect_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/goprocessing/goprocessing/core"
	"github.com/goprocessing/goprocessing/core/inspect"
)

// name returns one that no other process uses meanwhile.
func name(what string) string { return fmt.Sprint("example-", what, "-", os.Getpid()) }

func ExampleTake() {
	jobs, err := core.Create[core.Queue](name("jobs"), core.MaxItems(3), core.UnlinkOnClose())
	if err != nil {
		log.Fatal(err)
	}
	defer jobs.Close()
	lock, err := core.Create[core.Lock](name("lock"), core.UnlinkOnClose())
	if err != nil {
		log.Fatal(err)
	}
	defer lock.Close()
	if err := jobs.TryPut([]byte("job")); err != nil {
		log.Fatal(err)
	}
	if err := lock.Lock(context.Background()); err != nil {
		log.Fatal(err)
	}
	defer lock.Unlock()

	s, err := inspect.Take() // in any process of the same user
	if err != nil {
		log.Fatal(err)
	}
	for _, o := range s.Objects {
		switch o.Name {
		case name("jobs"):
			stream := o.Streams[0]
			fmt.Println(o.Kind, stream.Depth, "of", stream.MaxItems, o.Users[0] == os.Getpid())
		case name("lock"):
			holder := o.Holders[0]
			fmt.Println(o.Kind, "held", holder.Alive, holder.PID == os.Getpid())
		}
	}
	// Unordered output:
	// queue 1 of 3 true
	// lock held true true
}
