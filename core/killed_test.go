package core

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/stream"
	"golang.org/x/sys/unix"
)

// killsVariable is how many processes a test kills, for a long run.
const killsVariable = "GOPROCESSING_TEST_KILLS"

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

// parcel tells the items of a test apart: by its producer, and how many that one put
// before. Producers are numbered at random: pids are used again in a long run.
type parcel struct {
	producer uint64
	n        uint32
}

const sizeOfNoise = 4 << 20

// noise is what parcels are cut out of.
var noise = sync.OnceValue(func() []byte {
	b := make([]byte, sizeOfNoise)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b)
	return b
})

func (p parcel) bytes(size int) []byte {
	return noise()[(uint32(p.producer)+p.n*101+uint32(size))%(1<<19):][:size]
}

func (p parcel) header() []byte {
	return binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint64(nil, p.producer), p.n)
}

// item is the parcel as an item of one of many sizes, with buffers or without.
func (p parcel) item() *Item {
	sizes := [...]int{10, 100_000, 300_000, 0, 3 << 20, 50_000, 300_000}
	buffers := [...][]int{{}, {300_000}, {}, {5, 100_000, 300_000}, {}}
	item := &Item{Parts: [3][]byte{p.header(), p.bytes(sizes[p.n%7])}}
	for _, size := range buffers[p.n%5] {
		item.Buffers = append(item.Buffers, p.bytes(size))
	}
	return item
}

// large is the parcel as an item with buffers, most of them so small that processes are
// rather at work on the extents than copying.
func (p parcel) large() *Item {
	item := &Item{Parts: [3][]byte{p.header()}}
	for k := range (p.n + 1) % 4 {
		size := 16
		if p.n%19 == 0 {
			size = 300_000 * int(k)
		}
		item.Buffers = append(item.Buffers, p.bytes(size))
	}
	return item
}

// small is the parcel as a small item.
func (p parcel) small() []byte {
	return append(p.header(), p.bytes(int(p.n*31%childSizes))...)
}

func parcelOf(data []byte) parcel {
	return parcel{binary.NativeEndian.Uint64(data), binary.NativeEndian.Uint32(data[8:])}
}

func (p parcel) torn() error { return fmt.Errorf("item %d of producer %x is torn", p.n, p.producer) }

// way is a queue or a pipe on which processes put or receive.
type way struct {
	segment *Segment
	form    func(parcel) *Item // of what is put and received
	put     func(*Item, *Limit) error
	receive func([]byte, *Limit) (Received, error)
	queue   *Queue // nil: a pipe
	buf     []byte
	held    []Ref // extents received
}

// streams returns how many there are in the segment.
func (w *way) streams() uint32 {
	if w.queue == nil {
		return 2
	}
	return 1
}

func wayOfQueue(q *Queue) *way {
	return &way{segment: &q.s, form: parcel.item, put: q.PutItemWithin, receive: q.ReceiveWithin, queue: q}
}

func wayOfConn(c *Conn) *way {
	return &way{segment: &c.s, form: parcel.item, put: c.SendItemWithin, receive: c.ReceiveWithin}
}

// take receives an item, whose extents it keeps.
func (w *way) take(l *Limit) (parcel, error) {
	r, err := w.receive(w.buf, l)
	for ; err == ErrTooLong; r, err = w.receive(w.buf, l) {
		w.buf = make([]byte, r.Len)
	}
	if err != nil {
		return parcel{}, err
	}
	data := w.buf[:r.Len]
	var buffers [][]byte
	for range r.Refs {
		ref := stream.DecodeRef(data)
		b, err := Extent(w.segment, ref)
		if err != nil {
			return parcel{}, err
		}
		w.held = append(w.held, ref)
		buffers = append(buffers, b)
		data = data[16:]
	}
	if r.Whole {
		data, buffers = buffers[0], nil
	}
	p := parcelOf(data)
	item := w.form(p)
	if !bytes.Equal(data, append(item.Parts[0], item.Parts[1]...)) || len(buffers) != len(item.Buffers) {
		return p, p.torn()
	}
	for i := range buffers {
		if !bytes.Equal(buffers[i], item.Buffers[i]) {
			return p, p.torn()
		}
	}
	return p, nil
}

// release gives back what was received, but for the last few extents.
func (w *way) release(but int) {
	for len(w.held) > but {
		ReleaseExtent(w.segment, w.held[0])
		w.held = w.held[1:]
	}
}

func always() *Limit { return within(context.Background()) }

// produce puts items until done.
func (w *way) produce(many bool, done *atomic.Bool) error {
	for p := (parcel{producer: rand.Uint64()}); !done.Load(); {
		if !many {
			if err := w.put(w.form(p), always()); err != nil {
				return err
			}
			p.n++
			continue
		}
		var b Batch
		for range 1 + p.n%parcels {
			b = b.Append(p.small())
			p.n++
		}
		if _, _, err := w.queue.PutManyWithin(b, always()); err != nil {
			return err
		}
	}
	return nil
}

// parcels is how many items a batch has at most.
const parcels = 10

// move takes items and puts them on another way, for ever.
func (w *way) move(to *way, many bool) error {
	buf := make([]byte, parcels*(8+16+childSizes))
	for limit := uint64(1); ; limit = limit%parcels + 1 {
		if many {
			_, size, err := w.queue.GetManyWithin(buf, limit, always())
			if err != nil {
				return err
			}
			if _, _, err := to.queue.PutManyWithin(buf[:size], always()); err != nil {
				return err
			}
			continue
		}
		p, err := w.take(always())
		if err != nil {
			return err
		}
		if err := to.put(to.form(p), always()); err != nil {
			return err
		}
		w.release(int(p.n % 4))
	}
}

// consume takes an item or a batch.
func (w *way) consume(many bool, l *Limit, seen func(parcel)) error {
	if !many {
		p, err := w.take(l)
		w.release(0)
		if err == nil {
			seen(p)
		}
		return err
	}
	buf := make([]byte, parcels*(8+16+childSizes))
	n, size, err := w.queue.GetManyWithin(buf, parcels, l)
	if err != nil {
		return err
	}
	b := Batch(buf[:size])
	for range n {
		var data []byte
		if data, b, err = b.Next(); err != nil {
			return err
		}
		p := parcelOf(data)
		if !bytes.Equal(data, p.small()) {
			return p.torn()
		}
		seen(p)
	}
	return nil
}

// post is ways that processes share: producers put on first, movers receive from
// second and put on third, and the test receives from fourth.
type post [4]*way

var posts = map[string]struct {
	many bool
	form func(parcel) *Item
	make func(testing.TB) (post, []*os.File)
	open func([]*os.File) (post, error)
}{
	"queues":            {false, parcel.item, makeQueues, openQueues},
	"queues of batches": {true, parcel.item, makeQueues, openQueues},
	"queues of extents": {false, parcel.large, makeQueues, openQueues},
	"pipe":              {false, parcel.item, makePipe, openPipe},
}

// of has the ways carry items of some form.
func (ways post) of(form func(parcel) *Item) post {
	for _, w := range ways {
		w.form = form
	}
	return ways
}

func makeQueues(t testing.TB) (post, []*os.File) {
	q, back := newPlainQueue(t, 20), newPlainQueue(t, 20)
	first, last := wayOfQueue(&q.Queue), wayOfQueue(&back.Queue)
	return post{first, first, last, last}, shareQueues(t, q, back)
}

func openQueues(files []*os.File) (post, error) {
	var ways [2]*way
	for i := range ways {
		q, err := OpenQueue(files[2*i], files[2*i+1])
		if err != nil {
			return post{}, err
		}
		ways[i] = wayOfQueue(q)
	}
	return post{ways[0], ways[0], ways[1], ways[1]}, nil
}

func makePipe(t testing.TB) (post, []*os.File) {
	a, b := newPipe(t, true)
	var files []*os.File
	for _, c := range []*Conn{a, b} {
		segment, sock, err := c.Files()
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, segment, sock)
	}
	t.Cleanup(func() {
		for _, f := range files {
			_ = f.Close()
		}
	})
	return post{wayOfConn(a), wayOfConn(b), wayOfConn(b), wayOfConn(a)}, files
}

func openPipe(files []*os.File) (post, error) {
	var ways [2]*way
	for i := range ways {
		c, err := OpenConn(files[2*i], files[2*i+1], uint32(i), Readable|Writable)
		if err != nil {
			return post{}, err
		}
		ways[i] = wayOfConn(c)
	}
	return post{ways[0], ways[1], ways[1], ways[0]}, nil
}

func init() {
	for name, p := range posts {
		children["produce for "+name] = func(files []*os.File) error {
			ways, err := p.open(files)
			if err != nil {
				return err
			}
			return ways.of(p.form)[0].produce(p.many, new(atomic.Bool))
		}
		children["move in "+name] = func(files []*os.File) error {
			ways, err := p.open(files)
			if err != nil {
				return err
			}
			ways.of(p.form)
			return ways[1].move(ways[2], p.many)
		}
	}
}

// Processes that put and that move items are killed at any instruction, some after
// they were stopped for a while. This one, which puts and receives, goes on. No item
// is torn, none comes twice, and none is lost but those that a dead process had taken;
// and the memory that the dead had is given back.
func TestKilledAtRandom(t *testing.T) {
	for name, p := range posts {
		t.Run(name, func(t *testing.T) {
			ways, files := p.make(t)
			ways.of(p.form)
			roles := [...]string{"produce for ", "move in ", "move in "}
			var running [len(roles)]*exec.Cmd
			for i, role := range roles {
				running[i] = startChild(t, role+name, files...)
			}

			var arrivals atomic.Uint64
			came := map[parcel]bool{}
			last := map[uint64]uint32{}
			seen := func(p parcel) {
				if came[p] {
					t.Errorf("item %d of producer %x came twice", p.n, p.producer)
				}
				came[p] = true
				last[p.producer] = max(last[p.producer], p.n)
				arrivals.Add(1)
			}
			var produced, done atomic.Bool
			var producer, consumer sync.WaitGroup
			var most int64
			producer.Go(func() {
				if err := ways[0].produce(p.many, &produced); err != nil {
					t.Error(err)
				}
			})
			consumer.Go(func() {
				for !done.Load() {
					for _, w := range ways {
						most = max(most, memoryOf(t, w.segment))
					}
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
					err := ways[3].consume(p.many, within(ctx), seen)
					cancel()
					if err != nil && err != context.DeadlineExceeded {
						t.Error(err)
						return
					}
				}
			})

			kills, movers := numberOfKills(t), len(roles)-1
			for i := range kills {
				k := i % len(roles)
				before := arrivals.Load()
				await(t, "an item", func() bool { return arrivals.Load() != before })
				time.Sleep(time.Duration(rand.N(20_000_000)))
				if i%5 == 0 {
					_ = running[k].Process.Signal(unix.SIGSTOP)
					time.Sleep(time.Duration(rand.N(50_000_000)))
				}
				killChild(t, running[k])
				if k > 0 {
					movers++
				}
				running[k] = startChild(t, roles[k]+name, files...)
			}
			// As long as there are movers, for it waits for room.
			produced.Store(true)
			producer.Wait()
			for _, cmd := range running {
				killChild(t, cmd)
			}
			done.Store(true)
			consumer.Wait()

			for _, w := range []*way{ways[1], ways[3]} {
				err := error(nil)
				for err == nil {
					err = w.consume(p.many, atOnce(), seen)
				}
				if Errno(err) != unix.EAGAIN {
					t.Fatal(err)
				}
			}
			for i := 0; i < 4; i += 2 {
				// Its number may be that of an item that was never put.
				if err := ways[i].put(ways[i].form(parcel{}), atOnce()); err != nil {
					t.Fatal(err)
				}
				if _, err := ways[i+1].take(atOnce()); err != nil {
					t.Fatal(err)
				}
				ways[i+1].release(0)
			}
			for _, w := range ways {
				if err := checkSegment(w.segment, w.streams()); err != nil {
					t.Error(err)
				}
			}
			all := 0
			for _, n := range last {
				all += int(n) + 1
			}
			atOnce := 1
			if p.many {
				atOnce = parcels
			}
			lost := all - len(came)
			if lost > movers*atOnce {
				t.Errorf("%d of %d items are lost with %d processes", lost, all, movers)
			}
			t.Logf("%d kills, %d items, %d lost, at most %d KiB", kills, all, lost, most>>10)
		})
	}
}

// checkSegment validates streams that nobody uses, and in which nothing is.
func checkSegment(s *Segment, streams uint32) error {
	for i := range streams {
		t := stream.Of(s, i)
		if n := t.Len(); n != 0 {
			return fmt.Errorf("%d items are left", n)
		}
		if err := t.Check(s); err != nil {
			return err
		}
	}
	x := stream.ExtentsOf(s)
	x.RecoverLost()
	owned, err := x.Check()
	if err == nil && owned != 0 {
		err = fmt.Errorf("%d extents are lost", owned)
	}
	return err
}

// killChild kills a process that is not to have ended by itself.
func killChild(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Error(err)
	}
}

// memoryOf returns how many bytes of memory a segment takes.
func memoryOf(t testing.TB, s *Segment) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(int(s.FD), &st); err != nil {
		t.Error(err)
	}
	return st.Blocks * 512
}
