//go:build crash

// Package fault names the points of the engine's critical sections at which the
// tests kill a process.
package fault

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Variable names a point and how often it is passed before the process dies there:
// "put committed:3".
const Variable = "GOPROCESSING_FAULT"

var (
	fatal string
	left  atomic.Int64
)

func init() {
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
	if point == fatal && left.Add(-1) < 0 {
		_ = unix.Kill(unix.Getpid(), unix.SIGKILL)
		select {} // other threads may run on for a moment, this one does not
	}
}
