package inspect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/goprocessing/goprocessing/core"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// startHanging starts a child that hangs in the end.
func startHanging(t *testing.T, name string, file *os.File) (pid int, end func()) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	child := startChild(t, name, file, r)
	_ = r.Close()
	return child.Process.Pid, func() { kill(child) }
}

func TestRepair(t *testing.T) {
	q := must(core.NewJoinableQueue(core.Redeliver()))
	defer q.Close()
	file, bell, err := q.Files()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	defer bell.Close()
	if err := q.TryPut(nil); err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprint(inodeOf(file))
	repaired := func() (list []string) {
		t.Helper()
		for _, r := range must(Repair(id)) {
			list = append(list, r.Done)
		}
		return list
	}
	taker, kill := startHanging(t, "take", file)
	has := func(alive bool) func(*Object) bool {
		return func(o *Object) bool {
			return slices.Equal(o.Holders, []Holder{{Thread{taker, 0, alive}, "items", 1}})
		}
	}
	find(t, id, has(true))
	if done := repaired(); done != nil {
		t.Errorf("there is nothing to be done: %q", done)
	}
	kill()
	find(t, id, has(false))
	if done := repaired(); len(done) != 1 || q.Len() != 1 {
		t.Errorf("done: %q; %d items", done, q.Len())
	}
	if done := repaired(); done != nil {
		t.Errorf("done again: %q", done)
	}
}

func TestFree(t *testing.T) {
	for _, name := range []string{"lock as a thread", "lock"} {
		a, file := newArena(t)
		lock := must(a.NewRLock())
		id := slotID(inodeOf(file), lock.Offset())
		if _, err := Free(id); !errors.Is(err, ErrHeld) {
			t.Errorf("of a free lock: %v", err)
		}
		_, kill := startHanging(t, name, file)
		find(t, id, func(o *Object) bool { return o.Value == 3 })
		if _, err := Free(id); !errors.Is(err, ErrHeld) {
			t.Errorf("%s: while its holder lives: %v", name, err)
		}
		kill()
		if r, err := Free(id); err != nil || r.ID != id || r.Kind != RLock {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if !lock.TryLock(core.NewOwner()) {
			t.Errorf("%s: the lock is not free", name)
		}
		for _, id := range []string{"", "1", id + "1"} {
			if _, err := Free(id); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%q: %v", id, err)
			}
		}
	}
}

// cannotBeRepaired: who asks for an object that is unknown is told why.
func cannotBeRepaired(t *testing.T, o *Object) {
	t.Helper()
	want := Repaired{ID: o.ID, Kind: Unknown, Problem: o.Problem}
	if list := must(Repair(o.ID)); !slices.Equal(list, []Repaired{want}) {
		t.Errorf("repaired: %+v", list)
	}
	if r, err := Free(o.ID); err == nil || err.Error() != o.Problem || r.ID != o.ID || r.Kind != Unknown {
		t.Errorf("freed: %+v, %v", r, err)
	}
}

// A process that may not be looked into, such as one that has changed its user, may be the
// holder: its lock is not made free.
func TestUserThatMayNotBeLookedInto(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	child := startChild(t, "hang", r)
	_ = r.Close()
	pid := child.Process.Pid
	g := new(segment)
	if g.mayBeUsedBy(pid) {
		t.Error("it does not use the segment")
	}
	if os.Geteuid() != 0 {
		pid = 1
	}
	const nobody = 65534
	answer := make(chan bool)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if os.Geteuid() == 0 {
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
				t.Error(errno)
			}
		}
		answer <- g.mayBeUsedBy(pid)
	}()
	if !<-answer {
		t.Error("nobody knows whether it uses the segment")
	}
}

func TestUnlinkStale(t *testing.T) {
	s, name := named(t)
	if names := must(UnlinkStale(name)); slices.Contains(names, name) {
		t.Error("it is open")
	}
	if err := syscall.Close(int(s.FD)); err != nil {
		t.Fatal(err)
	}
	if names := must(UnlinkStale(name)); slices.Contains(names, name) {
		t.Error("it is mapped")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if names := must(UnlinkStale(name)); !slices.Contains(names, name) {
		t.Errorf("unlinked: %q", names)
	}
	if err := s.OpenNamed(name, shm.KindQueue); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opened: %v", err)
	}
}
