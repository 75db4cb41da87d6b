package core

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"golang.org/x/sys/unix"
)

// robust is what tests take and give back: a robust lock, of whatever kind.
type robust struct {
	name    string
	lock    func(ctx context.Context) error
	try     func() (bool, error)
	unlock  func() error
	abandon func() error
	held    func() bool
	sleeps  func() bool // somebody sleeps
}

func robusts(lock *RobustLock, rlock *RobustRLock, sem *RobustSemaphore) []robust {
	owner := NewOwner()
	return []robust{
		{"lock", lock.Lock, lock.TryLock, lock.Unlock, lock.Abandon, lock.at().Held, lock.at().Waiters},
		{
			"rlock",
			func(ctx context.Context) error { return rlock.Lock(ctx, owner) },
			func() (bool, error) { return rlock.TryLock(owner) },
			func() error { return rlock.Unlock(owner) },
			func() error { return rlock.Abandon(owner) },
			func() bool { o, _ := rlock.Owner(); return o != 0 },
			rlock.at().Waiters,
		},
		{
			"semaphore", sem.Acquire, sem.TryAcquire, sem.Release, sem.Abandon,
			func() bool { n, err := sem.Value(); return n == 0 || err != nil },
			func() bool { return true }, // or is about to
		},
	}
}

func newRobusts(t testing.TB) (*Arena, []robust) {
	t.Helper()
	a := newArena(t)
	lock, err := a.NewRobustLock()
	if err != nil {
		t.Fatal(err)
	}
	rlock, err := a.NewRobustRLock()
	if err != nil {
		t.Fatal(err)
	}
	sem, err := a.NewRobustSemaphore(1)
	if err != nil {
		t.Fatal(err)
	}
	return a, robusts(lock, rlock, sem)
}

const (
	robustAt    = 1024
	semaphoreAt = 64 << 10
)

func openRobusts(f *os.File) ([]robust, error) {
	a, err := OpenArena(f)
	if err != nil {
		return nil, err
	}
	lock, err := a.RobustLock(robustAt)
	if err != nil {
		return nil, err
	}
	rlock, err := a.RobustRLock(robustAt + 64)
	if err != nil {
		return nil, err
	}
	sem, err := a.RobustSemaphore(semaphoreAt)
	if err != nil {
		return nil, err
	}
	return robusts(lock, rlock, sem), nil
}

func init() {
	children["take robust locks"] = func(files []*os.File) error {
		all, err := openRobusts(files[0])
		if err != nil {
			return err
		}
		for _, r := range all {
			if err := r.lock(context.Background()); err != nil && err != ErrOwnerDied {
				return err
			}
		}
		time.Sleep(time.Hour) // until killed
		return nil
	}
}

// holderOf starts a process that takes all of them.
func holderOf(t *testing.T, a *Arena, all []robust) *exec.Cmd {
	t.Helper()
	cmd := startChild(t, "take robust locks", share(t, a))
	for _, r := range all {
		await(t, r.name+" taken", r.held)
	}
	return cmd
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

func free(t *testing.T, r robust) {
	t.Helper()
	if err := r.unlock(); err != nil {
		t.Errorf("%s: %v", r.name, err)
	}
	if taken, err := r.try(); !taken || err != nil {
		t.Errorf("%s: %v, %v after it was freed", r.name, taken, err)
	}
	if err := r.unlock(); err != nil {
		t.Errorf("%s: %v", r.name, err)
	}
	if err := r.unlock(); err != ErrNotHolder {
		t.Errorf("%s: %v when it was free", r.name, err)
	}
}

func TestRobust(t *testing.T) {
	a, all := newRobusts(t)
	cmd := holderOf(t, a, all)
	for _, r := range all {
		if taken, err := r.try(); taken || err != nil {
			t.Errorf("%s: %v, %v while another has it", r.name, taken, err)
		}
		if err := r.unlock(); err != ErrNotHolder {
			t.Errorf("%s: %v when another has it", r.name, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if err := r.lock(ctx); err != context.DeadlineExceeded {
			t.Errorf("%s: %v", r.name, err)
		}
		cancel()
	}
	kill(t, cmd)
	for _, r := range all {
		if err := r.lock(t.Context()); !errors.Is(err, ErrOwnerDied) {
			t.Errorf("%s: %v after the death", r.name, err)
		}
		free(t, r)
	}
}

func TestRobustWhileOthersSleep(t *testing.T) {
	a, all := newRobusts(t)
	cmd := holderOf(t, a, all)
	var group sync.WaitGroup
	for _, r := range all {
		deaths := make(chan error, 3)
		for range cap(deaths) {
			group.Go(func() {
				deaths <- r.lock(t.Context())
				if err := r.unlock(); err != nil {
					t.Error(err)
				}
			})
		}
		group.Go(func() {
			told := 0
			for range cap(deaths) {
				switch err := <-deaths; err {
				case nil:
				case ErrOwnerDied:
					told++
				default:
					t.Error(err)
				}
			}
			if told != 1 && r.name != "rlock" { // which has one owner here
				t.Errorf("%s: told %d times", r.name, told)
			}
		})
		await(t, "somebody sleeps", r.sleeps)
	}
	kill(t, cmd)
	group.Wait()
}

// A try tells, too; and who is told and does not repair leaves that to the next, by
// giving it back so or by dying.
func TestRobustMark(t *testing.T) {
	a, all := newRobusts(t)
	kill(t, holderOf(t, a, all))
	for _, r := range all {
		for range 3 {
			await(t, r.name+" by a try", func() bool {
				taken, err := r.try()
				if taken != (err == ErrOwnerDied) {
					t.Errorf("%s: %v, %v", r.name, taken, err)
				}
				return taken
			})
			if err := r.abandon(); err != nil {
				t.Error(err)
			}
		}
	}
	kill(t, holderOf(t, a, all))
	for _, r := range all {
		if err := r.lock(t.Context()); err != ErrOwnerDied {
			t.Errorf("%s: %v", r.name, err)
		}
		free(t, r)
	}
}

func TestRobustRLockTwice(t *testing.T) {
	a := newArena(t)
	k, err := a.NewRobustRLock()
	if err != nil {
		t.Fatal(err)
	}
	me, other := NewOwner(), NewOwner()
	for range 3 {
		if err := k.Lock(t.Context(), me); err != nil {
			t.Fatal(err)
		}
	}
	if taken, err := k.TryLock(other); taken || err != nil {
		t.Errorf("%v, %v: two owners", taken, err)
	}
	if err := k.Unlock(other); err != ErrNotHolder {
		t.Errorf("released by another: %v", err)
	}
	for range 3 {
		if err := k.Unlock(me); err != nil {
			t.Error(err)
		}
	}
	if owner, depth := k.Owner(); owner != 0 || depth != 0 {
		t.Errorf("owner %d, %d times", owner, depth)
	}
	if taken, err := k.TryLock(other); !taken || err != nil {
		t.Errorf("%v, %v when free", taken, err)
	}
}

func init() {
	children["take permits"] = func(files []*os.File) error {
		a, err := OpenArena(files[0])
		if err != nil {
			return err
		}
		m, err := a.RobustSemaphore(semaphoreAt)
		if err != nil {
			return err
		}
		for range 5 {
			if err := m.Acquire(context.Background()); err != nil {
				return err
			}
		}
		time.Sleep(time.Hour) // until killed
		return nil
	}
}

// Semaphores in a slot, and in blocks besides: all permits of the dead come back, and
// each is told once.
func TestRobustSemaphore(t *testing.T) {
	for _, permits := range []int{6, 121, 120 + 508 + 1} {
		a := newArena(t)
		m, err := a.NewRobustSemaphore(uint32(permits))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := m.Value(); n != permits || err != nil {
			t.Fatalf("%d of %d, %v", n, permits, err)
		}
		cmd := startChild(t, "take permits", share(t, a))
		left := func() int {
			n, err := m.Value()
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		await(t, "permits taken", func() bool { return left() == permits-5 })
		for left() > 0 {
			if taken, err := m.TryAcquire(); !taken || err != nil {
				t.Fatalf("%v, %v", taken, err)
			}
		}
		if taken, err := m.TryAcquire(); taken || err != nil {
			t.Errorf("%v, %v with no permit left", taken, err)
		}
		kill(t, cmd)
		for range 5 {
			if err := m.Acquire(t.Context()); err != ErrOwnerDied {
				t.Errorf("%v", err)
			}
		}
		if n, err := m.Held(); n != permits || err != nil {
			t.Errorf("%d of %d, %v", n, permits, err)
		}
		for range permits {
			if err := m.Release(); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Release(); err != ErrNotHolder {
			t.Errorf("released too often: %v", err)
		}
		for range permits {
			if taken, err := m.TryAcquire(); !taken || err != nil {
				t.Fatalf("%v, %v", taken, err)
			}
		}
		if err := a.FreeSlot(m.Offset()); err != nil {
			t.Error(err)
		}
	}
	if _, err := newArena(t).NewRobustSemaphore(0); err != unix.EINVAL {
		t.Errorf("no permits: %v", err)
	}
	if _, err := newArena(t).NewRobustSemaphore(MaxPermits + 1); err != unix.EINVAL {
		t.Errorf("too many permits: %v", err)
	}
}

// A marked permit is taken before others are.
func TestRobustSemaphorePrefersTheMarked(t *testing.T) {
	a := newArena(t)
	m, err := a.NewRobustSemaphore(5)
	if err != nil {
		t.Fatal(err)
	}
	cmd := startChild(t, "take permits", share(t, a))
	await(t, "permits taken", func() bool { n, _ := m.Value(); return n == 0 })
	kill(t, cmd)
	for range 2 {
		if err := m.Acquire(t.Context()); err != ErrOwnerDied {
			t.Fatal(err)
		}
	}
	if err := m.Release(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []error{ErrOwnerDied, ErrOwnerDied, ErrOwnerDied, nil} {
		if err := m.Acquire(t.Context()); err != want {
			t.Errorf("%v, not %v", err, want)
		}
	}
}

// Nobody who waits misses a permit, though several come back at once.
func TestRobustSemaphoreHandsOver(t *testing.T) {
	a := newArena(t)
	m, err := a.NewRobustSemaphore(3)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 2000 {
				if err := m.Acquire(ctx); err != nil {
					t.Error(err)
					return
				}
				if err := m.Release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n, err := m.Value(); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestRobustLockExcludes(t *testing.T) {
	_, all := newRobusts(t)
	for _, r := range all {
		if r.name == "rlock" {
			continue // it has one owner here
		}
		var inside atomic.Int32
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for range 5000 {
					if err := r.lock(t.Context()); err != nil {
						t.Error(err)
					}
					if n := inside.Add(1); n != 1 {
						t.Errorf("%s: held %d times", r.name, n)
					}
					inside.Add(-1)
					if err := r.unlock(); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
	}
}

// A condition whose lock was held by a process that died tells the one that waits.
func TestConditionWithRobustLock(t *testing.T) {
	a, all := newRobusts(t)
	c, err := a.NewCondition()
	if err != nil {
		t.Fatal(err)
	}
	lock, err := a.RobustLock(robustAt)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := c.Wait(ctx, lock); err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	waited := make(chan error)
	go func() { waited <- c.Wait(t.Context(), lock) }()
	await(t, "somebody waits", func() bool { n, _ := c.Waiting(); return n == 1 })
	cmd := holderOf(t, a, all)
	if _, err := c.Notify(1); err != nil {
		t.Fatal(err)
	}
	kill(t, cmd)
	if err := <-waited; err != ErrOwnerDied {
		t.Errorf("got %v", err)
	}
	free(t, all[0])
}

// Waiting, looking and being told leave nothing on the heap.
func TestRobustLeavesNoGarbage(t *testing.T) {
	a, all := newRobusts(t)
	lock, err := a.RobustLock(robustAt)
	if err != nil {
		t.Fatal(err)
	}
	sem, err := a.RobustSemaphore(semaphoreAt)
	if err != nil {
		t.Fatal(err)
	}
	holderOf(t, a, all)
	l := Limit{How: Block, Interruptible: true}
	if n := testing.AllocsPerRun(100, func() {
		l.Deadline = futex.Now() + 100_000
		if err := lock.at().Acquire(&l); err != unix.ETIMEDOUT {
			t.Error(err)
		}
		if err := sem.AcquireWithin(&l); err != unix.ETIMEDOUT {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// A journal is a file that a robust lock guards: two numbers that are the same
// whenever nobody is at work, and how often a death was told.
type journal struct{ f *os.File }

func newJournals(t *testing.T, all []robust) (journals []journal) {
	t.Helper()
	for _, r := range all {
		f, err := os.Create(t.TempDir() + "/" + r.name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		if err := f.Truncate(24); err != nil {
			t.Fatal(err)
		}
		journals = append(journals, journal{f})
	}
	return journals
}

// filesOf returns what the children that work with robust locks are given.
func filesOf(t *testing.T, a *Arena, journals []journal) []*os.File {
	t.Helper()
	files := []*os.File{share(t, a)}
	for _, j := range journals {
		files = append(files, j.f)
	}
	return files
}

func (j journal) read(i int64) (uint64, error) {
	var b [8]byte
	_, err := j.f.ReadAt(b[:], 8*i)
	return binary.NativeEndian.Uint64(b[:]), err
}

func (j journal) write(i int64, n uint64) error {
	_, err := j.f.WriteAt(binary.NativeEndian.AppendUint64(nil, n), 8*i)
	return err
}

// work adds one, and repairs before what a dead process left behind.
func (j journal) work(died bool) error {
	begun, err := j.read(0)
	if err != nil {
		return err
	}
	ended, err := j.read(1)
	if err != nil {
		return err
	}
	if died {
		told, err := j.read(2)
		if err != nil {
			return err
		}
		if err := j.write(2, told+1); err != nil {
			return err
		}
	} else if begun != ended {
		return fmt.Errorf("begun %d, ended %d, and not told", begun, ended)
	}
	if err := j.write(0, begun+1); err != nil {
		return err
	}
	return j.write(1, begun+1)
}

func init() {
	children["work with robust locks"] = func(files []*os.File) error {
		all, err := openRobusts(files[0])
		if err != nil {
			return err
		}
		for i := 0; ; i++ {
			k := i % len(all)
			r := all[k]
			err := r.lock(context.Background())
			if err != nil && err != ErrOwnerDied {
				return err
			}
			if err == ErrOwnerDied && rand.N(4) == 0 {
				if err := r.abandon(); err != nil {
					return err
				}
				continue
			}
			if err := (journal{files[1+k]}).work(err == ErrOwnerDied); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			if err := r.unlock(); err != nil {
				return err
			}
		}
	}
}

// Processes that work under robust locks are killed at any instruction. Nobody is stuck,
// nobody works on what was left half done without having been told, and no death is
// told twice.
func TestRobustKilledAtRandom(t *testing.T) {
	a, all := newRobusts(t)
	journals := newJournals(t, all)
	files := filesOf(t, a, journals)
	kills := numberOfKills(t)
	work := func() []uint64 {
		var done []uint64
		for _, j := range journals {
			n, err := j.read(1)
			if err != nil {
				t.Fatal(err)
			}
			done = append(done, n)
		}
		return done
	}
	var running [3]*exec.Cmd
	for i := range running {
		running[i] = startChild(t, "work with robust locks", files...)
	}
	for i := range kills {
		// They have gone on since the last one was killed.
		before := work()
		await(t, "work", func() bool {
			for k, n := range work() {
				if n <= before[k] {
					return false
				}
			}
			return true
		})
		time.Sleep(time.Duration(rand.N(2_000_000)))
		k := i % len(running)
		kill(t, running[k])
		if code := running[k].ProcessState.ExitCode(); code != -1 {
			t.Fatalf("ended by itself, %d", code)
		}
		running[k] = startChild(t, "work with robust locks", files...)
	}
	for _, cmd := range running {
		kill(t, cmd)
	}
	for k, r := range all {
		died := false
		if err := r.lock(t.Context()); err == ErrOwnerDied {
			died = true
		} else if err != nil {
			t.Fatal(err)
		}
		if err := journals[k].work(died); err != nil {
			t.Errorf("%s: %v", r.name, err)
		}
		free(t, r)
		told, err := journals[k].read(2)
		if err != nil {
			t.Fatal(err)
		}
		if told > uint64(kills+len(running)) {
			t.Errorf("%s: %d deaths, told %d times", r.name, kills+len(running), told)
		}
		t.Logf("%s: told %d times of %d deaths", r.name, told, kills+len(running))
	}
}
