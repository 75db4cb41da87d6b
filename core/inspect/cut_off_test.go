//go:build !race

package inspect

import (
	"syscall"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/shm"
	"github.com/goprocessing/goprocessing/core/internal/stream"
)

// The race detector touches what atomic operations do in C, where Go cannot recover from
// a fault.

// A file that is cut off while it is looked at does not end the looking.
func TestNamedThatIsCutOff(t *testing.T) {
	s, name := named(t)
	size := int64(stream.FirstAllocation)
	content := make([]byte, size)
	must(syscall.Pread(int(s.FD), content, 0))
	g := segmentBehind(t, int(s.FD))
	over, ended := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-over:
				close(ended)
				return
			default:
			}
			_ = syscall.Ftruncate(int(s.FD), 0)
			_, _ = syscall.Pwrite(int(s.FD), content, 0)
		}
	}()
	faults := 0
	for end := time.Now().Add(time.Minute); faults < 100 && time.Now().Before(end); {
		for _, o := range g.look() {
			if o.Problem == shm.ErrBounds.Error() {
				faults++
			}
		}
	}
	close(over)
	<-ended
	if faults == 0 {
		t.Error("it was never met cut off")
	}
	if err := syscall.Ftruncate(int(s.FD), 0); err != nil {
		t.Fatal(err)
	}
	if o := findNamed(t, name); o.Kind != Unknown || o.Problem == "" {
		t.Errorf("%+v", o)
	}
}
