package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	children["inherit"] = func([]*os.File) error {
		ctx := context.Background()
		q, err := Inherited[JoinableQueue]("the jobs")
		if err != nil {
			return err
		}
		c, err := Inherited[Conn]("pipe")
		if err != nil {
			return err
		}
		a, err := Inherited[Arena]("arena")
		if err != nil {
			return err
		}
		event, err := Inherited[Event]("event")
		if err != nil {
			return err
		}
		if _, err := Inherited[Event]("event"); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("inherited twice: %v", err)
		}
		if _, err := Inherited[Lock]("semaphore"); !errors.Is(err, ErrKind) {
			return fmt.Errorf("inherited a semaphore as a lock: %v", err)
		}
		semaphore, err := Inherited[Semaphore]("semaphore")
		if err != nil {
			return err
		}
		barrier, err := Inherited[Barrier]("barrier")
		if err != nil {
			return err
		}
		if _, err := Inherited[Event]("nothing"); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("inherited nothing: %v", err)
		}
		if b, err := a.Barrier(barrier.Offset()); err != nil || b.Parties() != 7 {
			return fmt.Errorf("the barrier of the arena: %v", err)
		}
		if semaphore.Value() != 3 {
			return fmt.Errorf("a semaphore of %d", semaphore.Value())
		}
		item, err := q.Get(ctx)
		if err != nil {
			return err
		}
		event.Set()
		return errors.Join(c.Send(ctx, item), q.TaskDone(), q.Close(), event.Close(), semaphore.Close(), barrier.Close(), a.Close())
	}
	children["inherit twice"] = func([]*os.File) error {
		first, err := Inherited[Event]("first")
		if err != nil {
			return err
		}
		// It most likely has the number of the descriptor now that the first was passed by.
		second, err := Inherited[Event]("second")
		if err != nil {
			return err
		}
		if _, err := Inherited[Event]("first"); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("inherited twice: %v", err)
		}
		return errors.Join(first.Close(), second.Close())
	}
	// It has the variable of a process that inherited something, and nothing of that.
	children["inherit nothing"] = func([]*os.File) error {
		if _, err := Inherited[JoinableQueue]("the jobs"); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("inherited: %v", err)
		}
		return nil
	}
}

func passing(t *testing.T, cmd *exec.Cmd, objects map[string]Passable) {
	t.Helper()
	for name, object := range objects {
		if err := Pass(cmd, name, object); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPass(t *testing.T) {
	q := newQueue(t, 0)
	a, b, err := Pipe(false)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	objects := newArena(t)
	barrier, err := objects.NewBarrier(7)
	if err != nil {
		t.Fatal(err)
	}
	event, err := objects.NewEvent()
	if err != nil {
		t.Fatal(err)
	}
	semaphore := opened[*Semaphore](t)(Create[Semaphore](newName(t), Value(3)))
	if err := q.Put(t.Context(), []byte("item")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Stderr = os.Stderr
	passing(t, cmd, map[string]Passable{
		"the jobs": q, "pipe": b, "arena": objects, "event": event, "semaphore": semaphore, "barrier": barrier,
	})
	cmd.Env = append(cmd.Env, childVariable+"=inherit")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Now the child alone has that end.
	for _, f := range cmd.ExtraFiles {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	msg, err := a.Recv(t.Context())
	if err != nil || string(msg) != "item" {
		t.Errorf("received %q, %v", msg, err)
	}
	if _, err := a.Recv(t.Context()); err != io.EOF {
		t.Errorf("the other end is not gone: %v", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(uintptr(q.bell), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
		t.Error("the bell would block:", err)
	}
	if !event.IsSet() || q.Unfinished() != 0 {
		t.Error("the child had other objects")
	}
}

// An object can be had once, also if another has the same file.
func TestInheritedTwice(t *testing.T) {
	objects := newArena(t)
	cmd := exec.Command(os.Args[0])
	cmd.Stderr = os.Stderr
	for _, name := range []string{"first", "second"} {
		event, err := objects.NewEvent()
		if err != nil {
			t.Fatal(err)
		}
		if err := Pass(cmd, name, event); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Env = append(cmd.Env, childVariable+"=inherit twice")
	if err := cmd.Run(); err != nil {
		t.Error(err)
	}
	for _, f := range cmd.ExtraFiles {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestInheritedByAnother(t *testing.T) {
	q := newQueue(t, 0)
	passed := exec.Command(os.Args[0])
	if err := Pass(passed, "the jobs", q); err != nil {
		t.Fatal(err)
	}
	for _, f := range passed.ExtraFiles {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, extra := range [][]*os.File{nil, {os.Stdin, os.Stdin}} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(passed.Env, childVariable+"=inherit nothing")
		cmd.Stderr = os.Stderr
		cmd.ExtraFiles = extra
		if err := cmd.Run(); err != nil {
			t.Error(err)
		}
	}
}
