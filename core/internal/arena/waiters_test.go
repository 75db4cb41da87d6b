package arena

import (
	"os/exec"
	"sync"
	"testing"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/process"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"pgregory.net/rapid"
)

// More than a slot and a block have room for.
const many = 300

var atOnce = &futex.Limit{How: futex.NoWait}

// soon is a limit that only a fault reaches.
func soon() *futex.Limit {
	return &futex.Limit{How: futex.Block, Deadline: futex.Now() + 20*futex.Look}
}

// dead is a process that was.
var dead = sync.OnceValue(func() process.ID {
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		panic(err)
	}
	return process.ID{PID: uint32(cmd.Process.Pid), Start: 1}
})

// die makes an entry a dead one's.
func (e *Waiter) die() { e.owner, e.tid = dead(), dead().PID }

func newTable(t testing.TB, kind, parties uint32) (*shm.Segment, *Waiters) {
	t.Helper()
	s := new(shm.Segment)
	if err := Create(s); err != nil {
		t.Fatal(err)
	}
	offset, err := Alloc(s, kind, 0, parties)
	if err != nil {
		t.Fatal(err)
	}
	table := (*Waiters)(unsafe.Pointer(At(s, offset)))
	t.Cleanup(func() {
		check(t, s, table)
		if err := Release(s, offset); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, table
}

// check makes sure that the table is sound.
func check(t rapid.TB, s *shm.Segment, table *Waiters) {
	t.Helper()
	if table.mutex.Held() {
		t.Error("the mutex is held")
	}
	tickets := map[uint64]bool{}
	if _, err := table.lists(s, func(first int, list []Waiter) bool {
		for i := range list {
			e := &list[i]
			switch e.word.Load() {
			case waiting, waiting | sleeps:
				if tickets[e.ticket] {
					t.Errorf("ticket %d twice", e.ticket)
				}
				tickets[e.ticket] = true
			case free, notified, broken:
			default:
				t.Errorf("entry %d is in state %d", first+i, e.word.Load())
			}
			if e.state() != free && first+i >= int(table.high) {
				t.Errorf("entry %d is in use, beyond %d", first+i, table.high)
			}
		}
		return true
	}); err != nil {
		t.Error(err)
	}
}

// checkEmpty makes sure that nobody is in the table.
func checkEmpty(t rapid.TB, s *shm.Segment, table *Waiters) {
	t.Helper()
	if err := table.each(s, func(*Waiter) bool { return true }); err != nil {
		t.Error(err)
	}
	if table.high != 0 {
		t.Errorf("%d entries in use", table.high)
	}
}
