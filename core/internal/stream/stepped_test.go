package stream

import (
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

// mixed is an item with up to three buffers or, if its number is odd, small data.
func (i item) mixed() *Record {
	r := &Record{Parts: [3][]byte{i.header()}}
	if i.n%2 == 1 {
		r.Parts[1] = i.bytes(0, i.n%100)
		return r
	}
	for k := range i.n / 2 % 4 {
		r.Buffers = append(r.Buffers, i.bytes(k, 16))
	}
	return r
}

// runAlone puts and gets items of all kinds through both streams, for ever.
func runAlone(s *shm.Segment) error {
	debug.SetGCPercent(-1)
	first, second := Of(s, 0), Of(s, 1)
	r := receiver{record: item.mixed}
	buf := make([]byte, 1000)
	for i := newProducer(); ; i.n += 2 {
		if err := first.Put(s, nil, i.mixed(), forever); err != nil {
			return err
		}
		moved, err := r.receive(first, s, forever)
		if err != nil {
			return err
		}
		if err := second.Put(s, nil, moved.mixed(), forever); err != nil {
			return err
		}
		r.release(s, 0)
		if _, err := r.receive(second, s, forever); err != nil {
			return err
		}
		r.release(s, 1)

		var b Batch
		for k := range uint32(3) {
			odd := item{i.producer, i.n + 2*k + 1}.mixed()
			b = b.Append(append(odd.Parts[0], odd.Parts[1]...))
		}
		if _, _, err := first.PutMany(s, nil, b, forever); err != nil {
			return err
		}
		for range 2 { // two items, then one
			if _, _, err := first.GetMany(s, buf, 2, forever); err != nil {
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

// As TestKilledAtRandom, but at moments that are too short to be met by chance.
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
	for i := range numberOfKills(t) / 12 {
		die := momentsToDie[i%len(momentsToDie)]
		before := streams[1].gets.Load()
		cmd := start(t, s, "step", "alone")
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
		if !kill(cmd) {
			t.Fatal("the process ended by itself")
		}

		for _, q := range streams {
			// What the dead process left, and what shows that all goes on.
			for n := range uint32(10) {
				if err := q.Put(s, nil, (item{n: n}).mixed(), forever); err != nil {
					t.Fatal(err)
				}
			}
			r := receiver{record: item.mixed}
			for q.Len() > 0 {
				if _, err := r.receive(q, s, now); err != nil {
					t.Fatalf("killed %s: %v", die.name, err)
				}
				r.release(s, 0)
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
