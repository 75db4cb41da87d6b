package stream

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"testing"

	"golang.org/x/sys/unix"
)

// fileLimit is the RLIMIT_FSIZE, in bytes, of a limited process: like a full
// disk, but reached alone, and within a window of the segment.
const fileLimit = 31 << 19

const limitedVariable = "GOPROCESSING_TEST_LIMITED"

func limited() bool { return os.Getenv(limitedVariable) != "" }

func TestMain(m *testing.M) {
	if what := os.Getenv(childVariable); what != "" {
		fmt.Fprintln(os.Stderr, what+":", runChild(what))
		os.Exit(1)
	}
	if limited() {
		signal.Ignore(unix.SIGXFSZ)
		r := unix.Rlimit{Cur: fileLimit, Max: fileLimit}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &r); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// runLimited runs the test once more, in a limited process.
func runLimited(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), limitedVariable+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func isErrno(err error, want unix.Errno) bool { return errors.Is(err, want) }
