package arena

import (
	"sync/atomic"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/process"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

// Waiters is a large slot: a table of those who wait for a condition or a barrier,
// an entry for each, so that each gets a verdict of its own. It goes on in a chain
// of blocks when there are many.
//
// Whoever has the mutex enters waiters, looks through the table and gives
// verdicts; the mutex outlives its owner (futex.Mutex), and every change below is
// complete with the store of one word:
//
//   - An entry is filled in, high moved beyond it, and then its word stored. Killed
//     before that, nobody has been entered.
//   - A block is empty when the store of one offset links it to the chain.
//   - high and tickets only have to be great enough.
type Waiters struct {
	word    atomic.Uint32 // of a barrier
	kind    uint32
	parties uint32 // of a barrier
	spin    uint32

	mutex   futex.Mutex
	tickets uint64        // given so far, by a condition
	looked  atomic.Int64  // when somebody last looked for the dead
	next    uint64        // offset of the first block, 0: none
	high    uint32        // entries from here on are free
	bell    atomic.Uint32 // of a barrier, like ring
	ring    bool
	_       [7]byte
	inline  [30]Waiter
}

var _ [LargeSize]byte = [unsafe.Sizeof(Waiters{})]byte{}

// Waiter is an entry. word says what became of it:
//
//	bits 0..1  waiting, or the verdict; 0: the entry is free
//	bit  2     the waiter may sleep on the word
//
// From free to waiting the word goes under the mutex. From waiting to a verdict it
// goes under the mutex as well, by compare-and-swap, because the waiter itself may
// set bit 2, or give up and go to free. Only the waiter frees an entry with a
// verdict; or, under the mutex, whoever finds that the waiter is dead.
type Waiter struct {
	word   atomic.Uint32
	tid    uint32 // of the waiting thread; 0: whichever
	owner  process.ID
	ticket uint64 // of a condition: who came first; of a barrier: wait's result
	until  uint64 // see Condition and Barrier
}

const (
	free     = 0
	waiting  = 1
	notified = 2 // of a barrier: the round is complete
	broken   = 3
	state    = 3
	sleeps   = 4
)

func (e *Waiter) state() uint32 { return e.word.Load() & state }

func (e *Waiter) mine() bool { return e.owner == process.Self }

// gone reports whether the waiter has died.
func (e *Waiter) gone() bool {
	return e.tid != 0 && !e.owner.HasThread(e.tid) || !e.owner.Alive()
}

// seemsGone is gone for one who is in a hurry: see process.Runs.
func (e *Waiter) seemsGone() bool {
	return (e.tid == 0 || !process.Runs(e.tid)) && e.gone()
}

// decide gives a waiter its verdict, unless it has left, and returns what the word
// was.
func (e *Waiter) decide(verdict uint32) (was uint32, decided bool) {
	for {
		w := e.word.Load()
		if w&state != waiting {
			return w, false
		}
		if e.word.CompareAndSwap(w, verdict) {
			return w, true
		}
	}
}

// resolve gives a waiter its verdict and reports whether it lives to see it. If it
// does not, or has left meanwhile, the entry is free again.
//
// A waiter that died this very moment may seem to live: see Condition.
func (e *Waiter) resolve(verdict uint32) bool {
	w, decided := e.decide(verdict)
	if !decided {
		return false
	}
	fault.Here("verdict given")
	lives := false
	if w&sleeps == 0 {
		// It will see the word before it sleeps.
		lives = e.tid == 0 || e.owner.HasThread(e.tid)
	} else {
		// Nobody woken: it is about to wake by itself, or dead.
		lives = futex.Wake(e.futex(), 1) > 0 || !e.gone()
	}
	// Unless it has taken its verdict and ended since.
	return lives || !e.word.CompareAndSwap(verdict, free)
}

// verdictWait is a futex.Condition: e of the table t has its verdict. Those who
// wait look for the dead as the object whose table it is does.
type verdictWait[T interface{ look(s *shm.Segment) }] struct {
	s  *shm.Segment
	of T
	t  *Waiters
	e  *Waiter
}

func (w verdictWait[T]) Try(slept bool) bool {
	if w.e.state() != waiting {
		return true
	}
	if slept && w.t.mayLook() {
		w.of.look(w.s)
		return w.e.state() != waiting
	}
	return false
}

func (w verdictWait[T]) Flag() (bits uint32, ready bool) {
	for {
		b := w.e.word.Load()
		if b&state != waiting {
			return 0, true
		}
		if b&sleeps != 0 || w.e.word.CompareAndSwap(b, b|sleeps) {
			return b | sleeps, false
		}
	}
}

func (e *Waiter) futex() *uint32 { return (*uint32)(unsafe.Pointer(e)) }

// lists calls visit with the entries of one block after another, and the number of
// the first, until it returns false. link is where the offset of the next block is.
func (t *Waiters) lists(s *shm.Segment, visit func(first int, list []Waiter) bool) (link *uint64, err error) {
	var w shm.Walk
	first, list, link := 0, t.inline[:], &t.next
	for visit(first, list) {
		offset := *link
		if offset == 0 {
			break
		}
		if w.Circles(offset) {
			return nil, shm.ErrCorrupt
		}
		b, err := blockAt(s, offset)
		if err != nil {
			return nil, err
		}
		first += len(list)
		list, link = b.entries[:], &b.next
	}
	return link, nil
}

// each calls visit with every entry that may be in use, until it returns false.
func (t *Waiters) each(s *shm.Segment, visit func(e *Waiter) bool) error {
	high, used := int(t.high), 0
	stopped := false
	_, err := t.lists(s, func(first int, list []Waiter) bool {
		for i := range list[:max(0, min(high-first, len(list)))] {
			e := &list[i]
			if stopped = !visit(e); stopped {
				return false
			}
			if e.state() != free {
				used = first + i + 1
			}
		}
		return first+len(list) < high
	})
	if !stopped && err == nil {
		t.high = uint32(used)
	}
	return err
}

// enter makes an entry for the calling thread. When there is no room, it calls
// reap to free the entries of the dead before it adds a block.
func (t *Waiters) enter(s *shm.Segment, tid uint32, ticket, until uint64, reap func() error) (*Waiter, error) {
	for {
		var vacant *Waiter
		number := 0
		link, err := t.lists(s, func(first int, list []Waiter) bool {
			for i := range list {
				if list[i].state() == free {
					vacant, number = &list[i], first+i
					return false
				}
			}
			return true
		})
		if err != nil {
			return nil, err
		}
		if vacant != nil {
			vacant.tid, vacant.owner = tid, process.Self
			vacant.ticket, vacant.until = ticket, until
			t.high = max(t.high, uint32(number)+1)
			fault.Here("waiter filled in")
			vacant.word.Store(waiting)
			fault.Here("waiter entered")
			return vacant, nil
		}
		if reap != nil {
			err := reap()
			if err != nil {
				return nil, err
			}
			reap = nil
			continue
		}
		offset, err := allocBlock(s)
		if err != nil {
			return nil, err
		}
		fault.Here("block not yet linked")
		*link = offset
		fault.Here("block linked")
	}
}

// waiting returns how many have no verdict yet.
func (t *Waiters) waiting(s *shm.Segment) (n int, err error) {
	err = t.each(s, func(e *Waiter) bool {
		if e.state() == waiting {
			n++
		}
		return true
	})
	return n, err
}

// mayLook tells one of those who wait, about once a second, to look for the dead.
func (t *Waiters) mayLook() bool {
	last := t.looked.Load()
	now := futex.Now()
	// Unsigned: rubbish that lies in the future was long ago.
	return uint64(now-last) > uint64(futex.Look/2) && t.looked.CompareAndSwap(last, now)
}

// lookLimit bounds how long a look waits for the mutex: long enough to take it over
// from a dead one, and not until one who is stopped inside goes on.
func lookLimit() futex.Limit {
	return futex.Limit{How: futex.Sleep, Deadline: futex.Now() + futex.Look/10}
}

// errStale is for a process that was forked while its parent waited: the entry is
// the parent's.
const errStale = unix.ESTALE
