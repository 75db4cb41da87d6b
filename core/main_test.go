package core

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// children are what processes started by startChild do, by name, with the files
// they were given.
var children = map[string]func(files []*os.File) error{}

const childVariable = "GOPROCESSING_TEST_CHILD"

func TestMain(m *testing.M) {
	if name := os.Getenv(childVariable); name != "" {
		if err := children[name](inherited()); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	before := descriptors()
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	for fd, what := range descriptors() {
		if _, ok := before[fd]; !ok {
			fmt.Fprintf(os.Stderr, "descriptor %s left open: %s\n", fd, what)
			code = 1
		}
	}
	os.Exit(code)
}

// descriptors returns the open descriptors of this process and what they are.
func descriptors() map[string]string {
	const dir = "/proc/self/fd/"
	open := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		// The directory itself, and the runtime's poller.
		if what, err := os.Readlink(dir + e.Name()); err == nil && what[0] != 'a' {
			open[e.Name()] = what
		}
	}
	return open
}

func inherited() []*os.File {
	end := 3
	for st := (unix.Stat_t{}); unix.Fstat(end, &st) == nil; end++ {
	}
	var files []*os.File
	for fd := 3; fd < end; fd++ {
		// This may open the runtime's poller.
		files = append(files, os.NewFile(uintptr(fd), fmt.Sprint("inherited ", fd)))
	}
	return files
}

// startChild starts a process that runs children[name]. When the test ends, the
// process is killed if it has not ended before.
func startChild(t testing.TB, name string, files ...*os.File) *exec.Cmd {
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
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd
}

// await waits until ready() holds.
func await(t testing.TB, what string, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ready(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// killAtRandom has n processes use what is in a, and kills one after the other at
// any instruction, 60 in all, and then those that are left.
func killAtRandom(t *testing.T, n int, child string, a *Arena) {
	t.Helper()
	kills := 60
	if testing.Short() {
		kills = 10
	}
	running := make([]*exec.Cmd, n)
	for i := range kills {
		k := i % len(running)
		if running[k] != nil {
			time.Sleep(time.Duration(rand.N(20_000_000)))
			if err := running[k].Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = running[k].Wait()
		}
		running[k] = startChild(t, child, share(t, a))
	}
	for _, cmd := range running {
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	}
}
