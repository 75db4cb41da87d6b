package msgpack_test

import (
	"context"
	"fmt"
	"log"

	"github.com/goprocessing/goprocessing/core"
	"github.com/goprocessing/goprocessing/core/codec/msgpack"
)

// Python has the queue with codec="msgpack", and puts {"name": "a.txt", "size": 5}.
func ExampleCodec() {
	type file struct {
		Name string `json:"name"`
		Size int    `json:"size"`
	}
	q, err := core.NewQueue()
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	ctx := context.Background()
	files := core.NewTyped[file](q, msgpack.Codec{})
	if err := files.Put(ctx, file{"a.txt", 5}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(files.Get(ctx))
	// Output: {a.txt 5} <nil>
}
