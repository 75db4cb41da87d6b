//go:build crash

package stream

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

const takerVariable = "GOPROCESSING_TEST_TAKER"

func init() {
	if os.Getenv(takerVariable) != "" {
		fmt.Fprintln(os.Stderr, runTaker())
		os.Exit(1)
	}
}

// numbered is item i, which has extents if it is one of ten.
func numbered(i int) *Record {
	r := &Record{Parts: [3][]byte{binary.NativeEndian.AppendUint64(nil, uint64(i)), pattern(i, i%300)}}
	if i%10 == 0 {
		r.Buffers = [][]byte{pattern(i, 100), pattern(i, 200)}
	}
	return r
}

// receiveNumbered takes an item, and releases its extents.
func receiveNumbered(q *Stream, s *shm.Segment) (int, error) {
	var buf [500]byte
	r, err := q.TryReceive(s, buf[:], now)
	if err != nil {
		return 0, err
	}
	for i := range r.Refs {
		ExtentsOf(s).Release(DecodeRef(buf[i*refSize:]))
	}
	return int(binary.NativeEndian.Uint64(buf[r.Refs*refSize:])), nil
}

// runTaker takes and marks items until it dies, or there are none.
func runTaker() error {
	s := new(shm.Segment)
	if err := s.Open(3, shm.KindQueue); err != nil {
		return err
	}
	q := Of(s, 0)
	batch := make([]byte, 10_000)
	for round := 0; ; round++ {
		look(q, s)
		taken := uint64(0)
		for most := rand.Uint64N(600); taken < most; {
			if n, _, err := q.tryGetMany(s, batch, 10, now); err == nil {
				taken += n
			} else if _, err := receiveNumbered(q, s); err == nil {
				taken++
			} else if err == ErrEmpty {
				break
			} else {
				return err
			}
		}
		for range taken {
			if err := q.Done(s, now); err != nil {
				return err
			}
		}
		if q.Len() == 0 {
			return nil
		}
	}
}

// A process that dies at any point of its work with the ledger leaves every item in the
// stream, in the ledger, or done.
func TestKilledAtWorkWithLedger(t *testing.T) {
	points := [...]string{
		"ledger entry written", "ledger entry in force", "ledger entry passed on",
		"ledger entry counted as done", "ledger entry finished", "ledger entry with extents finished", "ledger entry orphaned",
		"ledger extent noted", "ledger extent given up",
	}
	q, s := newKept(t, 0, true)
	put := 0
	deaths := map[string]int{}
	for i := range 4 * len(points) {
		for range 800 {
			if err := q.Put(s, nil, numbered(put), now); err != nil {
				t.Fatal(err)
			}
			put++
		}
		unfinished := q.Unfinished()
		// Something to be passed on.
		as(dead[0], func() {
			for range 5 {
				if _, err := receiveNumbered(q, s); err != nil {
					t.Fatal(err)
				}
			}
		})
		point := points[i%len(points)]
		passes := rand.N(5)
		if point[7:13] == "extent" {
			passes = 0
		}
		fd, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(fd), "segment")
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), takerVariable+"=1", fmt.Sprintf("%s=%s:%d", fault.Variable, point, passes))
		cmd.ExtraFiles = []*os.File{file}
		out, err := cmd.CombinedOutput()
		_ = file.Close()
		if err != nil && err.Error() == "signal: killed" {
			deaths[point]++
		} else if string(out) != "<nil>\n" {
			t.Fatalf("%v: %s", err, out)
		}

		if err := q.lockGet(s, &futex.Limit{How: futex.NoWait}); err != nil {
			t.Fatal(err)
		}
		q.getLock.Unlock()
		checkLedger(t, q, s)
		look(q, s)
		checkLedger(t, q, s)
		if q.Len() != q.Unfinished() || q.Unfinished() > unfinished {
			t.Fatalf("killed with %q: %d items, %d of %d unfinished", point, q.Len(), q.Unfinished(), unfinished)
		}
		if i%3 > 0 {
			continue // the next one finds them
		}
		last := -1
		for q.Len() > 0 {
			n, err := receiveNumbered(q, s)
			if err != nil || n <= last {
				t.Fatalf("killed with %q: item %d after %d: %v", point, n, last, err)
			}
			last = n
			if err := q.Done(s, now); err != nil {
				t.Fatal(err)
			}
		}
		if err := q.Join(s, nil, now); err != nil {
			t.Fatal(err)
		}
		ExtentsOf(s).RecoverLost()
		if owned := checkExtents(t, s); owned != 0 {
			t.Errorf("killed with %q: %d extents have an owner", point, owned)
		}
	}
	for _, point := range points {
		if deaths[point] == 0 {
			t.Errorf("nobody died with %q", point)
		}
	}
	t.Log(deaths)
}
