package stream

import (
	"testing"

	"github.com/goprocessing/goprocessing/core/internal/shm"
)

func check(t testing.TB, q *Stream, s *shm.Segment) {
	t.Helper()
	if err := q.Check(s); err != nil {
		t.Fatal(err)
	}
}

func checkExtents(t testing.TB, s *shm.Segment) (owned int) {
	t.Helper()
	owned, err := ExtentsOf(s).Check()
	if err != nil {
		t.Fatal(err)
	}
	return owned
}
