package inspect

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// place is a word of a segment.
type place struct{ inode, offset uint64 }

// findSleepers finds the threads of these processes that sleep in futex(2) on a word of
// a segment: /proc/PID/task/TID/syscall (proc_pid_syscall(5)) says on which address,
// /proc/PID/maps where in which segment that is. Where the kernel does not show the
// first to other processes of the user (ptrace_scope, ptrace(2)), none is found.
func findSleepers(pids map[int]bool) map[place][]Thread {
	found := map[place][]Thread{}
	for pid := range pids {
		waits := futexWaits(pid)
		if len(waits) == 0 {
			continue
		}
		mapped := mappings(pid)
		for tid, address := range waits {
			for _, m := range mapped {
				if address >= m.start && address < m.end {
					at := place{m.inode, address - m.start + m.offset}
					found[at] = append(found[at], Thread{pid, tid, true})
				}
			}
		}
	}
	return found
}

// futexWaits returns the threads of a process that sleep in futex(2), and the
// addresses on which they do.
func futexWaits(pid int) map[int]uint64 {
	tasks, err := os.ReadDir(procPath(pid, "task"))
	if err != nil {
		return nil
	}
	waits := map[int]uint64{}
	for _, task := range tasks {
		line, err := os.ReadFile(procPath(pid, "task", task.Name(), "syscall"))
		if err != nil {
			continue
		}
		if address, ok := parseFutex(string(line)); ok {
			tid, _ := strconv.Atoi(task.Name())
			waits[tid] = address
		}
	}
	return waits
}

// parseFutex returns the first argument of futex(2), if that is the system call of a
// line of /proc/PID/syscall: number, six arguments, stack pointer, program counter.
func parseFutex(line string) (address uint64, ok bool) {
	number, rest, _ := strings.Cut(line, " ")
	if n, err := strconv.Atoi(number); err != nil || n != syscall.SYS_FUTEX {
		return 0, false
	}
	argument, _, _ := strings.Cut(rest, " ")
	address, err := strconv.ParseUint(argument, 0, 64)
	return address, err == nil
}

type mapping struct{ start, end, offset, inode uint64 }

// mappings returns where a process has segments mapped.
func mappings(pid int) (list []mapping) {
	text, err := os.ReadFile(procPath(pid, "maps"))
	if err != nil {
		return nil
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if m, ok := parseMapping(lines.Text()); ok {
			list = append(list, m)
		}
	}
	return list
}

// parseMapping returns what a line of /proc/PID/maps says of a segment: start-end,
// permissions, offset, device, inode, path.
func parseMapping(line string) (m mapping, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 6 || !strings.HasPrefix(fields[5], linkPrefix) {
		return m, false
	}
	from, to, _ := strings.Cut(fields[0], "-")
	for _, n := range []struct {
		to     *uint64
		digits string
		base   int
	}{{&m.start, from, 16}, {&m.end, to, 16}, {&m.offset, fields[2], 16}, {&m.inode, fields[4], 10}} {
		value, err := strconv.ParseUint(n.digits, n.base, 64)
		if err != nil {
			return m, false
		}
		*n.to = value
	}
	return m, true
}
