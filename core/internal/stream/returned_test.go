package stream

import (
	"testing"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// A stream without a ledger to which items have returned is corrupt: there are none to
// be got, though it is not empty.
func TestReturnedToNoLedger(t *testing.T) {
	var s shm.Segment
	if err := s.Create("test", shm.KindPipe, FirstAllocation); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	Init(&s, 0, 1, 0, 0)
	Of(&s, 0).ledger.returned.Store(1)
	if _, err := Of(&s, 0).TryGet(&s, nil, &futex.Limit{How: futex.NoWait}); err != shm.ErrCorrupt {
		t.Error(err)
	}
}
