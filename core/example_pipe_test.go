package core_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"sync"

	"github.com/goprocessing/goprocessing/core"
	"github.com/goprocessing/goprocessing/core/codec/json"
)

func ExamplePipe() {
	receiver, sender, err := core.Pipe(false)
	if err != nil {
		log.Fatal(err)
	}
	defer receiver.Close()
	ctx := context.Background()
	if err := sender.Send(ctx, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	if err := sender.Close(); err != nil {
		log.Fatal(err)
	}
	msg, err := receiver.Recv(ctx)
	fmt.Println(string(msg), err)
	_, err = receiver.Recv(ctx)
	fmt.Println(err == io.EOF)
	// Output:
	// hello <nil>
	// true
}

func ExampleConn() {
	a, b, err := core.Pipe(true)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	ctx := context.Background()
	var server sync.WaitGroup
	defer server.Wait()
	server.Go(func() {
		defer b.Close()
		for msg, err := range b.All(ctx) {
			if err != nil {
				log.Fatal(err)
			}
			if err := b.Send(ctx, append(msg, '!')); err != nil {
				log.Fatal(err)
			}
			if string(msg) == "bye" {
				return
			}
		}
	})
	for _, msg := range []string{"hello", "bye"} {
		if err := a.Send(ctx, []byte(msg)); err != nil {
			log.Fatal(err)
		}
	}
	for answer, err := range a.All(ctx) {
		fmt.Println(string(answer), err)
	}
	// Output:
	// hello! <nil>
	// bye! <nil>
}

func ExampleTypedConn() {
	a, b, err := core.Pipe(true)
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()
	defer b.Close()
	ctx := context.Background()
	client := core.NewTypedConn[string, int](a, json.Codec{})
	server := core.NewTypedConn[int, string](b, json.Codec{})
	if err := client.Send(ctx, "how long"); err != nil {
		log.Fatal(err)
	}
	question, err := server.Recv(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if err := server.Send(ctx, len(question)); err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.Recv(ctx))
	// Output: 8 <nil>
}
