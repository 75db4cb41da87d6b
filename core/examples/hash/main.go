// Hash is the part in Go of the example goprocessing.examples.hashing:
//
//	hash TASKS DIGESTS
//
// It takes names of files from the queue TASKS and puts their SHA-256 digests into the
// queue DIGESTS, with as many goroutines as there are CPUs to use, until TASKS is shut
// down and empty. Items are JSON.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"

	"github.com/goprocessing/goprocessing/core"
	"github.com/goprocessing/goprocessing/core/codec/json"
)

// digest is what becomes of a file.
type digest struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Error  string `json:"error"` // why there is none
}

func hash(path string) digest {
	d := digest{Path: path}
	f, err := os.Open(path)
	if err != nil {
		d.Error = err.Error()
		return d
	}
	defer f.Close()
	h := sha256.New()
	d.Size, err = io.Copy(h, f)
	if err != nil {
		d.Error = err.Error()
		return d
	}
	d.SHA256 = hex.EncodeToString(h.Sum(nil))
	return d
}

func work(ctx context.Context, tasks *core.Typed[string], digests *core.Typed[digest]) error {
	for path, err := range tasks.All(ctx) {
		if err != nil {
			return err
		}
		if err := digests.Put(ctx, hash(path)); err != nil {
			return err
		}
	}
	return nil
}

func run(ctx context.Context, from, to string) error {
	tasks, err := core.Open[core.Queue](from)
	if err != nil {
		return err
	}
	defer tasks.Close()
	digests, err := core.Open[core.Queue](to)
	if err != nil {
		return err
	}
	defer digests.Close()
	workers := runtime.GOMAXPROCS(0)
	results := make(chan error, workers)
	for range workers {
		go func() {
			results <- work(ctx, core.NewTyped[string](tasks, json.Codec{}),
				core.NewTyped[digest](digests, json.Codec{}))
		}()
	}
	for range workers {
		err = errors.Join(err, <-results)
	}
	return err
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("hash: ")
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: hash TASKS DIGESTS")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}
