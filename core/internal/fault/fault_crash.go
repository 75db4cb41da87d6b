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
	// PassedVariable names a file to which a process appends each point, a line,
	// when it passes it for the first time.
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
		fd, err := unix.Open(name, unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0)
		if err != nil {
			panic(PassedVariable + ": " + err.Error())
		}
		file = fd
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
