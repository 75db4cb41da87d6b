//go:build crash

// Package fault names the points of the engine's critical sections at which the
// tests kill a process.
package fault

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	// Variable names a point and how often it is passed before the process dies
	// there: "put committed:3".
	Variable = "GOPROCESSING_FAULT"
	// PassedVariable names a file to which a process appends each point that was not
	// in it when the process began, a line, when it passes it for the first time.
	PassedVariable = "GOPROCESSING_FAULTS_PASSED"
)

var (
	fatal string
	left  atomic.Int64

	file   = -1
	passed sync.Map
)

func init() {
	if name := os.Getenv(PassedVariable); name != "" {
		if err := openPassed(name); err != nil {
			panic(PassedVariable + ": " + err.Error())
		}
	}
	point, passes, ok := strings.Cut(os.Getenv(Variable), ":")
	if !ok {
		return
	}
	n, err := strconv.ParseInt(passes, 10, 64)
	if err != nil {
		panic(Variable + ": " + err.Error())
	}
	fatal = point
	left.Store(n)
}

// openPassed reads which points were passed. It leaves no descriptor of the runtime's,
// as package os does, which would be taken for an inherited one.
func openPassed(name string) error {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_APPEND|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	before := make([]byte, 64<<10) // all points, a few times
	n, err := unix.Read(fd, before)
	if err != nil {
		return err
	}
	for point := range strings.Lines(string(before[:n])) {
		passed.Store(strings.TrimSuffix(point, "\n"), nil)
	}
	file = fd
	return nil
}

// Here is such a point.
func Here(point string) {
	if file >= 0 {
		if _, known := passed.LoadOrStore(point, nil); !known {
			_, _ = unix.Write(file, []byte(point+"\n"))
		}
	}
	if point == fatal && left.Add(-1) < 0 {
		_ = unix.Kill(unix.Getpid(), unix.SIGKILL)
		select {} // other threads may run on for a moment, this one does not
	}
}
