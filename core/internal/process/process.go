// Package process tells processes apart, also when a pid is used again, or the
// process executes another program.
package process

import (
	"bytes"
	"errors"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ID identifies a process, until it calls execve(2), for as long as the machine runs.
//
// Start is 0 where there is no /proc, or only that of another pid namespace; the pid
// then has to do. Else its lower 20 bits
// are the time at which the process started, in clock ticks since boot, and the upper
// 12 a hash of where the kernel put its stack, at random for each execve; 0 if that
// is hidden from this process (proc_pid_stat(5)), and then anything may be.
type ID struct {
	PID   uint32
	Start uint32
}

const startBits = 20

// Self is this process. A forked child runs a Go runtime of its own, which
// initialises it anew.
//
// ownProc: the pids in /proc are those of this process's pid namespace. One that was
// made without another /proc (unshare(1), --pid without --mount-proc) sees that of its
// parent, where the same number is another process's, and may be a dead one's.
var Self, ownProc = self()

func self() (id ID, ownProc bool) {
	id.PID = uint32(unix.Getpid())
	st, err := readStat("self")
	if err != nil || st.pid != uint64(id.PID) {
		return id, false
	}
	id.Start = st.id()
	return id, true
}

// Alive reports whether the process still runs, and still the same program. One that
// is dead but not yet waited for does not.
func (id ID) Alive() bool {
	if id == Self {
		return true
	}
	if unix.Kill(int(id.PID), 0) == unix.ESRCH {
		return false
	}
	if !ownProc {
		return true
	}
	var digits [10]byte
	st, err := readStat(strconv.AppendUint(digits[:0], uint64(id.PID), 10))
	if err != nil {
		// No /proc, or one that hides the processes of others
		// (proc(5), hidepid): kill has to do.
		return unix.Kill(int(id.PID), 0) != unix.ESRCH
	}
	if id.Start != 0 && !same(id.Start, st.id()) {
		return false
	}
	// A leader that called pthread_exit is a zombie while its threads run on.
	dead := st.state == 'Z' || st.state == 'X'
	return !dead || st.threads > 1
}

// HasThread reports whether the process, unless it has died, still has the thread
// tid. That costs much less than Alive.
func (id ID) HasThread(tid uint32) bool {
	return unix.Tgkill(int(id.PID), int(tid), 0) != unix.ESRCH
}

// Runs reports whether the thread tid is known to run: a thread of libc's, which
// has a list of robust mutexes until it dies (get_robust_list(2)). That costs a
// tenth of Alive, but one that was given the number of a dead thread is taken for
// it, and of a thread that other users' processes may not inspect nothing is known.
func Runs(tid uint32) bool {
	var list, size uintptr
	_, _, errno := unix.RawSyscall(unix.SYS_GET_ROBUST_LIST, uintptr(tid),
		uintptr(unsafe.Pointer(&list)), uintptr(unsafe.Pointer(&size)))
	return errno == 0 && list != 0
}

type stat struct {
	pid     uint64 // in the pid namespace of /proc
	state   byte
	threads uint64
	start   uint64 // clock ticks since boot
	stack   uint64 // the address of its bottom; 0: hidden
}

// id returns ID.Start of the process.
func (st *stat) id() uint32 {
	const programs = 1<<(32-startBits) - 1
	program := uint32(0)
	if st.stack != 0 {
		program = 1 + uint32((st.stack>>4^st.stack>>20)%programs)
	}
	return program<<startBits | uint32(st.start)&(1<<startBits-1)
}

// same reports whether two values of ID.Start may be of one process.
func same(a, b uint32) bool {
	if a>>startBits == 0 || b>>startBits == 0 {
		return (a^b)<<(32-startBits) == 0
	}
	return a == b
}

var errStat = errors.New("malformed /proc/pid/stat")

// readStat reads /proc/pid/stat (proc_pid_stat(5)); pid may be "self". Sleepers call it from time to
// time, so it leaves nothing on the heap; and os.ReadFile would start the runtime's
// network poller, whose epoll descriptor the process must then never close: one
// that closes all its descriptors, as daemons do, would be aborted.
func readStat[T ~string | ~[]byte](pid T) (stat, error) {
	var name [32]byte
	path := append(name[:0], "/proc/"...)
	path = append(path, pid...)
	path = append(path, "/stat\x00"...)
	dir := unix.AT_FDCWD
	fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&path[0])),
		unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	if errno != 0 {
		return stat{}, errno
	}
	defer unix.Close(int(fd))
	var line [1024]byte
	for {
		n, _, errno := unix.Syscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&line[0])), uintptr(len(line)))
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return stat{}, errno
		}
		return parseStat(line[:n])
	}
}

func parseStat(line []byte) (st stat, err error) {
	pid, _, _ := bytes.Cut(line, []byte(" "))
	if st.pid, err = number(pid); err != nil {
		return stat{}, err
	}
	// The command name, in parentheses, may itself hold spaces and parentheses.
	rest := line[bytes.LastIndexByte(line, ')')+1:]
	const state, threads, start, stack = 0, 17, 19, 25 // fields 3, 20, 22 and 28 of the line
	for n := 0; n <= stack; n++ {
		rest = bytes.TrimLeft(rest, " ")
		end := bytes.IndexByte(rest, ' ')
		if end <= 0 {
			return stat{}, errStat
		}
		field := rest[:end]
		rest = rest[end:]
		switch n {
		case state:
			st.state = field[0]
		case threads:
			st.threads, err = number(field)
		case start:
			st.start, err = number(field)
		case stack:
			st.stack, err = number(field)
		}
		if err != nil {
			return stat{}, err
		}
	}
	return st, nil
}

// number returns a decimal number modulo 2^64.
func number(digits []byte) (n uint64, err error) {
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, errStat
		}
		n = 10*n + uint64(d-'0')
	}
	return n, nil
}
