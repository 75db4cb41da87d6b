package stream

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

const (
	childVariable = "GOPROCESSING_TEST_CHILD"
	// killsVariable is how many processes a test kills, for a long run.
	killsVariable = "GOPROCESSING_TEST_KILLS"
)

var forever = &futex.Limit{How: futex.Block, Deadline: futex.Forever}

// traffic is what goes through the streams of a test: producers put it into stream
// 0, others move it to stream 1. Each function has a segment and the state of a
// process for itself.
type traffic struct {
	produce, move func(*shm.Segment) error
	// consume takes what is in a stream, at least one item unless that is empty.
	consume func(q *Stream, s *shm.Segment, seen func(item)) error
	atOnce  int // items that a process that moves them may have between the streams
}

var traffics = map[string]traffic{
	"items": itemsOf(item.record),
	// So little data that a process is killed at work on the shared state rather
	// than copying.
	"extents": itemsOf(item.little),
	"batches": {produceBatches, moveBatches, consumeBatch, batchItems},
}

func itemsOf(record func(item) *Record) traffic {
	return traffic{
		func(s *shm.Segment) error { return produceItems(s, record) },
		func(s *shm.Segment) error { return moveItems(s, record) },
		func(q *Stream, s *shm.Segment, seen func(item)) error {
			r := receiver{record: record}
			i, err := r.receive(q, s, now)
			r.release(s, 0)
			if err == nil {
				seen(i)
			}
			return err
		},
		1,
	}
}

// item tells the items of a test apart: by its producer, and how many that one put
// before. Producers are numbered at random: pids are used again in a long run.
type item struct {
	producer uint64
	n        uint32
}

func newProducer() item { return item{producer: rand.Uint64()} }

// noise is what items are cut out of.
var noise = func() []byte {
	b := make([]byte, 4<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
}()

func (i item) header() []byte {
	return binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint64(nil, i.producer), i.n)
}

// bytes returns the kth piece of the item.
func (i item) bytes(k, size uint32) []byte {
	offset := (uint32(i.producer) + i.n*101 + k*13) % (1 << 19)
	return noise[offset:][:size]
}

func (i item) record() *Record {
	const large, larger = largeItem + 40_000, 3 << 20
	sizes := [...]uint32{10, 100_000, large, 1, larger, 50_000, large}
	r := &Record{Parts: [3][]byte{i.header(), i.bytes(0, sizes[i.n%7])}}
	buffers := [...][]uint32{{}, {large}, {}, {5, 100_000, large}, {}}
	for k, size := range buffers[i.n%5] {
		r.Buffers = append(r.Buffers, i.bytes(uint32(k)+1, size))
	}
	return r
}

func (i item) little() *Record {
	r := &Record{Parts: [3][]byte{i.header()}}
	for k := range i.n % 4 {
		r.Buffers = append(r.Buffers, i.bytes(k, 16))
	}
	return r
}

func (i item) small() []byte { return append(i.header(), i.bytes(0, i.n*31%3000)...) }

func itemOf(data []byte) item {
	return item{binary.NativeEndian.Uint64(data), binary.NativeEndian.Uint32(data[8:])}
}

func torn(i item) error { return fmt.Errorf("item %d of producer %x is torn", i.n, i.producer) }

func produceItems(s *shm.Segment, record func(item) *Record) error {
	for i := newProducer(); ; i.n++ {
		if err := Of(s, 0).Put(s, nil, record(i), forever); err != nil {
			return err
		}
	}
}

// receiver receives items, and keeps the extents of some for a while.
type receiver struct {
	record func(item) *Record
	buf    []byte
	held   []Ref
}

func (to *receiver) receive(q *Stream, s *shm.Segment, l *futex.Limit) (item, error) {
	x := ExtentsOf(s)
	r, err := q.Receive(s, to.buf, l)
	for ; err == ErrTooLong; r, err = q.Receive(s, to.buf, l) {
		to.buf = make([]byte, r.Len)
	}
	if err != nil {
		return item{}, err
	}
	buf := to.buf[:r.Len]
	var pieces [][]byte
	for range r.Refs {
		ref := DecodeRef(buf)
		piece, err := x.Bytes(ref)
		if err != nil {
			return item{}, err
		}
		to.held = append(to.held, ref)
		pieces = append(pieces, piece)
		buf = buf[refSize:]
	}
	data := buf
	if r.Whole {
		data, pieces = pieces[0], nil
	}
	i := itemOf(data)
	want := to.record(i)
	if !bytes.Equal(data, append(want.Parts[0], want.Parts[1]...)) || len(pieces) != len(want.Buffers) {
		return i, torn(i)
	}
	for k := range pieces {
		if !bytes.Equal(pieces[k], want.Buffers[k]) {
			return i, torn(i)
		}
	}
	return i, nil
}

// release gives back the extents of items received, all but the last few.
func (to *receiver) release(s *shm.Segment, but int) {
	for len(to.held) > but {
		ExtentsOf(s).Release(to.held[0])
		to.held = to.held[1:]
	}
}

func moveItems(s *shm.Segment, record func(item) *Record) error {
	r := receiver{record: record}
	for {
		i, err := r.receive(Of(s, 0), s, forever)
		if err != nil {
			return err
		}
		if err := Of(s, 1).Put(s, nil, record(i), forever); err != nil {
			return err
		}
		r.release(s, int(i.n%4))
	}
}

const batchItems = 10

func produceBatches(s *shm.Segment) error {
	i := newProducer()
	for {
		var b Batch
		for range 1 + i.n%batchItems {
			b = b.Append(i.small())
			i.n++
		}
		if _, _, err := Of(s, 0).PutMany(s, nil, b, forever); err != nil {
			return err
		}
	}
}

func moveBatches(s *shm.Segment) error {
	buf := make([]byte, 40_000)
	for limit := uint64(1); ; limit = limit%batchItems + 1 {
		_, size, err := Of(s, 0).GetMany(s, buf, limit, forever)
		if err != nil {
			return err
		}
		if _, _, err := Of(s, 1).PutMany(s, nil, buf[:size], forever); err != nil {
			return err
		}
	}
}

func consumeBatch(q *Stream, s *shm.Segment, seen func(item)) error {
	buf := make([]byte, 40_000)
	n, size, err := q.GetMany(s, buf, batchItems, now)
	if err != nil {
		return err
	}
	b := Batch(buf[:size])
	for range n {
		var data []byte
		if data, b, err = b.Next(); err != nil {
			return err
		}
		i := itemOf(data)
		if !bytes.Equal(data, i.small()) {
			return torn(i)
		}
		seen(i)
	}
	return nil
}

// runChild is what a process does that start started.
func runChild(what string) error {
	s := new(shm.Segment)
	if err := s.Open(3, shm.KindQueue); err != nil {
		return err
	}
	switch role, name := what[:4], what[5:]; role {
	case "step":
		return runAlone(s)
	case "move":
		return traffics[name].move(s)
	default:
		return traffics[name].produce(s)
	}
}

func start(t testing.TB, s *shm.Segment, role, name string) *exec.Cmd {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "segment")
	defer file.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+role+" "+name)
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	return cmd
}

// kill reports whether the process was killed, and had not ended by itself.
func kill(cmd *exec.Cmd) bool {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	return cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
}

func numberOfKills(t testing.TB) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv(killsVariable)); err == nil {
		return n
	}
	if testing.Short() {
		return 10
	}
	return 60
}

// Processes that put and that move items from one stream of a segment to the other
// are killed at any instruction, some after they were stopped for a while. No item is
// torn, none comes twice, and none is lost but those that a dead process had taken;
// and what the dead owned is found.
func TestKilledAtRandom(t *testing.T) {
	for name, traffic := range traffics {
		t.Run(name, func(t *testing.T) {
			streams, s := newStreams(t, 2, 20, 0)
			roles := [...]string{"make", "move", "move", "make"}
			var running [len(roles)]*exec.Cmd
			for i, role := range roles {
				running[i] = start(t, s, role, name)
			}

			var arrivals atomic.Uint64
			came := map[item]bool{}
			last := map[uint64]uint32{}
			seen := func(i item) {
				if came[i] {
					t.Errorf("item %d of producer %x came twice", i.n, i.producer)
				}
				came[i] = true
				last[i.producer] = max(last[i.producer], i.n)
				arrivals.Add(1)
			}
			var done atomic.Bool
			consumed := make(chan struct{})
			var most int64
			go func() {
				var err error
				for err == nil && !done.Load() {
					most = max(most, memory(t, s))
					err = traffic.consume(streams[1], s, seen)
					if err == ErrEmpty {
						brief := &futex.Limit{How: futex.Sleep, Deadline: futex.Now() + 1e7}
						if err = streams[1].AwaitItem(s, brief); err == unix.ETIMEDOUT {
							err = nil
						}
					}
				}
				if err != nil {
					t.Error(err)
				}
				close(consumed)
			}()

			kills, movers := numberOfKills(t), len(roles)/2
			for i := range kills {
				k := i % len(roles)
				before := arrivals.Load()
				for end := time.Now().Add(time.Minute); arrivals.Load() == before; {
					if time.Now().After(end) {
						t.Fatalf("nothing came any more after %d kills", i)
					}
					time.Sleep(100 * time.Microsecond)
				}
				time.Sleep(time.Duration(rand.N(20_000_000)))
				if i%5 == 0 {
					_ = running[k].Process.Signal(unix.SIGSTOP)
					time.Sleep(time.Duration(rand.N(50_000_000)))
				}
				if !kill(running[k]) {
					t.Error("a process ended by itself")
				}
				if roles[k] == "move" {
					movers++
				}
				running[k] = start(t, s, roles[k], name)
			}
			for _, cmd := range running {
				if !kill(cmd) {
					t.Error("a process ended by itself")
				}
			}
			done.Store(true)
			<-consumed

			for _, q := range streams {
				err := error(nil)
				for err == nil {
					err = traffic.consume(q, s, seen)
				}
				if err != ErrEmpty {
					t.Fatal(err)
				}
				// The next number may be that of an item that was never put.
				put(t, q, s, nil)
				get(t, q, s)
			}
			ExtentsOf(s).RecoverLost()
			if owned := checkExtents(t, s); owned != 0 {
				t.Errorf("%d extents have an owner", owned)
			}
			all := 0
			for _, n := range last {
				all += int(n) + 1
			}
			lost := all - len(came)
			if lost > movers*traffic.atOnce {
				t.Errorf("%d of %d items are lost with %d processes", lost, all, movers)
			}
			t.Logf("%d kills, %d items, %d lost; at most %d KiB, at the end %d", kills, all, lost, most>>10, memory(t, s)>>10)
		})
	}
}
