package inspect

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// children are what processes started by startChild do, by name, with the files
// they were given.
var children = map[string]func(files []*os.File) error{}

const childVariable = "GOPROCESSING_TEST_CHILD"

func TestMain(m *testing.M) {
	if name := os.Getenv(childVariable); name != "" {
		files := []*os.File{os.NewFile(3, "first"), os.NewFile(4, "second")}
		if err := children[name](files); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// startChild starts a process that runs children[name], with at most two files. When
// the test ends it is killed.
func startChild(t *testing.T, name string, files ...*os.File) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.ExtraFiles = files
	cmd.Stderr = os.Stderr
	// Also when the tests end without cleaning up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(cmd) })
	return cmd
}

func kill(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// inodeOf returns the inode of the segment behind f.
func inodeOf(f *os.File) uint64 { return statOf(must(f.Stat())).Ino }

func slotID(inode, offset uint64) string { return fmt.Sprintf("%d+%d", inode, offset) }

// find returns the object with that ID as soon as it is as it should be.
func find(t *testing.T, id string, ready func(*Object) bool) (*Snapshot, *Object) {
	t.Helper()
	var last *Object
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		s, err := Take()
		if err != nil {
			t.Fatal(err)
		}
		for i := range s.Objects {
			if o := &s.Objects[i]; o.ID == id {
				if last = o; ready(o) {
					return s, o
				}
			}
		}
	}
	t.Fatalf("waited in vain for object %s: %+v", id, last)
	return nil, nil
}

func always(*Object) bool { return true }
