// Package futex puts threads to sleep on words of shared memory and wakes them,
// across processes (futex(2)).
package futex

import (
	"math"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From linux/futex.h. None carries FUTEX_PRIVATE_FLAG: the words are shared.
const (
	opWake       = 1
	opWaitBitset = 9
	matchAny     = 0xffffffff
)

// All wakes every sleeper.
const All = math.MaxInt32

// Forever is the deadline that never comes.
const Forever = math.MaxInt64

// Now returns the time of CLOCK_MONOTONIC in nanoseconds, which is the same for
// all processes of a machine. The runtime asks the vDSO, unix.ClockGettime the
// kernel.
//
//go:linkname Now runtime.nanotime
func Now() int64

// SleepOn blocks while *word == val, until woken, until deadline (nanoseconds of
// CLOCK_MONOTONIC), or until a signal handler ran in this thread. Like
// futexsleep in the Go runtime it may also return for no reason: callers loop.
//
// It returns nil, unix.ETIMEDOUT or unix.EINTR.
func SleepOn(word *uint32, val uint32, deadline int64) error {
	// FUTEX_WAIT_BITSET, unlike FUTEX_WAIT, takes an absolute time.
	var timeout *unix.Timespec
	if deadline != Forever {
		ts := unix.NsecToTimespec(max(deadline, 0))
		timeout = &ts
	}
	_, _, errno := unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), opWaitBitset,
		uintptr(val), uintptr(unsafe.Pointer(timeout)), 0, matchAny)
	switch errno {
	case 0, unix.EAGAIN: // woken; or *word != val already
		return nil
	default:
		return errno
	}
}

// Wake wakes at most n sleepers on word and returns how many.
func Wake(word *uint32, n int) int {
	// Fails only for an address that is not mapped.
	woken, _, _ := unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), opWake, uintptr(n), 0, 0, 0)
	return int(woken)
}
