package arena

import (
	"errors"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

// Barrier is a large slot that holds a barrier. Its word:
//
//	bits 0..1   filling, acting (the last to arrive runs its action), or broken
//	bit  2      the last round was complete
//	bits 3..31  number of the round
//
// It changes under the mutex only. A waiter's until is its round, its ticket what
// Wait returns. A round ends for all its parties at once, with the store that
// advances the number: an entry without a verdict whose round is another gets what
// bit 2 says, from whoever takes the mutex over if the one that ended the round
// was killed. Since every waiter has its own verdict, the next round may begin
// before the last one's waiters have run.
//
// Who waits sleeps on bell, which changes when verdicts have been given to some who
// may sleep. ring, under the mutex, tells whoever releases that to wake them, all at
// once, and not while they would only wait for the mutex.
//
// Who waits looks (futex.Look) whether the others live, the one that acts
// included, and breaks the barrier if not.
type Barrier Waiters

const (
	filling  = 0
	acting   = 1
	unusable = 2
	complete = 4
	oneRound = 8
)

// ErrBroken: the barrier is broken, or was while the caller waited.
var ErrBroken = errors.New("barrier broken")

func (b *Barrier) table() *Waiters    { return (*Waiters)(unsafe.Pointer(b)) }
func (b *Barrier) futex() *uint32     { return (*uint32)(unsafe.Pointer(b)) }
func (b *Barrier) bellFutex() *uint32 { return (*uint32)(unsafe.Pointer(&b.bell)) }
func (b *Barrier) phase() uint32      { return b.word.Load() & state }
func (b *Barrier) round() uint64      { return uint64(b.word.Load() / oneRound) }

func (b *Barrier) lock(s *shm.Segment, l *futex.Limit) error {
	inherited, err := b.mutex.Lock(l)
	if err != nil || !inherited {
		return err
	}
	fault.Here("barrier inherited")
	err = b.settle(s)
	if err == nil {
		fault.Here("inherited barrier settled")
		// The dead one may have been a party already, or half withdrawn.
		err = b.check(s, (*Waiter).gone)
	}
	if err != nil {
		b.unlock()
	}
	return err
}

// unlock releases the mutex and wakes those who have got a verdict.
func (b *Barrier) unlock() {
	ring := b.ring
	b.ring = false
	b.mutex.Unlock()
	if ring {
		fault.Here("barrier unlocked")
		futex.Wake(b.bellFutex(), futex.All)
	}
}

// end ends the round.
func (b *Barrier) end(s *shm.Segment, passed bool, next uint32) error {
	w := b.word.Load()
	next |= (w/oneRound + 1) * oneRound
	if passed {
		next |= complete
	}
	b.word.Store(next)
	fault.Here("round ended")
	if w&state == acting {
		futex.Wake(b.futex(), futex.All)
	}
	return b.settle(s)
}

// settle gives their verdicts to those whose round has ended.
func (b *Barrier) settle(s *shm.Segment) error {
	round, verdict := b.round(), uint32(broken)
	if b.word.Load()&complete != 0 {
		verdict = notified
	}
	err := b.table().each(s, func(e *Waiter) bool {
		if e.state() == waiting && e.until != round {
			if was, decided := e.decide(verdict); decided && was&sleeps != 0 {
				b.ring = true
			}
			fault.Here("party got its verdict")
		}
		return true
	})
	if b.ring {
		fault.Here("parties got their verdicts")
		b.bell.Add(1)
		fault.Here("barrier's bell changed")
	}
	return err
}

// check breaks the barrier if one of those who wait has died, and then frees the
// entries of the dead: whoever is killed in between leaves them to the next.
func (b *Barrier) check(s *shm.Segment, gone func(*Waiter) bool) error {
	dead, parties := false, false
	err := b.table().each(s, func(e *Waiter) bool {
		if was := e.state(); was != free && gone(e) {
			dead, parties = true, parties || was == waiting
		}
		return true
	})
	if err == nil && parties {
		fault.Here("dead parties found")
		err = b.end(s, false, unusable)
	}
	if err != nil || !dead {
		return err
	}
	return b.table().each(s, func(e *Waiter) bool {
		if e.state() > waiting && gone(e) {
			fault.Here("dead party found again")
			e.word.Store(free)
		}
		return true
	})
}

// look is check, for those who wait. What fails is tried at the next look.
func (b *Barrier) look(s *shm.Segment) {
	l := lookLimit()
	if b.lock(s, &l) == nil {
		_ = b.check(s, (*Waiter).gone)
		b.unlock()
	}
}

// Arrive makes the calling thread, tid, a party of the round, after the action of
// the last round has ended. last tells that all have arrived; then, if acts says
// that there is an action, the caller runs it and calls Finish, and else the round
// is complete: index is the caller's, and e nil. Otherwise the caller calls Wait.
func (b *Barrier) Arrive(s *shm.Segment, tid uint32, acts bool, l *futex.Limit) (e *Waiter, index int, last bool, err error) {
	if err := b.lockIdle(s, l, false); err != nil {
		return nil, 0, false, err
	}
	defer b.unlock()
	e, index, last, err = b.arrive(s, tid, acts)
	return e, index, last, err
}

// lockIdle takes the mutex while no action runs; unless, if actors may, the calling
// thread is the one that runs it.
func (b *Barrier) lockIdle(s *shm.Segment, l *futex.Limit, actors bool) error {
	for {
		if err := b.lock(s, l); err != nil {
			return err
		}
		if b.phase() != acting {
			return nil
		}
		if actors {
			acts, err := b.acts(s)
			if err != nil {
				b.unlock()
				return err
			}
			if acts {
				return nil
			}
		}
		word := b.word.Load()
		b.unlock()
		if _, err := futex.Await(l, b.futex(), &b.spin, actionWait{s, b, word}); err != nil {
			return err
		}
	}
}

// acts reports whether the calling thread runs the action.
func (b *Barrier) acts(s *shm.Segment) (acts bool, err error) {
	tid := uint32(unix.Gettid())
	err = b.table().each(s, func(e *Waiter) bool {
		acts = acts || e.state() == waiting && e.ticket+1 >= uint64(b.parties) && e.mine() && e.tid == tid
		return true
	})
	return acts, err
}

func (b *Barrier) arrive(s *shm.Segment, tid uint32, acts bool) (e *Waiter, index int, last bool, err error) {
	fault.Here("barrier locked")
	if b.phase() == unusable {
		return nil, 0, false, ErrBroken
	}
	index, err = b.table().waiting(s)
	if err != nil {
		return nil, 0, false, err
	}
	last = index+1 >= int(b.parties)
	if last {
		// Nobody may be left to look.
		if err := b.check(s, (*Waiter).seemsGone); err != nil {
			return nil, 0, false, err
		}
		if b.phase() == unusable {
			return nil, 0, false, ErrBroken
		}
	}
	if last && !acts {
		fault.Here("round about to end")
		return nil, index, true, b.end(s, true, filling)
	}
	round := b.round()
	e, err = b.table().enter(s, tid, uint64(index), round, func() error { return b.check(s, (*Waiter).gone) })
	if err != nil {
		return nil, 0, false, err
	}
	if b.round() != round {
		// One of the others was found to be dead.
		e.word.Store(free)
		return nil, 0, false, ErrBroken
	}
	fault.Here("party arrived")
	if last {
		b.word.Store(b.word.Load() | acting)
		fault.Here("action announced")
	}
	return e, index, last, nil
}

// actionWait is a futex.Condition: the action that ran when the barrier's word was
// seen has ended.
type actionWait struct {
	s    *shm.Segment
	b    *Barrier
	seen uint32
}

func (w actionWait) Flag() (bits uint32, ready bool) {
	return w.seen, w.b.word.Load() != w.seen
}

func (w actionWait) Try(slept bool) bool {
	if slept && w.b.word.Load() == w.seen && w.b.table().mayLook() {
		w.b.look(w.s)
	}
	return w.b.word.Load() != w.seen
}

// Finish ends the action of e, the last to arrive. ok: it succeeded, and the round
// is complete unless the action itself has reset or aborted the barrier. Otherwise
// the barrier breaks.
func (b *Barrier) Finish(s *shm.Segment, e *Waiter, ok bool) error {
	if !e.mine() {
		return errStale
	}
	if err := b.lock(s, &futex.Limit{How: futex.NoWait}); err != nil {
		return err
	}
	defer b.unlock()
	if e.state() == waiting {
		next := uint32(filling)
		if !ok {
			next = unusable
		}
		if err := b.end(s, ok, next); err != nil {
			return err
		}
	}
	fault.Here("action ended")
	_, err := e.take()
	return err
}

// take frees an entry with a verdict and returns that, and the index.
func (e *Waiter) take() (index int, err error) {
	index = int(e.ticket)
	if e.state() == broken {
		err = ErrBroken
	}
	fault.Here("verdict read")
	e.word.Store(free)
	return index, err
}

// Wait waits, as l allows, until the round of e ends, and returns the index of e in
// it or ErrBroken. After another error e still waits.
func (b *Barrier) Wait(s *shm.Segment, e *Waiter, l *futex.Limit) (index int, err error) {
	if !e.mine() {
		return 0, errStale
	}
	w := roundWait{verdictWait[*Barrier]{s, b, b.table(), e}}
	if !w.Try(false) {
		if _, err := futex.Await(l, b.bellFutex(), &b.spin, w); err != nil {
			return 0, err
		}
	}
	return e.take()
}

// roundWait is a verdictWait that sleeps on the bell.
type roundWait struct{ verdictWait[*Barrier] }

func (w roundWait) Flag() (bits uint32, ready bool) {
	bits = w.t.bell.Load()
	_, ready = w.verdictWait.Flag()
	return bits, ready
}

// TimeOut ends the wait of e because it has lasted too long, which breaks the
// barrier: ErrBroken. If the round has ended meanwhile it returns what Wait would
// have; and unix.EBUSY if all have arrived and the action runs, so that e has to
// wait for its end.
func (b *Barrier) TimeOut(s *shm.Segment, e *Waiter) (index int, err error) {
	if !e.mine() {
		return 0, errStale
	}
	if err := b.lock(s, &futex.Limit{How: futex.NoWait}); err != nil {
		return 0, err
	}
	defer b.unlock()
	if e.state() == waiting {
		if b.phase() == acting {
			return 0, unix.EBUSY
		}
		fault.Here("party about to break the barrier")
		if err := b.end(s, false, unusable); err != nil {
			return 0, err
		}
	}
	return e.take()
}

// Withdraw ends the wait of e as if it had not arrived.
//
// Killed in between, e is one of the dead who break the barrier.
func (b *Barrier) Withdraw(s *shm.Segment, e *Waiter) error {
	if !e.mine() {
		return errStale
	}
	if err := b.lock(s, &futex.Limit{How: futex.NoWait}); err != nil {
		return err
	}
	defer b.unlock()
	var err error
	if e.state() == waiting && b.phase() == filling {
		err = b.table().each(s, func(other *Waiter) bool {
			if other.state() == waiting && other.ticket > e.ticket {
				other.ticket--
				fault.Here("party renumbered")
			}
			return true
		})
	}
	e.word.Store(free)
	return err
}

// Reset breaks the round for those who wait, and begins another. It waits, as l
// allows, while an action runs: that round is not the one to be broken. From the
// action itself, by the thread that Arrive was given, it breaks the round at once.
func (b *Barrier) Reset(s *shm.Segment, l *futex.Limit) error {
	if err := b.lockIdle(s, l, true); err != nil {
		return err
	}
	defer b.unlock()
	fault.Here("barrier locked to reset")
	return b.end(s, false, filling)
}

// Abort breaks the barrier, and waits for an action as Reset does.
func (b *Barrier) Abort(s *shm.Segment, l *futex.Limit) error {
	if err := b.lockIdle(s, l, true); err != nil {
		return err
	}
	defer b.unlock()
	fault.Here("barrier locked to abort")
	return b.end(s, false, unusable)
}

// Broken reports whether the barrier is broken.
func (b *Barrier) Broken() bool { return b.phase() == unusable }

// Parties returns how many make a round complete.
func (b *Barrier) Parties() int { return int(b.parties) }

// Waiting returns how many have arrived and wait.
func (b *Barrier) Waiting(s *shm.Segment) (int, error) {
	if err := b.lock(s, &futex.Limit{How: futex.NoWait}); err != nil {
		return 0, err
	}
	defer b.unlock()
	return b.table().waiting(s)
}
