package inspect

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"syscall"
	"testing"

	"github.com/goprocessing/goprocessing/core"
	"github.com/goprocessing/goprocessing/core/internal/arena"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"github.com/goprocessing/goprocessing/core/internal/stream"
)

func init() {
	children["get"] = func(files []*os.File) error {
		q, err := core.OpenQueue(files[0], nil)
		if err != nil {
			return err
		}
		_, err = q.Get(context.Background())
		return err
	}
	children["put"] = func(files []*os.File) error {
		q, err := core.OpenQueue(files[0], nil)
		if err != nil {
			return err
		}
		if err := q.Put(context.Background(), []byte("one too many")); err != core.ErrShutdown {
			return err
		}
		return nil
	}
	children["join"] = func(files []*os.File) error {
		q, err := core.OpenJoinableQueue(files[0], nil)
		if err != nil {
			return err
		}
		return q.Join(context.Background())
	}
	// As Python's threads do.
	children["lock as a thread"] = func(files []*os.File) error {
		s := new(shm.Segment)
		if err := s.Open(int(files[0].Fd()), shm.KindArena); err != nil {
			return err
		}
		k, pid := (*arena.RLock)(arena.At(s, rlockAt)), uint64(os.Getpid())
		for range 3 {
			if err := k.Acquire(pid<<32|pid, new(futex.Limit)); err != nil {
				return err
			}
		}
		return children["hang"](files[1:])
	}
	children["lock"] = func(files []*os.File) error {
		a, err := core.OpenArena(files[0])
		if err != nil {
			return err
		}
		k, err := a.RLock(rlockAt)
		if err != nil {
			return err
		}
		me := core.NewOwner()
		for range 3 {
			if err := k.Lock(context.Background(), me); err != nil {
				return err
			}
		}
		return children["hang"](files[1:])
	}
	children["hang"] = func(files []*os.File) error {
		_, err := io.ReadAll(files[0]) // until the test is over
		return err
	}
	children["take"] = func(files []*os.File) error {
		q, err := core.OpenJoinableQueue(files[0], nil)
		if err != nil {
			return err
		}
		if _, err := q.Get(context.Background()); err != nil {
			return err
		}
		return children["hang"](files[1:])
	}
	children["receive"] = func(files []*os.File) error {
		c, err := core.OpenConn(files[0], files[1], 1, core.Readable)
		if err != nil {
			return err
		}
		_, err = c.Recv(context.Background())
		return err
	}
	children["wait"] = func(files []*os.File) error {
		a, err := core.OpenArena(files[0])
		if err != nil {
			return err
		}
		e, err := a.Event(eventAt)
		if err != nil {
			return err
		}
		return e.Wait(context.Background())
	}
}

// Where the first objects of an arena are, if they are made in this order.
const (
	rlockAt = 1024
	eventAt = 1024 + 64
)

func newQueue(t *testing.T, maxItems uint64) (*core.JoinableQueue, *os.File) {
	t.Helper()
	q := must(core.NewJoinableQueue(core.MaxItems(maxItems)))
	file, bell, err := q.Files()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = bell.Close()
		_ = file.Close()
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q, file
}

// slotOf returns what is at offset in the arena of file.
func slotOf(t *testing.T, file *os.File, offset uint64) *arena.Slot {
	t.Helper()
	s := new(shm.Segment)
	if err := s.Open(must(syscall.Dup(int(file.Fd()))), shm.KindArena); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return arena.At(s, offset)
}

func newArena(t *testing.T) (*core.Arena, *os.File) {
	t.Helper()
	a := must(core.NewArena())
	file := must(a.File())
	t.Cleanup(func() {
		_ = file.Close()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a, file
}

func waiter(pid int, purpose string) func(*Object) bool {
	return func(o *Object) bool {
		return slices.ContainsFunc(o.Waiters, func(w Waiter) bool {
			return w.PID == pid && w.To == purpose && w.Alive
		})
	}
}

func TestQueue(t *testing.T) {
	q, file := newQueue(t, 3)
	for range 3 {
		if err := q.TryPut(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.TryGet(); err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprint(inodeOf(file))
	_, o := find(t, id, always)
	if want := []Holder{{Thread{os.Getpid(), 0, true}, "items", 1}}; !slices.Equal(o.Holders, want) {
		t.Errorf("one item is being worked on: %+v", o)
	}
	if err := q.TaskDone(); err != nil {
		t.Fatal(err)
	}
	s, o := find(t, id, always)
	if o.Kind != Queue || len(o.Holders) != 0 || !slices.Equal(o.Users, []int{os.Getpid()}) || o.Memory < 4096 || o.Awaited {
		t.Errorf("%+v", o)
	}
	bytes := o.Streams[0].Bytes
	if bytes < 200 || bytes > 300 {
		t.Errorf("%d bytes", bytes)
	}
	want := Stream{Depth: 2, MaxItems: 3, Bytes: bytes, Puts: 3, Gets: 1, Done: 1, Unfinished: 2, Joinable: true}
	if o.Streams[0] != want {
		t.Errorf("%+v", o.Streams[0])
	}
	if !slices.ContainsFunc(s.Processes, func(p Process) bool {
		return p.PID == os.Getpid() && p.Parent == os.Getppid() && !p.Stopped && p.Command != ""
	}) {
		t.Errorf("%+v", s.Processes)
	}

	if err := q.TryPut(nil); err != nil {
		t.Fatal(err)
	}
	producer := startChild(t, "put", file).Process.Pid
	joiner := startChild(t, "join", file).Process.Pid
	find(t, id, waiter(joiner, "join"))
	_, o = find(t, id, waiter(producer, "put"))
	if !o.Streams[0].Full || !slices.Contains(o.Users, producer) || !slices.Contains(o.Users, joiner) {
		t.Errorf("%+v", o)
	}
	if err := q.Shutdown(false); err != nil {
		t.Fatal(err)
	}
	if _, o := find(t, id, always); !o.Streams[0].Shut {
		t.Errorf("%+v", o)
	}
}

func TestConsumerThatWaits(t *testing.T) {
	_, file := newQueue(t, 0)
	consumer := startChild(t, "get", file)
	id := fmt.Sprint(inodeOf(file))
	_, o := find(t, id, waiter(consumer.Process.Pid, "get"))
	if len(o.Waiters) != 1 || !o.Awaited {
		t.Errorf("%+v", o)
	}
	kill(consumer)
	if _, o := find(t, id, always); len(o.Waiters) != 0 {
		t.Errorf("%+v", o)
	}
}

func TestPipe(t *testing.T) {
	a, b, err := core.Pipe(true)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	defer b.Close()
	if err := a.Send(context.Background(), []byte("message")); err != nil {
		t.Fatal(err)
	}
	s, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(s.Objects, func(o Object) bool {
		return o.Kind == Pipe && slices.Equal(o.Users, []int{os.Getpid()})
	})
	if i < 0 {
		t.Fatalf("%+v", s.Objects)
	}
	o := s.Objects[i]
	if len(o.Streams) != 2 || o.Streams[0].Depth+o.Streams[1].Depth != 1 || o.Streams[0].MaxBytes == 0 {
		t.Errorf("%+v", o)
	}
}

// A process that was stopped is shown to be.
func TestStopped(t *testing.T) {
	_, file := newQueue(t, 0)
	consumer := startChild(t, "get", file)
	pid := consumer.Process.Pid
	id := fmt.Sprint(inodeOf(file))
	find(t, id, waiter(pid, "get"))
	if err := consumer.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Wait4(pid, nil, syscall.WUNTRACED, nil); err != nil {
		t.Fatal(err)
	}
	s, _ := find(t, id, func(o *Object) bool { return slices.Contains(o.Users, pid) })
	if s.Hidden || !slices.ContainsFunc(s.Processes, func(p Process) bool { return p.PID == pid && p.Stopped }) {
		t.Errorf("%+v", s.Processes)
	}
}

// One who waits for a message sleeps on a socket, not in the segment.
func TestReceiverThatWaits(t *testing.T) {
	a, b, err := core.Pipe(true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = a.Close(), b.Close() }) // once the child is killed
	segment, sock, err := b.Files()
	if err != nil {
		t.Fatal(err)
	}
	defer segment.Close()
	defer sock.Close()
	receiver := startChild(t, "receive", segment, sock).Process.Pid
	_, o := find(t, fmt.Sprint(inodeOf(segment)), waiter(receiver, "get"))
	if len(o.Waiters) != 1 || !o.Awaited {
		t.Errorf("%+v", o)
	}
}

// The holder of a lock is named, also when it has died; if it is a Go program, without the
// thread.
func TestHolder(t *testing.T) {
	for _, name := range []string{"lock as a thread", "lock"} {
		a, file := newArena(t)
		if k := must(a.NewRLock()); k.Offset() != rlockAt {
			t.Fatalf("the first slot is at %d", k.Offset())
		}
		id := slotID(inodeOf(file), rlockAt)
		if _, o := find(t, id, always); o.Kind != RLock || o.Value != 0 || len(o.Holders) != 0 {
			t.Errorf("free: %+v", o)
		}
		pid, kill := startHanging(t, name, file)
		tid := pid
		if name == "lock" {
			tid = 0
		}
		_, o := find(t, id, func(o *Object) bool { return o.Value == 3 })
		if want := []Holder{{Thread{pid, tid, true}, "lock", 1}}; !slices.Equal(o.Holders, want) {
			t.Errorf("%s: held: %+v", name, o)
		}
		kill()
		_, o = find(t, id, always)
		if want := []Holder{{Thread{pid, tid, false}, "lock", 1}}; !slices.Equal(o.Holders, want) || slices.Contains(o.Users, pid) {
			t.Errorf("%s: its holder has died: %+v", name, o)
		}
	}
}

// A lock's holder is named also if it is a Go program, though not the goroutine.
func TestHolderInGo(t *testing.T) {
	a, file := newArena(t)
	lock := must(a.NewLock())
	if err := lock.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, o := find(t, slotID(inodeOf(file), lock.Offset()), always)
	if want := []Holder{{Thread{os.Getpid(), 0, true}, "lock", 1}}; !slices.Equal(o.Holders, want) {
		t.Errorf("%+v", o)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	if _, o := find(t, slotID(inodeOf(file), lock.Offset()), always); len(o.Holders) != 0 {
		t.Errorf("free: %+v", o)
	}
	unknown := must(a.NewRLock()) // taken in C, for any number
	if err := (*arena.RLock)(slotOf(t, file, unknown.Offset())).Acquire(1, new(futex.Limit)); err != nil {
		t.Fatal(err)
	}
	if _, o := find(t, slotID(inodeOf(file), unknown.Offset()), always); o.Value != 1 || len(o.Holders) != 0 {
		t.Errorf("taken by an owner that is no thread: %+v", o)
	}
}

func TestSlots(t *testing.T) {
	a, file := newArena(t)
	inode := inodeOf(file)
	must(a.NewRLock())
	must(a.NewEvent()).Set()
	semaphore := must(a.NewSemaphore(4))
	bounded := must(a.NewBoundedSemaphore(5))
	lock := must(a.NewLock())
	condition := must(a.NewCondition())
	barrier := must(a.NewBarrier(7))
	if err := barrier.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !semaphore.TryAcquire() || !lock.TryLock() {
		t.Fatal("taken")
	}
	s := must(Take())
	for offset, want := range map[uint64]Object{
		eventAt:            {Kind: Event, Value: 1},
		semaphore.Offset(): {Kind: Semaphore, Value: 3},
		bounded.Offset():   {Kind: Semaphore, Value: 5, Limit: 5},
		lock.Offset():      {Kind: Lock, Limit: 1},
		condition.Offset(): {Kind: Condition},
		barrier.Offset():   {Kind: Barrier, Limit: 7, Broken: true},
	} {
		i := slices.IndexFunc(s.Objects, func(o Object) bool { return o.ID == slotID(inode, offset) })
		if i < 0 {
			t.Fatalf("not found: %+v", want)
		}
		o := s.Objects[i]
		if o.Kind != want.Kind || o.Value != want.Value || o.Limit != want.Limit || o.Broken != want.Broken || o.Awaited {
			t.Errorf("%+v", o)
		}
	}
	if err := a.FreeSlot(lock.Offset()); err != nil {
		t.Fatal(err)
	}
	s = must(Take())
	if slices.ContainsFunc(s.Objects, func(o Object) bool { return o.ID == slotID(inode, lock.Offset()) }) {
		t.Error("a slot that was freed is listed")
	}
}

// Robust ones name their holders whoever they are: processes, not only Python's threads.
func TestRobust(t *testing.T) {
	a, file := newArena(t)
	inode := inodeOf(file)
	lock, semaphore, rlock := must(a.NewRobustLock()), must(a.NewRobustSemaphore(200)), must(a.NewRobustRLock())
	self, owner := os.Getpid(), core.NewOwner()
	if err := errors.Join(lock.Lock(t.Context()), rlock.Lock(t.Context(), owner), rlock.Lock(t.Context(), owner)); err != nil {
		t.Fatal(err)
	}
	for range 130 {
		if err := semaphore.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- lock.Lock(ctx) }()
	_, o := find(t, slotID(inode, lock.Offset()), waiter(self, "acquire"))
	if o.Kind != Lock || !o.Robust || o.Value != 0 || !slices.Equal(o.Holders, []Holder{{Thread{self, 0, true}, "lock", 1}}) {
		t.Errorf("%+v", o)
	}
	cancel()
	<-ended
	_, o = find(t, slotID(inode, semaphore.Offset()), always)
	if o.Kind != Semaphore || !o.Robust || o.Value != 70 || o.Limit != 200 || len(o.Holders) != 130 {
		t.Errorf("%+v", o)
	}
	_, o = find(t, slotID(inode, rlock.Offset()), always)
	if o.Kind != RLock || !o.Robust || o.Value != 2 || !slices.Equal(o.Holders, []Holder{{Thread{self, 0, true}, "lock", 1}}) {
		t.Errorf("%+v", o)
	}
	if _, err := Free(o.ID); !errors.Is(err, ErrHeld) {
		t.Errorf("while its holder lives: %v", err)
	}
	if err := errors.Join(rlock.Unlock(owner), rlock.Unlock(owner)); err != nil {
		t.Fatal(err)
	}
	if err := (*arena.RobustRLock)(slotOf(t, file, rlock.Offset())).Acquire(uint64(self)<<32|5, new(futex.Limit)); err != nil {
		t.Fatal(err)
	}
	// There is no such thread.
	_, o = find(t, slotID(inode, rlock.Offset()), always)
	if o.Value != 1 || !slices.Equal(o.Holders, []Holder{{Thread{self, 5, false}, "lock", 1}}) {
		t.Errorf("%+v", o)
	}
}

func TestWaiters(t *testing.T) {
	a, file := newArena(t)
	inode := inodeOf(file)
	must(a.NewRLock())
	must(a.NewEvent())
	condition := must(a.NewCondition())
	child := startChild(t, "wait", file).Process.Pid
	find(t, slotID(inode, eventAt), waiter(child, "wait"))

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	lock := must(a.NewLock())
	if !lock.TryLock() {
		t.Fatal("taken")
	}
	go func() { ended <- condition.Wait(ctx, lock) }()
	_, o := find(t, slotID(inode, condition.Offset()), waiter(os.Getpid(), "wait"))
	if len(o.Waiters) != 1 {
		t.Errorf("%+v", o)
	}
	cancel()
	<-ended
}

// Who looks waits for nobody, not even for one who is inside a put and never comes out.
func TestNobodyIsWaitedFor(t *testing.T) {
	q, file := newQueue(t, 0)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	owner := startChild(t, "hang", r).Process.Pid
	_ = r.Close()
	lock := int64(stream.WordsOf(0).PutLock)
	set := func(pid int) {
		must(file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(pid)), lock))
	}
	set(owner)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- q.Put(ctx, nil) }()
	_, o := find(t, fmt.Sprint(inodeOf(file)), waiter(os.Getpid(), "put lock"))
	if want := []Holder{{Thread{owner, 0, true}, "put", 1}}; !slices.Equal(o.Holders, want) {
		t.Errorf("%+v", o)
	}
	set(0)
	cancel()
	<-ended
}

// What is said of a queue was true at some instant, whatever goes on, and those who go
// on do not notice.
func TestTraffic(t *testing.T) {
	const items, room = 10_000, 10
	q, file := newQueue(t, room)
	g := segmentBehind(t, int(file.Fd()))
	ended := make(chan error)
	go func() {
		for n := range uint64(items) {
			if err := q.Put(t.Context(), binary.NativeEndian.AppendUint64(nil, n)); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	go func() {
		for n := range uint64(items) {
			item, err := q.Get(t.Context())
			if err == nil && binary.NativeEndian.Uint64(item) != n {
				err = fmt.Errorf("%d came instead of %d", item, n)
			}
			if err == nil {
				err = q.TaskDone()
			}
			if err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	last := Stream{}
	for left := 2; left > 0; {
		select {
		case err := <-ended:
			if left--; err != nil {
				t.Error(err)
			}
		default:
			s := g.look()[0].Streams[0]
			if s.Depth != s.Puts-s.Gets || s.Depth > room || s.Puts < last.Puts || s.Gets < last.Gets || s.Done > items {
				t.Fatalf("%+v after %+v", s, last)
			}
			last = s
		}
	}
}

// Nothing changes in what is looked at, nor does it take more memory.
func TestNothingChanges(t *testing.T) {
	q, queueFile := newQueue(t, 0)
	for n := range 100 {
		if err := q.TryPut(make([]byte, 1000*n)); err != nil {
			t.Fatal(err)
		}
	}
	a, arenaFile := newArena(t)
	must(a.NewRLock())
	must(a.NewBarrier(2))
	s, _ := named(t)
	namedFile := os.NewFile(uintptr(must(syscall.Dup(int(s.FD)))), "named")
	defer namedFile.Close()
	for _, file := range []*os.File{queueFile, arenaFile, namedFile} {
		before, blocks := contents(t, file), statOf(must(file.Stat())).Blocks
		must(Take())
		if now := statOf(must(file.Stat())).Blocks; now != blocks {
			t.Errorf("%s has %d blocks, not %d", file.Name(), now, blocks)
		}
		if !bytes.Equal(before, contents(t, file)) {
			t.Errorf("%s was changed", file.Name())
		}
	}
}

// contents reads a file, which unlike to map it takes no memory where there is none.
func contents(t *testing.T, file *os.File) []byte {
	t.Helper()
	return must(io.ReadAll(io.NewSectionReader(file, 0, statOf(must(file.Stat())).Size)))
}

func TestAnotherLayout(t *testing.T) {
	_, file := newQueue(t, 0)
	layout := int64(reflect.TypeFor[uint64]().Size()) // follows the magic
	version := make([]byte, 4)
	if _, err := file.ReadAt(version, layout); err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte{255, 255, 255, 255}, layout); err != nil {
		t.Fatal(err)
	}
	_, o := find(t, fmt.Sprint(inodeOf(file)), always)
	if o.Kind != Unknown || o.Problem == "" || len(o.Users) != 1 {
		t.Errorf("%+v", o)
	}
	cannotBeRepaired(t, o)
	if _, err := file.WriteAt(version, layout); err != nil {
		t.Fatal(err)
	}
}

// An object is there as long as one of its users is, whichever was found first.
func TestUserThatIsGone(t *testing.T) {
	_, file := newQueue(t, 0)
	_, other := newQueue(t, 0)
	g := segmentBehind(t, int(file.Fd()))
	paths := g.paths
	for _, gone := range []string{"/proc/self/fd/-1", procPath(os.Getpid(), "fd", fmt.Sprint(other.Fd()))} {
		g.paths = append([]string{gone}, paths...)
		if list := g.look(); len(list) != 1 || list[0].Kind != Queue {
			t.Errorf("without %s: %+v", gone, list)
		}
		g.paths = g.paths[:1]
		if list := g.look(); len(list) != 0 {
			t.Errorf("all are gone: %+v", list)
		}
	}
}

// segmentBehind returns what is found of a segment that is open here.
func segmentBehind(t *testing.T, fd int) *segment {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return must(findUsers()).segments[shm.FileID{Device: st.Dev, Inode: st.Ino}]
}

// named returns a queue that has a name, until the test ends.
func named(t *testing.T) (*shm.Segment, string) {
	t.Helper()
	s, name := new(shm.Segment), fmt.Sprintf("inspect-test-%d", os.Getpid())
	if err := s.CreateFile(shm.KindQueue, stream.FirstAllocation); err != nil {
		t.Fatal(err)
	}
	stream.Init(s, 0, 1, 5, 0)
	if err := s.Link(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close()
		_ = shm.Unlink(name) // unless the test did
	})
	return s, name
}

func findNamed(t *testing.T, name string) *Object {
	t.Helper()
	s := must(Take())
	i := slices.IndexFunc(s.Objects, func(o Object) bool { return o.Name == name })
	if i < 0 {
		t.Fatalf("%s is not found: %+v", name, s.Objects)
	}
	return &s.Objects[i]
}

// A name lasts until it is unlinked, also when nobody uses the object any more.
func TestNamed(t *testing.T) {
	s, name := named(t)
	o := findNamed(t, name)
	if o.Kind != Queue || o.Stale || o.Streams[0].MaxItems != 5 || !slices.Equal(o.Users, []int{os.Getpid()}) {
		t.Errorf("open: %+v", o)
	}
	id := o.ID
	if err := syscall.Close(int(s.FD)); err != nil {
		t.Fatal(err)
	}
	if o := findNamed(t, name); o.Stale || o.ID != id || !slices.Equal(o.Users, []int{os.Getpid()}) {
		t.Errorf("mapped: %+v", o)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if o := findNamed(t, name); !o.Stale || o.ID != id || len(o.Users) != 0 || o.Memory == 0 {
		t.Errorf("used by nobody: %+v", o)
	}
	if err := s.OpenNamed(name, shm.KindQueue); err != nil {
		t.Fatal(err)
	}
	if err := shm.Unlink(name); err != nil {
		t.Fatal(err)
	}
	if _, o := find(t, id, always); o.Name != "" || o.Kind != Queue || !slices.Equal(o.Users, []int{os.Getpid()}) {
		t.Errorf("unlinked: %+v", o)
	}
}

// Of files without a name only those are listed that are segments.
func TestFileThatIsNone(t *testing.T) {
	const tmpfile = 0o20200000 // O_TMPFILE
	f, err := os.OpenFile(shm.Directory(), os.O_RDWR|tmpfile, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int64{0, 1 << 20} {
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
		for _, o := range must(Take()).Objects {
			if o.ID == fmt.Sprintf("shm%d", inodeOf(f)) {
				t.Errorf("%+v", o)
			}
		}
	}
}

// What is wrong with an object of an arena does not hide the others.
func TestCorruptObject(t *testing.T) {
	a, file := newArena(t)
	inode := inodeOf(file)
	must(a.NewRLock())
	condition, last := must(a.NewCondition()), must(a.NewCondition())
	offset := int64(condition.Offset())
	sound := make([]byte, last.Offset()-condition.Offset())
	must(file.ReadAt(sound, offset))
	spoilt := bytes.Repeat([]byte{255}, len(sound))
	copy(spoilt, sound[:8]) // which say what it is
	must(file.WriteAt(spoilt, offset))
	_, o := find(t, slotID(inode, uint64(offset)), always)
	if o.Kind != Unknown || o.Problem == "" {
		t.Errorf("%+v", o)
	}
	cannotBeRepaired(t, o)
	for _, id := range []string{slotID(inode, rlockAt), slotID(inode, last.Offset())} {
		if _, o := find(t, id, always); o.Problem != "" {
			t.Errorf("%+v", o)
		}
	}
	must(file.WriteAt(sound, offset))
}

func TestJSON(t *testing.T) {
	newQueue(t, 0)
	s := must(Take())
	var back Snapshot
	if err := json.Unmarshal(must(json.Marshal(s)), &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s.Objects[0].Streams, back.Objects[0].Streams) {
		t.Errorf("%+v", back)
	}
}

func TestParseCall(t *testing.T) {
	for line, want := range map[string]call{
		"202 0x7f2c00000040 0x89 0x0 0x0 0x0 0xffffffff 0x7ffd 0x7f2d\n": {202, [2]uint64{0x7f2c00000040, 0x89}},
		"-1 0x7ffd 0x7f2d\n": {},
		"running\n":          {},
		"":                   {},
	} {
		if c, ok := parseCall(line); c != want || ok != (want != call{}) {
			t.Errorf("%q: %+v, %v", line, c, ok)
		}
	}
}

func TestParseMapping(t *testing.T) {
	for line, want := range map[string]mapping{
		"7f0000000000-7f0000100000 rw-s 00100000 00:01 4711 /memfd:goprocessing-queue (deleted)": {
			0x7f0000000000, 0x7f0000100000, 0x100000, shm.FileID{Device: 1, Inode: 4711}},
		"7f0000000000-7f0000100000 rw-s 00000000 00:1a 57 /dev/shm/goprocessing.0.a name": {
			0x7f0000000000, 0x7f0000100000, 0, shm.FileID{Device: 0x1a, Inode: 57}},
		"7f0000000000-7f0000100000 rw-s 00000000 103:104 57 /dev/shm/#57 (deleted)": {
			0x7f0000000000, 0x7f0000100000, 0, shm.FileID{Device: 0x110304, Inode: 57}},
		"7f0000000000-7f0000100000 rw-s 00000000 00:01 4711 /memfd:other (deleted)": {},
		"7f0000000000-7f0000100000 rw-p 00000000 00:00 0":                           {},
		"": {},
	} {
		if m, ok := parseMapping(line); m != want || ok != (want != mapping{}) {
			t.Errorf("%q: %+v, %v", line, m, ok)
		}
	}
}
