//go:build crash

package core

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/stream"
	"golang.org/x/sys/unix"
)

// primitives by their names.
var primitives = map[string]primitive{
	"queue":               carrying([]string{"internal/stream/stream", "internal/stream/chunk", "internal/futex/", "internal/shm/"}, parcel.plain, queues(0)),
	"bounded queue":       carrying([]string{"internal/stream/stream", "internal/futex/"}, parcel.plain, queues(3)),
	"queue of extents":    carrying([]string{"internal/stream/extent", "internal/stream/record"}, parcel.large, queues(0)),
	"queue of batches":    carryingBatches([]string{"internal/stream/batch", "internal/stream/stream", "internal/stream/chunk", "internal/futex/"}, queues(20)),
	"watched queue":       watchedQueue(),
	"duplex pipe":         carrying([]string{"conn", "internal/socket/", "internal/stream/stream"}, parcel.mixed, duplexPipe),
	"simplex pipes":       carrying([]string{"conn", "internal/socket/", "internal/futex/"}, parcel.plain, simplexPipes),
	"watched pipe":        carrying([]string{"conn", "internal/socket/"}, parcel.plain, watchedPipe),
	"joinable queue":      joinable,
	"redelivered queue":   redelivered,
	"shutdown":            shutdowns,
	"handles":             handles,
	"lock":                semaphores(1),
	"semaphore":           semaphores(3),
	"rlock":               rlocks,
	"robust locks":        robustLocks,
	"event":               events,
	"condition":           conditions,
	"barrier":             barriers,
	"arena":               arenas,
	"create, open, close": lives,
	"names":               names,
}

func watchedQueue() primitive {
	p := carrying([]string{"internal/stream/doorbell", "internal/stream/stream", "internal/futex/mutex"}, parcel.mixed, watchedQueues)
	// Who only tries gives up while the bell is a dead process's.
	p.plots = [][]fate{{{"produce", "put unlocked"}, {"move", "doorbell locked"}, {"try", "extents unqueued"}}}
	return p
}

// plain is the parcel as an item of its data only, seldom of more than a chunk.
func (p parcel) plain() *Item {
	sizes := [...]int{0, 3000, 50, 0, 9, 90_000, 700, 20_000}
	return &Item{Parts: [3][]byte{p.header(), p.bytes(sizes[p.n%8])}}
}

func (p parcel) mixed() *Item {
	if p.n%3 == 0 {
		return p.large()
	}
	return p.plain()
}

// posted is a scene of producers, of movers and of a consumer: see post.
type posted struct {
	post
	inherited []*os.File
	many      bool
	watched   []func() (fd int, err error) // by those who receive, before they do
	closers   []interface{ Close() error }

	// Of the round.
	mu    sync.Mutex
	own   parcel // of the producer here: its number is how many it has put
	came  map[uint64]map[uint32]bool
	twice error
}

const (
	idle   = iota
	moving // it may have taken something
)

type opening struct {
	make func(testing.TB) *posted
	open func([]*os.File) (post, error)
}

// carrying is the primitive that carries items of some form.
func carrying(sources []string, form func(parcel) *Item, o opening) primitive {
	return carryingAny(sources, form, false, o)
}

func carryingBatches(sources []string, o opening) primitive {
	return carryingAny(sources, parcel.item, true, o)
}

func carryingAny(sources []string, form func(parcel) *Item, many bool, o opening) primitive {
	role := func(work func(ways post, p *plight) error) func([]*os.File, *plight) error {
		return func(files []*os.File, p *plight) error {
			ways, err := o.open(files)
			if err != nil {
				return err
			}
			return work(ways.of(form), p)
		}
	}
	return primitive{
		sources: sources,
		make: func(t testing.TB) scene {
			s := o.make(t)
			s.post, s.many = s.post.of(form), many
			s.begin()
			return s
		},
		victims: map[string]func([]*os.File, *plight) error{
			"produce": role(func(ways post, p *plight) error {
				next := parcel{producer: rand.Uint64()}
				p.words[0].Store(next.producer)
				for {
					n, err := ways[0].putNext(next, many, always())
					if err != nil {
						return err
					}
					next.n += n
					p.words[1].Store(uint64(next.n))
				}
			}),
			"move": role(func(ways post, p *plight) error { return ways[1].moveOn(ways[2], many, p) }),
			"try": role(func(ways post, p *plight) error {
				for next := (parcel{producer: rand.Uint64()}); ; {
					n, err := ways[0].putNext(next, many, &Limit{How: Try})
					next.n += n
					if Errno(err) == unix.EBUSY || Errno(err) == unix.EAGAIN {
						n, err = ways[0].putNext(next, many, always())
						next.n += n
					}
					if err != nil {
						return err
					}
				}
			}),
		},
	}
}

// putNext puts an item, or a batch, and returns how many it has put.
func (w *way) putNext(p parcel, many bool, l *Limit) (n uint32, err error) {
	if !many {
		if err := w.put(w.form(p), l); err != nil {
			return 0, err
		}
		return 1, nil
	}
	var b Batch
	for range 1 + p.n%parcels {
		b = b.Append(p.small())
		p.n++
	}
	put, _, err := w.queue.PutManyWithin(b, l)
	return uint32(put), err
}

// moveOn moves items for ever.
func (w *way) moveOn(to *way, many bool, p *plight) error {
	buf := make([]byte, parcels*(8+16+childSizes))
	for n := uint64(0); ; n++ {
		p.state.Store(moving)
		if err := w.moveNext(to, many, buf, 1+n%parcels, always(), func(parcel) {}); err != nil {
			return err
		}
		p.state.Store(idle)
	}
}

// moveNext moves an item, or a batch. What was taken but not put goes to kept.
func (w *way) moveNext(to *way, many bool, buf []byte, limit uint64, l *Limit, kept func(parcel)) error {
	if !many {
		p, err := w.take(l)
		if err != nil {
			return err
		}
		err = to.put(to.form(p), l)
		if err != nil {
			kept(p)
		}
		w.release(0)
		return err
	}
	_, size, err := w.queue.GetManyWithin(buf, limit, l)
	if err != nil {
		return err
	}
	_, rest, err := to.queue.PutManyWithin(buf[:size], l)
	for len(rest) > 0 {
		var data []byte
		var malformed error
		if data, rest, malformed = rest.Next(); malformed != nil {
			return malformed
		}
		kept(parcelOf(data))
	}
	return err
}

func queues(maxItems uint64) opening {
	return opening{
		func(t testing.TB) *posted { return makePostedQueues(t, maxItems) },
		openQueues,
	}
}

func makePostedQueues(t testing.TB, maxItems uint64) *posted {
	s := new(posted)
	var ways [2]*way
	for i := range ways {
		q, err := NewQueue(MaxItems(maxItems))
		if err != nil {
			t.Fatal(err)
		}
		s.addFiles(t, q)
		ways[i] = wayOfQueue(q)
	}
	s.post = post{ways[0], ways[0], ways[1], ways[1]}
	return s
}

type sharedByFiles interface {
	Files() (segment, other *os.File, err error)
	Close() error
}

func (s *posted) addFiles(t testing.TB, of sharedByFiles) {
	segment, other, err := of.Files()
	if err != nil {
		t.Fatal(err)
	}
	s.inherited = append(s.inherited, segment, other)
	s.closers = append(s.closers, of, segment, other)
}

var watchedQueues = opening{
	func(t testing.TB) *posted {
		s := makePostedQueues(t, 0)
		s.watched = []func() (int, error){s.post[1].queue.Watch, s.post[3].queue.Watch}
		return s
	},
	func(files []*os.File) (post, error) {
		ways, err := openQueues(files)
		if err == nil {
			_, err = ways[2].queue.Watch()
		}
		return ways, err
	},
}

func makePostedPipes(t testing.TB, conns ...*Conn) *posted {
	s := new(posted)
	for i, c := range conns {
		s.addFiles(t, c)
		s.post[i] = wayOfConn(c)
	}
	return s
}

// makePostedPipe has what goes from one end to the other come back by the same pipe.
func makePostedPipe(t testing.TB) (s *posted, a, b *Conn) {
	a, b, err := Pipe(true)
	if err != nil {
		t.Fatal(err)
	}
	s = makePostedPipes(t, a, b)
	s.post = post{s.post[0], s.post[1], s.post[1], s.post[0]}
	return s, a, b
}

var duplexPipe = opening{
	func(t testing.TB) *posted {
		s, _, _ := makePostedPipe(t)
		return s
	},
	openPipe,
}

var simplexPipes = opening{
	func(t testing.TB) *posted {
		from, to, err := Pipe(false)
		if err != nil {
			t.Fatal(err)
		}
		last, third, err := Pipe(false)
		if err != nil {
			t.Fatal(err)
		}
		return makePostedPipes(t, to, from, third, last)
	},
	func(files []*os.File) (ways post, err error) {
		for i := range ways {
			side := [...]uint32{1, 0, 1, 0}[i]
			c, err := OpenConn(files[2*i], files[2*i+1], side, [...]uint32{Readable, Writable}[side])
			if err != nil {
				return ways, err
			}
			ways[i] = wayOfConn(c)
		}
		return ways, nil
	},
}

var watchedPipe = opening{
	func(t testing.TB) *posted {
		s, a, b := makePostedPipe(t)
		s.watched = []func() (int, error){b.Watch, a.Watch}
		return s
	},
	func(files []*os.File) (post, error) {
		ways, err := openPipe(files)
		return ways, err
	},
}

func (s *posted) files() []*os.File { return s.inherited }

func (s *posted) begin() {
	s.own, s.came = parcel{producer: rand.Uint64()}, map[uint64]map[uint32]bool{}
}

func (s *posted) seen(p parcel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.came[p.producer] == nil {
		s.came[p.producer] = map[uint32]bool{}
	}
	if s.came[p.producer][p.n] && p.producer != 0 {
		s.twice = fmt.Errorf("item %d of producer %x came twice", p.n, p.producer)
	}
	s.came[p.producer][p.n] = true
}

// tooMany is how many items the producer here lets wait.
const tooMany = 50

func (s *posted) survivors() []func(context.Context) error {
	buf := make([]byte, parcels*(8+16+childSizes))
	return []func(context.Context) error{
		func(ctx context.Context) error {
			if stream.Of(s.post[0].segment, 0).Len() > tooMany {
				time.Sleep(100 * time.Microsecond)
				return nil
			}
			n, err := s.post[0].putNext(s.own, s.many, within(ctx))
			s.own.n += n
			return err
		},
		func(ctx context.Context) error {
			if err := s.hear(ctx, 0); err != nil {
				return err
			}
			// What it has taken and cannot put any more has come as well.
			return s.post[1].moveNext(s.post[2], s.many, buf, parcels, within(ctx), s.seen)
		},
		func(ctx context.Context) error {
			if err := s.hear(ctx, 1); err != nil {
				return err
			}
			return s.post[3].consume(s.many, within(ctx), s.seen)
		},
	}
}

// hear waits for the bell, if the receiver is one who watches.
func (s *posted) hear(ctx context.Context, receiver int) error {
	if s.watched == nil {
		return nil
	}
	fd, err := s.watched[receiver]()
	if err != nil {
		return err
	}
	for end := time.Now().Add(patienceOfSurvivors); ; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 20)
		switch {
		case n > 0:
			return nil
		case err != nil && err != unix.EINTR:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(end):
			return fmt.Errorf("receiver %d does not hear the bell", receiver)
		}
	}
}

func (s *posted) bury(*victim, bool) error         { return nil }
func (s *posted) settled(gotOn bool) (bool, error) { return gotOn, nil }

func (s *posted) check(dead []*victim) error {
	for i := 0; i < 4; i += 2 {
		from, to := s.post[i], s.post[i+1]
		if err := to.drain(s.many, s.seen); err != nil {
			return err
		}
		// What a dead producer had put may come into sight with the next item only.
		if _, err := from.putNext(parcel{}, s.many, atOnce()); err != nil {
			return err
		}
		if err := to.drain(s.many, s.seen); err != nil {
			return err
		}
	}
	if s.twice != nil {
		return s.twice
	}
	put := map[uint64]uint32{s.own.producer: s.own.n}
	mayLose := 0
	for _, v := range dead {
		switch {
		case v.role == "produce":
			put[v.plight.words[0].Load()] = uint32(v.plight.words[1].Load())
		case v.plight.state.Load() == moving:
			mayLose++
		}
	}
	if s.many {
		mayLose *= parcels
	}
	lost := 0
	for producer := range s.came {
		for n := range s.came[producer] {
			put[producer] = max(put[producer], n+1)
		}
	}
	delete(put, 0)
	for producer, n := range put {
		lost += int(n) - len(s.came[producer])
	}
	if lost > mayLose {
		return fmt.Errorf("%d items are lost, and the dead had at most %d", lost, mayLose)
	}
	s.begin()
	return s.checkMemory()
}

// drain takes all that there is.
func (w *way) drain(many bool, seen func(parcel)) error {
	err := error(nil)
	for err == nil {
		err = w.consume(many, atOnce(), seen)
	}
	if Errno(err) != unix.EAGAIN {
		return err
	}
	return nil
}

func (s *posted) checkMemory() error {
	segments := map[*Segment]bool{}
	for i := 0; i < 4; i += 2 {
		from, to := s.post[i], s.post[i+1]
		// Who was killed may have had the locks.
		for range 2 {
			if err := from.put(&Item{Parts: [3][]byte{parcel{}.header(), nil}}, atOnce()); err != nil {
				return err
			}
			if _, err := to.receive(make([]byte, 100), atOnce()); err != nil {
				return err
			}
		}
		segments[from.segment] = true
	}
	for segment := range segments {
		if err := checkSegment(segment, s.post[0].streams()); err != nil {
			return err
		}
	}
	return nil
}

func (s *posted) close() {
	for _, c := range s.closers {
		if err := c.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			panic(err)
		}
	}
}
