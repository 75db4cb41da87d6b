package futex

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/process"
	"golang.org/x/sys/unix"
)

type readiness func() bool

func (r readiness) Ready() bool { return r() }

var never = readiness(func() bool { return false })

func TestDeadline(t *testing.T) {
	var w Word
	var spin uint32
	l := &Limit{How: Block, Deadline: Now() + int64(20*time.Millisecond)}
	if _, err := AwaitWord(&w, l, &spin, never); err != unix.ETIMEDOUT {
		t.Errorf("got %v", err)
	}
	if late := Now() - l.Deadline; late < 0 {
		t.Errorf("%v too early", time.Duration(-late))
	}
}

func TestHow(t *testing.T) {
	for _, how := range []How{Try, NoWait, Spin} {
		var w Word
		var spin uint32
		if _, err := AwaitWord(&w, &Limit{How: how}, &spin, never); err != unix.EAGAIN {
			t.Errorf("%v: got %v", how, err)
		}
	}
}

// A signal may come too early to interrupt the sleep.
func TestInterruptibleSleepEnds(t *testing.T) {
	var w Word
	var spin uint32
	l := &Limit{How: Sleep, Deadline: Forever, Interruptible: true}
	start := Now()
	if _, err := AwaitWord(&w, l, &spin, never); err != unix.EINTR {
		t.Errorf("got %v", err)
	}
	if d := Now() - start; d < Look {
		t.Errorf("after %v", time.Duration(d))
	}
}

func TestCancel(t *testing.T) {
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	var w Word
	var spin uint32
	done := make(chan error)
	go func() {
		_, err := AwaitWord(&w, &Limit{How: Block, Deadline: Forever, Context: ctx}, &spin, never)
		done <- err
	}()
	awaitFlag(t, &w)
	cancel(why)
	if err := <-done; err != why {
		t.Errorf("got %v", err)
	}
}

// awaitFlag waits until somebody sleeps on w, or is about to.
func awaitFlag(t *testing.T, w *Word) {
	t.Helper()
	for end := time.Now().Add(time.Minute); w.bits.Load()&mayWait == 0; {
		if time.Now().After(end) {
			t.Fatal("nobody waits")
		}
		time.Sleep(time.Millisecond)
	}
}

// One who sleeps is woken: to find out by itself would take Look in each round.
func TestSleepersAreWoken(t *testing.T) {
	const rounds = 60
	ctx, cancel := context.WithTimeoutCause(t.Context(), rounds/2*time.Duration(Look), unix.ETIME)
	defer cancel()
	for range rounds {
		var w Word
		var spin uint32
		var ready atomic.Bool
		done := make(chan error, 1)
		go func() {
			_, err := AwaitWord(&w, &Limit{How: Sleep, Deadline: Forever, Context: ctx}, &spin, readiness(ready.Load))
			done <- err
		}()
		awaitFlag(t, &w)
		time.Sleep(2 * time.Millisecond) // if it does not sleep by now, the round shows nothing
		ready.Store(true)
		w.Wake(1)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// Every token is taken once, however many producers wake however many consumers.
func TestNoWakeUpIsLost(t *testing.T) {
	const consumers, tokens = 8, 20_000
	var w Word
	var available, taken atomic.Int64
	take := func() bool {
		for {
			n := available.Load()
			if n == 0 {
				return false
			}
			if available.CompareAndSwap(n, n-1) {
				return true
			}
		}
	}
	var group sync.WaitGroup
	for range consumers {
		group.Go(func() {
			var spin uint32 = minSpin
			for taken.Add(1) <= tokens {
				slept := false
				for !take() {
					l := &Limit{How: Block, Deadline: Now() + 20*Look}
					again, err := AwaitWord(&w, l, &spin, readiness(func() bool { return available.Load() > 0 }))
					if err != nil {
						t.Error(err)
						return
					}
					slept = slept || again
				}
				if slept && available.Load() > 0 {
					w.Wake(1)
				}
			}
		})
	}
	for range tokens {
		available.Add(1)
		w.Wake(1)
	}
	group.Wait()
}

func TestMutexExcludes(t *testing.T) {
	var m Mutex
	n := 0
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 5000 {
				if _, err := m.Lock(&Limit{How: NoWait}); err != nil {
					t.Error(err)
					return
				}
				n++
				m.Unlock()
			}
		})
	}
	group.Wait()
	if n != 8*5000 {
		t.Errorf("%d", n)
	}
}

func TestMutexTryGivesUp(t *testing.T) {
	var m Mutex
	if !m.TryLock() || m.TryLock() {
		t.Error("TryLock")
	}
	if m.Owner() != process.Self {
		t.Errorf("owner %v", m.Owner())
	}
	if _, err := m.Lock(&Limit{How: Try}); err != unix.EBUSY {
		t.Errorf("got %v", err)
	}
	for _, how := range []How{Spin, Sleep, Block} {
		if _, err := m.Lock(&Limit{How: how, Deadline: Now() + 1e6}); err != unix.ETIMEDOUT {
			t.Errorf("%v: got %v", how, err)
		}
	}
	m.Unlock()
}

const lockerVariable = "GOPROCESSING_TEST_LOCKER"

// The mutex of a killed process is inherited by one of those who wait, and only
// by one.
func TestMutexOutlivesItsOwner(t *testing.T) {
	if os.Getenv(lockerVariable) != "" {
		m := mapMutex(t, 3)
		if !m.TryLock() {
			t.Fatal("not free")
		}
		if _, err := os.Stdout.WriteString("locked\n"); err != nil {
			t.Fatal(err)
		}
		for { // until killed; the runtime takes a lone select for a deadlock, and ends it
			time.Sleep(time.Hour)
		}
	}
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "mutex")
	defer file.Close()
	if err := file.Truncate(4096); err != nil {
		t.Fatal(err)
	}
	m := mapMutex(t, fd)

	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), lockerVariable+"=1")
	cmd.ExtraFiles = []*os.File{file}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	if !m.Owner().Alive() {
		t.Error("the owner lives, but does not seem to")
	}
	var inherited atomic.Int32
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			ok, err := m.Lock(&Limit{How: NoWait})
			if err != nil {
				t.Error(err)
				return
			}
			if ok {
				inherited.Add(1)
			}
			m.Unlock()
		})
	}
	// Not waited for before the others have it: a zombie is dead.
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	group.Wait()
	if n := inherited.Load(); n != 1 {
		t.Errorf("inherited %d times", n)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the locker was not killed")
	}
}

func mapMutex(t *testing.T, fd int) *Mutex {
	t.Helper()
	p, err := unix.MmapPtr(fd, 0, nil, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.MunmapPtr(p, 4096) })
	return (*Mutex)(unsafe.Pointer(p))
}
