//go:build crash

package core

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"golang.org/x/sys/unix"
)

// ledgerScene is a scene of a queue whose items are marked done, each once. What a dead
// worker had got and not marked returns to the queue, or another asks for it.
type ledgerScene struct {
	*queueScene
	redelivers bool

	// Of the round.
	own    parcel // of the producer here: its number is how many it has put
	worker *worker
	heir   *worker
}

var joinable = ledgers(false, primitive{
	victims: map[string]func([]*os.File, *plight) error{
		"hoard": onQueue(func(q *JoinableQueue, p *plight) error { return hoard(q, p, 20) }),
		"inherit": onQueue(func(q *JoinableQueue, p *plight) error {
			for k := heirTo(q, p); ; {
				if err := k.workOff(); err != nil {
					return err
				}
				time.Sleep(time.Microsecond)
			}
		}),
		"poll": onQueue(func(q *JoinableQueue, _ *plight) error {
			for {
				if err := q.PollWithin(always()); err != nil {
					return err
				}
			}
		}),
	},
	plots: [][]fate{
		{{"hoard", "ledger entry in force"}, {"inherit", "ledger entry orphaned"}, {"inherit", "ledger entry passed on"}},
	},
})

var redelivered = ledgers(true, primitive{
	victims: map[string]func([]*os.File, *plight) error{
		"hoard": onQueue(func(q *JoinableQueue, p *plight) error { return hoard(q, p, 600) }),
	},
	plots: [][]fate{
		{{"hoard", "ledger entry counted as done"}, {"hoard", "dead process's mark completed"}},
	},
})

// ledgers completes p with what does not depend on whether the queue redelivers.
func ledgers(redeliver bool, p primitive) primitive {
	p.sources = []string{"internal/stream/ledger", "internal/stream/redelivery", "internal/stream/stream", "internal/futex/mutex"}
	p.make = func(t testing.TB) scene {
		create := func(q *JoinableQueue) error { return q.Create(0, redeliver) }
		s := &ledgerScene{queueScene: makeQueueScene(t, create), redelivers: redeliver}
		s.begin()
		return s
	}
	p.victims["put"] = onQueue(func(q *JoinableQueue, p *plight) error {
		for next := (parcel{producer: rand.Uint64()}); ; {
			for q.Len() > tooMany {
				time.Sleep(time.Millisecond)
			}
			if err := putNoted(q, &next, p); err != nil {
				return err
			}
		}
	})
	p.victims["work"] = onQueue(func(q *JoinableQueue, p *plight) error {
		for k := workOn(q, p); ; {
			if err := k.work(always()); err != nil {
				return err
			}
		}
	})
	p.victims["join"] = onQueue(func(q *JoinableQueue, _ *plight) error {
		for {
			if err := q.JoinWithin(always()); err != nil {
				return err
			}
			time.Sleep(time.Microsecond)
		}
	})
	return p
}

// putNoted puts an item and notes in words how many a producer has put.
func putNoted(q *JoinableQueue, next *parcel, p *plight) error {
	p.words[0].Store(next.producer)
	if err := q.PutItemWithin(next.mixed(), always()); err != nil {
		return err
	}
	next.n++
	p.words[1].Store(uint64(next.n))
	return nil
}

// entry is what a worker notes of an item that it has taken.
type entry struct {
	producer uint64
	n        uint32
	state    uint32 // is written last
}

const (
	taken   = 1 + iota
	marking // it may be done
	done
)

func (e *entry) parcel() parcel { return parcel{e.producer, e.n} }

// worker takes items and marks them done, those that it took first before others.
type worker struct {
	q       *JoinableQueue
	w       *way
	victim  bool
	journal []entry
	next    int // the first entry that is free
	oldest  int // the first that is not marked
}

// workOn returns a worker. p: that of a victim, else nil.
func workOn(q *JoinableQueue, p *plight) *worker {
	k := &worker{q: q, w: wayOfQueue(&q.Queue)}
	k.w.form = parcel.mixed
	if p != nil {
		k.victim, k.journal = true, p.journal[:]
	}
	return k
}

// heirTo returns a worker that takes what the dead had got.
func heirTo(q *JoinableQueue, p *plight) *worker {
	k := workOn(q, p)
	k.w.receive = q.AbandonedWithin
	return k
}

func (k *worker) take(l *Limit) error {
	if k.next == len(k.journal) {
		if k.victim {
			return rest(nil)
		}
		k.journal = append(k.journal, entry{})
	}
	p, err := k.w.take(l)
	k.w.release(0)
	if err != nil {
		return err
	}
	e := &k.journal[k.next]
	e.producer, e.n = p.producer, p.n
	atomic.StoreUint32(&e.state, taken)
	k.next++
	return nil
}

func (k *worker) mark() error {
	e := &k.journal[k.oldest]
	atomic.StoreUint32(&e.state, marking)
	if err := k.q.TaskDone(); err != nil {
		return err
	}
	atomic.StoreUint32(&e.state, done)
	k.oldest++
	return nil
}

// work takes an item and marks it done.
func (k *worker) work(l *Limit) error {
	if err := k.take(l); err != nil {
		return err
	}
	return k.mark()
}

// workOff works until there is nothing left.
func (k *worker) workOff() error {
	for {
		if err := k.work(atOnce()); err == ErrEmpty {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// hoard puts so many items, takes as many, and then marks them done, for ever.
func hoard(q *JoinableQueue, p *plight, items int) error {
	next, k := parcel{producer: rand.Uint64()}, workOn(q, p)
	for {
		for range items {
			if err := putNoted(q, &next, p); err != nil {
				return err
			}
		}
		for range items {
			if err := k.take(atOnce()); err == ErrEmpty {
				break
			} else if err != nil {
				return err
			}
		}
		for k.oldest < k.next {
			if err := k.mark(); err != nil {
				return err
			}
		}
	}
}

func (s *ledgerScene) begin() {
	s.own = parcel{producer: rand.Uint64()}
	s.worker, s.heir = workOn(s.q, nil), heirTo(s.q, nil)
}

func (s *ledgerScene) put(l *Limit) error {
	err := s.q.PutItemWithin(s.own.mixed(), l)
	if err == nil {
		s.own.n++
	}
	return err
}

func (s *ledgerScene) survivors() []func(context.Context) error {
	return []func(context.Context) error{
		func(ctx context.Context) error {
			for range 5 {
				if err := s.put(within(ctx)); err != nil {
					return err
				}
			}
			return s.q.Join(ctx)
		},
		func(ctx context.Context) error { return s.worker.work(within(ctx)) },
	}
}

func (s *ledgerScene) settled(gotOn bool) (bool, error) { return gotOn, s.heir.workOff() }

func (s *ledgerScene) check(dead []*victim) error {
	// What a dead producer had put may come into sight with the next item only.
	if err := s.put(atOnce()); err != nil {
		return err
	}
	for end := time.Now().Add(patienceOfSurvivors); s.q.Unfinished() > 0; {
		err := s.worker.work(&Limit{How: Block, Deadline: futex.Now() + 20e6})
		if err == unix.ETIMEDOUT {
			err = s.heir.workOff()
		}
		if err == nil && time.Now().After(end) {
			err = fmt.Errorf("%d items are never done", s.q.Unfinished())
		}
		if err != nil {
			return err
		}
	}
	if err := s.q.JoinWithin(atOnce()); err != nil {
		return err
	}
	if err := s.q.TaskDone(); err != ErrTaskDone {
		return fmt.Errorf("marked done too often: %v", err)
	}
	if err := s.balance(dead); err != nil {
		return err
	}
	s.begin()
	return checkSegment(&s.q.s, 1)
}

// balance makes sure that of the items that were put each was done once. The last of a
// dead producer may have been put.
func (s *ledgerScene) balance(dead []*victim) error {
	put := map[uint64]uint32{s.own.producer: s.own.n}
	for _, v := range dead {
		put[v.plight.words[0].Load()] = uint32(v.plight.words[1].Load())
	}
	times, perhaps := map[parcel]int{}, map[parcel]bool{}
	read := func(journal []entry) error {
		for i := range journal {
			e := &journal[i]
			p := e.parcel()
			switch e.state {
			case 0:
				return nil
			case marking:
				perhaps[p] = true
			case done:
				times[p]++
			}
			n, known := put[p.producer]
			if !known || p.n > n {
				return fmt.Errorf("nobody has put item %d of producer %x", p.n, p.producer)
			}
		}
		return nil
	}
	journals := [][]entry{s.worker.journal, s.heir.journal}
	for _, v := range dead {
		journals = append(journals, v.plight.journal[:])
	}
	for _, j := range journals {
		if err := read(j); err != nil {
			return err
		}
	}
	for producer, n := range put {
		for p := (parcel{producer: producer}); p.n <= n; p.n++ {
			switch {
			case times[p] > 1:
				return fmt.Errorf("item %d of producer %x was done %d times", p.n, producer, times[p])
			case times[p] == 0 && !perhaps[p] && p.n < n:
				return fmt.Errorf("item %d of producer %x is lost", p.n, producer)
			}
		}
	}
	return nil
}
