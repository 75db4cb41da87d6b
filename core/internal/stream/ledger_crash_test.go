//go:build crash

package stream

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

func init() { children["take and mark"] = runTaker }

// What a taker writes to its standard output before and after it marks an item.
const marking, marked = "<", ">"

// runTaker takes and marks items until it dies, or there are none.
func runTaker(s *shm.Segment) error {
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
			if _, err := os.Stdout.WriteString(marking); err != nil {
				return err
			}
			if err := q.Done(s, now); err != nil {
				return err
			}
			if _, err := os.Stdout.WriteString(marked); err != nil {
				return err
			}
		}
		if q.Len() == 0 {
			return nil
		}
	}
}

// killTaker has a taker die at a point, and returns whether it did, and what it wrote.
func killTaker(t *testing.T, s *shm.Segment, point string, passes int) (died bool, marks string) {
	t.Helper()
	cmd := newChild(t, s, "take and mark")
	cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%s:%d", fault.Variable, point, passes))
	var out, failure strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &failure
	err := cmd.Run()
	died = err != nil && err.Error() == "signal: killed"
	if !died && failure.String() != "take and mark: <nil>\n" {
		t.Fatalf("%v: %s", err, failure.String())
	}
	return died, out.String()
}

// A process that dies at any point of its work with the ledger leaves every item in the
// stream, in the ledger, or done; also if another one dies as it puts that in order.
func TestKilledAtWorkWithLedger(t *testing.T) {
	points := [...]string{
		"ledger entry written", "ledger entry in force", "ledger entry passed on",
		"ledger entry counted as done", "ledger entry finished", "ledger entry with extents finished", "ledger entry orphaned",
		"ledger extent noted", "ledger extent given up",
	}
	rebuilding := [...]string{"ledger's lists emptied", "ledger's lists made", "dead process's mark completed"}
	q, s := newKept(t, 0, true)
	put := 0
	deaths := map[string]int{}
	for i := range 6 * len(points) {
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
		died, marks := killTaker(t, s, point, passes)
		if died {
			deaths[point]++
			next := rebuilding[(i+i/len(points))%len(rebuilding)]
			died, more := killTaker(t, s, next, 0)
			if died {
				deaths[next]++
			}
			marks += more
		}

		if err := q.lockGet(s, &futex.Limit{How: futex.NoWait}); err != nil {
			t.Fatal(err)
		}
		q.getLock.Unlock()
		checkLedger(t, q, s)
		look(q, s)
		checkLedger(t, q, s)
		least := unfinished - uint64(strings.Count(marks, marking))
		most := unfinished - uint64(strings.Count(marks, marked))
		if n := q.Unfinished(); q.Len() != n || n < least || n > most {
			t.Fatalf("killed with %q: %d items, %d unfinished, not %d to %d", point, q.Len(), n, least, most)
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
	for _, point := range append(points[:], rebuilding[:]...) {
		if deaths[point] == 0 {
			t.Errorf("nobody died with %q", point)
		}
	}
	t.Log(deaths)
}
