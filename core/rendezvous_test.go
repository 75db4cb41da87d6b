package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/socket"
	"golang.org/x/sys/unix"
)

// met returns the two ends of a pipe that were opened by name.
func met(t testing.TB, name string, one, other []Option) (a, b *Conn, errs [2]error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var group sync.WaitGroup
	group.Go(func() { a, errs[0] = OpenPipe(ctx, name, one...) })
	group.Go(func() { b, errs[1] = OpenPipe(ctx, name, other...) })
	group.Wait()
	for _, c := range []*Conn{a, b} {
		if c != nil {
			t.Cleanup(func() { _ = c.Close() })
		}
	}
	return a, b, errs
}

// exchange sends a message from a to b.
func exchange(t testing.TB, a, b *Conn) {
	t.Helper()
	if err := a.Send(t.Context(), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if msg, err := b.Recv(t.Context()); err != nil || string(msg) != "hello" {
		t.Fatalf("received %q, %v", msg, err)
	}
}

func TestOpenPipe(t *testing.T) {
	name := newName(t)
	for range 50 {
		a, b, errs := met(t, name, nil, nil)
		if errs != [2]error{} {
			t.Fatal(errs)
		}
		exchange(t, a, b)
		exchange(t, b, a)
		for _, c := range []*Conn{a, b} { // by which others find who sleeps there
			inode, err := socket.Inode(c.sock)
			if got := c.in().Doorbell.Socket.Load(); got != inode || err != nil {
				t.Errorf("socket %d, not %d, %v", got, inode, err)
			}
		}
		if names, err := Names(); err != nil || slices.Contains(names, name) {
			t.Fatalf("the name is still there: %v", err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Recv(t.Context()); err != io.EOF {
			t.Errorf("after the end: %v", err)
		}
	}
	checkNothingLeft(t)
}

// checkNothingLeft makes sure that no socket or FIFO outlives its name. Those of other
// tests may, for a moment.
func checkNothingLeft(t testing.TB) {
	t.Helper()
	await(t, "bells without names go", func() bool {
		inodes := map[string]bool{}
		files, err := os.ReadDir("/dev/shm")
		if err != nil {
			t.Fatal(err)
		}
		user := fmt.Sprint(os.Geteuid())
		for _, f := range files {
			if info, err := f.Info(); err == nil && strings.HasPrefix(f.Name(), "goprocessing."+user+".") {
				inodes[fmt.Sprint(info.Sys().(*syscall.Stat_t).Ino)] = true
			}
		}
		return !slices.ContainsFunc(files, func(f os.DirEntry) bool {
			inode, ok := strings.CutPrefix(f.Name(), "goprocessing-bell."+user+".")
			return ok && !f.IsDir() && !inodes[inode]
		})
	})
}

func TestOpenPipeOneWay(t *testing.T) {
	a, b, errs := met(t, newName(t), []Option{ReadOnly()}, []Option{WriteOnly()})
	if errs != [2]error{} {
		t.Fatal(errs)
	}
	exchange(t, b, a)
	if a.Modes() != Readable || b.Modes() != Writable {
		t.Errorf("modes %d and %d", a.Modes(), b.Modes())
	}
	if err := a.Send(t.Context(), nil); !errors.Is(err, unix.EBADF) {
		t.Errorf("sent against the way: %v", err)
	}
}

// Those who do not match do not meet; the one who was there waits on.
func TestOpenPipeMismatch(t *testing.T) {
	name := newName(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error)
	go func() {
		a, err := OpenPipe(ctx, name, ReadOnly())
		if err == nil {
			err = a.Close()
		}
		ended <- err
	}()
	awaitName(t, name)
	for _, list := range [][]Option{nil, {ReadOnly()}} {
		if _, err := OpenPipe(ctx, name, list...); !errors.Is(err, unix.EINVAL) {
			t.Errorf("opened: %v", err)
		}
	}
	b, err := OpenPipe(ctx, name, WriteOnly())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-ended, b.Close()); err != nil {
		t.Error(err)
	}
}

func awaitName(t testing.TB, name string) {
	t.Helper()
	await(t, "somebody has the name", func() bool {
		names, err := Names()
		return err != nil || slices.Contains(names, name)
	})
}

func TestOpenPipeCancelled(t *testing.T) {
	name := newName(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := OpenPipe(ctx, name)
		ended <- err
	}()
	awaitName(t, name)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if names, err := Names(); err != nil || slices.Contains(names, name) {
		t.Errorf("the name is still there: %v", err)
	}
	checkNothingLeft(t)
}

// A guest whose time is over takes the pipe if the host has one already. Only between its
// last look and its end can it be missed, which next to never happens.
func TestOpenPipeCancelledLate(t *testing.T) {
	const meetings = 1000
	name := newName(t)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			late, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(300))*time.Microsecond)
			c, err := OpenPipe(late, name, WriteOnly())
			if err == nil {
				err = errors.Join(c.Send(ctx, nil), c.Close())
			}
			if err != nil && late.Err() == nil {
				t.Error(err)
			}
			cancel()
		}
	})
	missed := 0
	for range meetings {
		c, err := OpenPipe(ctx, name, ReadOnly())
		if err != nil {
			t.Error(err)
			break
		}
		if _, err := c.Recv(ctx); err == io.EOF {
			missed++
		} else if err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	cancel()
	group.Wait()
	if missed > meetings/100 {
		t.Errorf("%d of %d met nobody", missed, meetings)
	}
}

func TestOpenPipeUnlinked(t *testing.T) {
	name := newName(t)
	ended := make(chan error)
	go func() {
		_, err := OpenPipe(t.Context(), name)
		ended <- err
	}()
	awaitName(t, name)
	if err := Unlink(name); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	checkNothingLeft(t)
}

// All kinds of objects share the names.
func TestOpenPipeOfAnotherKind(t *testing.T) {
	name := newName(t)
	opened[*Event](t)(Create[Event](name))
	if _, err := OpenPipe(t.Context(), name); !errors.Is(err, ErrKind) {
		t.Error(err)
	}
}

func init() {
	children["open a pipe"] = func([]*os.File) error {
		c, err := OpenPipe(context.Background(), os.Getenv(nameVariable))
		if err != nil {
			return err
		}
		return c.Send(context.Background(), []byte("hello"))
	}
	children["open a pipe to receive"] = func([]*os.File) error {
		_, err := OpenPipe(context.Background(), os.Getenv(nameVariable), ReadOnly())
		return err
	}
	children["open pipes"] = func([]*os.File) error {
		for {
			c, err := OpenPipe(context.Background(), os.Getenv(nameVariable))
			if err != nil {
				return err
			}
			if err := c.Close(); err != nil {
				return err
			}
		}
	}
}

// nameVariable tells a child a name.
const nameVariable = "GOPROCESSING_TEST_NAME"

// startNamed is startChild with a name.
func startNamed(t testing.TB, child, name string) *exec.Cmd {
	t.Setenv(nameVariable, name)
	return startChild(t, child)
}

// Whichever comes first, and whoever was killed before.
func TestOpenPipeOfProcesses(t *testing.T) {
	name := newName(t)
	for i := range 4 {
		killed := startNamed(t, "open a pipe", name)
		if i > 1 {
			awaitName(t, name)
		}
		if err := killed.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = killed.Wait()
		child := startNamed(t, "open a pipe", name)
		if i%2 == 0 {
			awaitName(t, name)
		}
		c, err := OpenPipe(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		// The one who was killed may have come as the second, and left this alone.
		if msg, err := c.Recv(t.Context()); err != nil || string(msg) != "hello" {
			t.Fatalf("received %q, %v", msg, err)
		}
		if err := errors.Join(child.Wait(), c.Close()); err != nil {
			t.Fatal(err)
		}
	}
	checkNothingLeft(t)
}

// What a dead host wanted the pipe for does not matter any more: its successor, too, only
// receives.
func TestOpenPipeOneWayAfterKilled(t *testing.T) {
	name := newName(t)
	killed := startNamed(t, "open a pipe to receive", name)
	awaitName(t, name)
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := OpenPipe(ctx, name, ReadOnly()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func init() {
	// It has a child that keeps its socket, as one that it has forked would.
	children["wait for a guest"] = func([]*os.File) error {
		go func() {
			_, _ = OpenPipe(context.Background(), os.Getenv(nameVariable))
		}()
		var sockets []int
		for len(sockets) == 0 {
			time.Sleep(time.Millisecond)
			for fd := range 100 {
				if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err == nil && listens == 1 {
					sockets = append(sockets, fd)
				}
			}
		}
		cmd := exec.Command("sleep", "100")
		cmd.ExtraFiles = []*os.File{os.NewFile(uintptr(sockets[0]), "socket")}
		if err := cmd.Start(); err != nil {
			return err
		}
		fmt.Println(cmd.Process.Pid)
		return cmd.Wait()
	}
}

// A socket that a dead host's child still has keeps nobody waiting.
func TestOpenPipeOfDeadHost(t *testing.T) {
	name := newName(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=wait for a guest", nameVariable+"="+name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var sleeper int
	if _, err := fmt.Fscan(out, &sleeper); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Kill(sleeper, unix.SIGKILL); err != nil {
			t.Error(err)
		}
	}()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	a, b, errs := met(t, name, nil, nil)
	if errs != [2]error{} {
		t.Fatal(errs)
	}
	exchange(t, a, b)
}

// Many at once meet two by two.
func TestOpenPipeOfMany(t *testing.T) {
	const pairs = 20
	name := newName(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var group sync.WaitGroup
	ends := make([]*Conn, 2*pairs)
	for i := range ends {
		group.Go(func() {
			c, err := OpenPipe(ctx, name)
			if err != nil {
				t.Error(err)
				return
			}
			ends[i] = c
			if err := c.Send(ctx, []byte(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	partner := map[string]string{}
	for i, c := range ends {
		msg, err := c.Recv(ctx)
		if err != nil {
			t.Fatal(err)
		}
		partner[fmt.Sprint(i)] = string(msg)
	}
	for one, other := range partner {
		if partner[other] != one || one == other {
			t.Errorf("%s has met %s, who has met %s", one, other, partner[other])
		}
	}
	for _, c := range ends {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	checkNothingLeft(t)
}

// Whoever is killed, and at any instruction, the others meet.
func TestOpenPipeKilledAtRandom(t *testing.T) {
	name := newName(t)
	kills := 60
	if testing.Short() {
		kills = 10
	}
	for range kills {
		var running []*exec.Cmd
		for range 3 {
			running = append(running, startNamed(t, "open pipes", name))
		}
		time.Sleep(time.Duration(rand.N(20_000_000)))
		for _, cmd := range running {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		for _, cmd := range running {
			_ = cmd.Wait()
		}
		a, b, errs := met(t, name, nil, nil)
		if errs != [2]error{} {
			t.Fatal(errs)
		}
		exchange(t, a, b)
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Fatal(err)
		}
	}
	checkNothingLeft(t)
}
