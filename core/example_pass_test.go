package core_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"

	"github.com/goprocessing/goprocessing/core"
)

// A program starts itself a second time, as a worker.
func init() {
	if len(os.Args) == 2 && os.Args[1] == "worker" {
		worker()
		os.Exit(0)
	}
}

func worker() {
	jobs, err := core.Inherited[core.Queue]("jobs")
	if err != nil {
		log.Fatal(err)
	}
	results, err := core.Inherited[core.Queue]("results")
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for job, err := range jobs.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if err := results.Put(ctx, append(job, " is done"...)); err != nil {
			log.Fatal(err)
		}
	}
}

func ExamplePass() {
	cmd := exec.Command(os.Args[0], "worker")
	queues := map[string]*core.Queue{}
	for _, name := range []string{"jobs", "results"} {
		q, err := core.NewQueue()
		if err != nil {
			log.Fatal(err)
		}
		defer q.Close()
		if err := core.Pass(cmd, name, q); err != nil {
			log.Fatal(err)
		}
		queues[name] = q
	}
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	for _, f := range cmd.ExtraFiles {
		if err := f.Close(); err != nil {
			log.Fatal(err)
		}
	}

	ctx := context.Background()
	if err := queues["jobs"].Put(ctx, []byte("the first job")); err != nil {
		log.Fatal(err)
	}
	result, err := queues["results"].Get(ctx)
	fmt.Println(string(result), err)
	fmt.Println(queues["jobs"].Shutdown(false), cmd.Wait())
	// Output:
	// the first job is done <nil>
	// <nil> <nil>
}
