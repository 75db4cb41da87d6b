// Package process tells processes apart, also when a pid is used again.
package process

import (
	"bytes"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// ID identifies a process for as long as the machine runs: the pid, and the
// time at which the process started, in clock ticks since boot, modulo 2^32.
// Start is 0 where there is no /proc; the pid then has to do.
type ID struct {
	PID   uint32
	Start uint32
}

// Self is this process. A forked child runs a Go runtime of its own, which
// initialises it anew.
var Self = self()

func self() ID {
	pid := unix.Getpid()
	st, err := readStat(pid)
	if err != nil {
		return ID{PID: uint32(pid)}
	}
	return ID{PID: uint32(pid), Start: st.start}
}

// Alive reports whether the process still runs. One that is dead but not yet
// waited for does not.
func (id ID) Alive() bool {
	if unix.Kill(int(id.PID), 0) == unix.ESRCH {
		return false
	}
	st, err := readStat(int(id.PID))
	if err != nil {
		// No /proc, or one that hides the processes of others
		// (proc(5), hidepid): kill has to do.
		return unix.Kill(int(id.PID), 0) != unix.ESRCH
	}
	if id.Start != 0 && st.start != id.Start {
		return false
	}
	// A leader that called pthread_exit is a zombie while its threads run on.
	dead := st.state == 'Z' || st.state == 'X'
	return !dead || st.threads > 1
}

type stat struct {
	state   byte
	threads int
	start   uint32
}

// readStat reads /proc/pid/stat (proc_pid_stat(5)).
func readStat(pid int) (stat, error) {
	text, err := readFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, err
	}
	// The command name, in parentheses, may itself hold spaces and parentheses.
	end := bytes.LastIndexByte(text, ')')
	fields := bytes.Fields(text[end+1:])
	const state, threads, start = 0, 17, 19 // fields 3, 20 and 22 of the line
	if end < 0 || len(fields) <= start {
		return stat{}, fmt.Errorf("process %d: malformed stat", pid)
	}
	n, err := strconv.Atoi(string(fields[threads]))
	if err != nil {
		return stat{}, fmt.Errorf("process %d: %w", pid, err)
	}
	ticks, err := strconv.ParseUint(string(fields[start]), 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return stat{state: fields[state][0], threads: n, start: uint32(ticks)}, nil
}

// readFile returns the content of a small file. os.ReadFile would start the
// runtime's network poller, whose epoll descriptor the process must then never
// close: one that closes all its descriptors, as daemons do, would be aborted.
func readFile(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	text := make([]byte, 4096)
	for {
		n, err := unix.Read(fd, text)
		if err != unix.EINTR {
			return text[:max(n, 0)], err
		}
	}
}
