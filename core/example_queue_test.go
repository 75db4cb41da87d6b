package core_test

import (
	"context"
	"fmt"
	"log"
	"sync"

	"github.com/goprocessing/goprocessing/core"
	"github.com/goprocessing/goprocessing/core/codec/json"
)

func ExampleQueue() {
	q, err := core.NewQueue(core.MaxItems(2))
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	ctx := context.Background()
	for _, item := range []string{"a", "b"} {
		if err := q.Put(ctx, []byte(item)); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(q.TryPut([]byte("c")) == core.ErrFull)
	for range 2 {
		item, err := q.Get(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(item))
	}
	_, err = q.TryGet()
	fmt.Println(err == core.ErrEmpty)
	// Output:
	// true
	// a
	// b
	// true
}

func ExampleQueue_All() {
	q, err := core.NewQueue()
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	ctx := context.Background()
	var producer sync.WaitGroup
	defer producer.Wait()
	producer.Go(func() {
		for i := range 3 {
			if err := q.Put(ctx, fmt.Append(nil, "item ", i)); err != nil {
				log.Fatal(err)
			}
		}
		if err := q.Shutdown(false); err != nil {
			log.Fatal(err)
		}
	})
	for item, err := range q.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(item))
	}
	// Output:
	// item 0
	// item 1
	// item 2
}

func ExampleQueue_PutMany() {
	q, err := core.NewQueue()
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	ctx := context.Background()
	put, err := q.PutMany(ctx, [][]byte{[]byte("a"), []byte("b"), []byte("c")})
	fmt.Println(put, err)
	items, err := q.GetMany(ctx, 10)
	fmt.Printf("%s %v\n", items, err)
	// Output:
	// 3 <nil>
	// [a b c] <nil>
}

func ExampleJoinableQueue() {
	q, err := core.NewJoinableQueue()
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	ctx := context.Background()
	for i := range 3 {
		if err := q.Put(ctx, []byte{byte(i)}); err != nil {
			log.Fatal(err)
		}
	}
	sum := 0
	var consumer sync.WaitGroup
	consumer.Go(func() {
		for item, err := range q.All(ctx) {
			if err != nil {
				log.Fatal(err)
			}
			sum += int(item[0])
			if err := q.TaskDone(); err != nil {
				log.Fatal(err)
			}
		}
	})
	if err := q.Join(ctx); err != nil {
		log.Fatal(err)
	}
	if err := q.Shutdown(false); err != nil {
		log.Fatal(err)
	}
	consumer.Wait()
	fmt.Println(sum, q.Unfinished())
	// Output: 3 0
}

type job struct {
	Name  string
	Bytes int
}

func ExampleTyped() {
	q, err := core.NewQueue()
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	ctx := context.Background()
	jobs := core.NewTyped[job](q, json.Codec{})
	if err := jobs.Put(ctx, job{"a.txt", 5}); err != nil {
		log.Fatal(err)
	}
	if err := jobs.Put(ctx, job{"b.txt", 7}); err != nil {
		log.Fatal(err)
	}
	if err := q.Shutdown(false); err != nil {
		log.Fatal(err)
	}
	for j, err := range jobs.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(j.Name, j.Bytes)
	}
	// Output:
	// a.txt 5
	// b.txt 7
}
