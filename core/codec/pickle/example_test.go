package pickle_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/goprocessing/goprocessing/core"
	"github.com/goprocessing/goprocessing/core/codec/pickle"
)

// Python puts {"name": "a.txt", "sizes": (5, 7)} and the like.
func ExampleCodec() {
	type file struct {
		Name  string `json:"name"`
		Sizes [2]int `json:"sizes"`
	}
	q, err := core.NewQueue()
	if err != nil {
		log.Fatal(err)
	}
	defer q.Close()
	ctx := context.Background()
	files := core.NewTyped[file](q, pickle.Codec{})
	if err := files.Put(ctx, file{"a.txt", [2]int{5, 7}}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(files.Get(ctx))
	// Output: {a.txt [5 7]} <nil>
}

func ExampleUnmarshal() {
	var v any
	// pickle.dumps((None, [1, 2.5], "text", b"bytes"))
	err := pickle.Unmarshal([]byte("\x80\x04\x95#\x00\x00\x00\x00\x00\x00\x00(N]\x94(K\x01G@\x04\x00\x00\x00\x00\x00\x00e\x8c\x04text\x94C\x05bytes\x94t\x94."), &v)
	fmt.Printf("%#v %v\n", v, err)
	err = pickle.Unmarshal([]byte("cposix\nsystem\n\x8c\x06reboot\x85R."), &v)
	fmt.Println(errors.Is(err, pickle.ErrNotPlain), err)
	// Output:
	// pickle.Tuple{interface {}(nil), []interface {}{1, 2.5}, "text", []uint8{0x62, 0x79, 0x74, 0x65, 0x73}} <nil>
	// true pickle: not plain data: it calls posix.system
}
