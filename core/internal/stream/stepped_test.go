package stream

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

func init() {
	if os.Getenv(childVariable) != "" {
		// The thread that is stepped is the first one, whose id is the pid.
		runtime.LockOSThread()
	}
}

// runAlone puts and gets numbered items in all ways through both streams, for ever.
func runAlone(s *shm.Segment) error {
	debug.SetGCPercent(-1)
	first, second := Of(s, 0), Of(s, 1)
	buf := make([]byte, 2000)
	for i := 0; ; i += 10 {
		if err := first.TryPut(s, nil, numbered(i+1), now); err != nil {
			return err
		}
		if _, err := first.TryGet(s, buf, now); err != nil {
			return err
		}
		for _, q := range []*Stream{first, second} {
			if err := q.Put(s, nil, numbered(i), now); err != nil {
				return err
			}
			if _, err := receiveNumbered(q, s); err != nil {
				return err
			}
		}
		var b Batch
		for k := range 3 {
			b = b.Append(bytes.Join(numbered(i + 2 + k).Parts[:], nil))
		}
		if _, _, err := first.PutMany(s, nil, b, now); err != nil {
			return err
		}
		for range 2 { // two items, then one
			if _, _, err := first.GetMany(s, buf, 2, now); err != nil {
				return err
			}
		}
	}
}

// tracee is a process whose first thread runs instruction by instruction (ptrace(2)).
// All calls have to come from one thread.
type tracee struct {
	pid    int
	signal uintptr // that it is about to get
}

func trace(t testing.TB, cmd *exec.Cmd) *tracee {
	t.Helper()
	p := &tracee{pid: cmd.Process.Pid}
	if err := unix.PtraceAttach(p.pid); err != nil {
		t.Skip("ptrace: ", err)
	}
	p.wait(t)
	return p
}

func (p *tracee) wait(t testing.TB) {
	t.Helper()
	var status unix.WaitStatus
	_, err := unix.Wait4(p.pid, &status, unix.WALL, nil)
	for err == unix.EINTR {
		_, err = unix.Wait4(p.pid, &status, unix.WALL, nil)
	}
	if err != nil || !status.Stopped() {
		t.Fatal(status, err)
	}
	p.signal = 0
	if s := status.StopSignal(); s != unix.SIGTRAP && s != unix.SIGSTOP {
		p.signal = uintptr(s)
	}
}

func (p *tracee) step(t testing.TB) {
	t.Helper()
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SINGLESTEP, uintptr(p.pid), 0, p.signal, 0, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	p.wait(t)
}

// moment is a state which a process leaves after some instructions.
type moment struct {
	name string
	is   func(streams []*Stream, x Extents) bool
	then int // so many instructions more, at most
}

var momentsToDie = []moment{
	{"with the lock of the pool", func(_ []*Stream, x Extents) bool { return x.p.lock.Held() }, 600},
	{"putting", func(streams []*Stream, _ Extents) bool { return streams[0].putLock.Held() }, 600},
	{"getting", func(streams []*Stream, _ Extents) bool { return streams[0].getLock.Held() }, 600},
	{"queued, but not put", func(streams []*Stream, x Extents) bool {
		return anyOf(x, func(e *extent, item uint64) bool {
			return e.owner.Load() == queued && item&^stream1 >= streams[item/stream1].current().puts
		})
	}, 60},
	{"claimed, but not got", func(streams []*Stream, x Extents) bool {
		return anyOf(x, func(e *extent, item uint64) bool {
			t, n, owner := streams[item/stream1], item&^stream1, e.owner.Load()
			return owner != queued && owner != 0 && t.gets.Load() <= n && n < t.puts.Load()
		})
	}, 60},
}

// anyOf reports whether there is such an extent with an item.
func anyOf(x Extents, is func(e *extent, item uint64) bool) bool {
	first, _ := place(0, minClass)
	for c := first; c < x.p.fresh.Load(); c += 1 << minClass {
		e, err := x.at(c)
		if err != nil || e.class.Load() == 0 {
			continue
		}
		if item := e.item.Load(); item != none && is(e, item) {
			return true
		}
	}
	return false
}

// A process is killed at moments that are too short to be met by chance. core's
// TestKilledAtRandom leaves it to chance.
func TestKilledAtWork(t *testing.T) {
	if testing.Short() {
		t.Skip("steps millions of instructions")
	}
	// Else the handler of that signal is most of what is stepped through.
	t.Setenv("GODEBUG", "asyncpreemptoff=1")
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	streams, s := newStreams(t, 2, 20, 0)
	x := ExtentsOf(s)
	for _, die := range momentsToDie {
		before := streams[1].gets.Load()
		cmd := newChild(t, s, "put and get")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Minute); streams[1].gets.Load() < before+10; {
			if time.Now().After(end) {
				t.Fatal("the child does nothing")
			}
			time.Sleep(100 * time.Microsecond)
		}
		p := trace(t, cmd)
		for !die.is(streams, x) {
			p.step(t)
		}
		for range rand.N(die.then) {
			p.step(t)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil || err.Error() != "signal: killed" {
			t.Fatal(err)
		}

		for _, q := range streams {
			// What the dead process left, and what shows that all goes on.
			for n := range 10 {
				if err := q.Put(s, nil, numbered(n), now); err != nil {
					t.Fatal(err)
				}
			}
			for q.Len() > 0 {
				if _, err := receiveNumbered(q, s); err != nil {
					t.Fatalf("killed %s: %v", die.name, err)
				}
			}
			check(t, q, s)
		}
		x.RecoverLost()
		if owned := checkExtents(t, s); owned != 0 {
			t.Errorf("%d extents have owners", owned)
		}
		if t.Failed() {
			t.Fatal("killed ", die.name)
		}
	}
}
