package inspect

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// place is where threads sleep: a word of a segment, or, if that is none, a socket.
type place struct {
	segment shm.FileID
	word    uint64 // its offset
	socket  uint64 // its inode
}

// findSleepers finds the threads of these processes that sleep in futex(2) on a word of
// a segment, or in poll(2) until a socket is readable: /proc/PID/task/TID/syscall
// (proc_pid_syscall(5)) says on which address, /proc/PID/maps where in which segment
// that is, /proc/PID/mem and /proc/PID/fd which sockets. hidden: the kernel does not show
// that of some of them to other processes of the user (ptrace_scope, ptrace(2)).
func findSleepers(pids map[int]bool) (found map[place][]Thread, hidden bool) {
	found = map[place][]Thread{}
	for pid := range pids {
		var mapped []mapping
		made, secret := calls(pid)
		hidden = hidden || secret
		for tid, c := range made {
			thread := Thread{pid, tid, true}
			if address, ok := c.futex(); ok {
				if mapped == nil {
					mapped, _ = mappings(pid) // none, if it has ended
				}
				for _, m := range mapped {
					if address >= m.start && address < m.end {
						at := place{segment: m.file, word: address - m.start + m.offset}
						found[at] = append(found[at], thread)
					}
				}
			}
			for _, inode := range c.sockets(pid) {
				found[place{socket: inode}] = append(found[place{socket: inode}], thread)
			}
		}
	}
	return found, hidden
}

// call is a system call that a thread is in, with the first two of its arguments.
type call struct {
	number    int
	arguments [2]uint64
}

// calls returns the system calls that the threads of a process are in.
func calls(pid int) (found map[int]call, hidden bool) {
	tasks, err := os.ReadDir(procPath(pid, "task"))
	if err != nil {
		return nil, errors.Is(err, fs.ErrPermission)
	}
	found = map[int]call{}
	for _, task := range tasks {
		line, err := os.ReadFile(procPath(pid, "task", task.Name(), "syscall"))
		if err != nil {
			hidden = hidden || errors.Is(err, fs.ErrPermission)
			continue
		}
		if c, ok := parseCall(string(line)); ok {
			tid, _ := strconv.Atoi(task.Name())
			found[tid] = c
		}
	}
	return found, hidden
}

// parseCall takes a line of /proc/PID/syscall apart: number, six arguments, stack
// pointer, program counter. A thread that runs is in no system call.
func parseCall(line string) (c call, ok bool) {
	fields := strings.Fields(line)
	if len(fields) != 9 {
		return c, false
	}
	n, err := strconv.Atoi(fields[0])
	if err != nil {
		return c, false
	}
	c.number = n
	for i := range c.arguments {
		if c.arguments[i], err = strconv.ParseUint(fields[i+1], 0, 64); err != nil {
			return c, false
		}
	}
	return c, true
}

// futex returns the address of the word on which the thread sleeps, if it does on one.
func (c call) futex() (address uint64, ok bool) {
	return c.arguments[0], c.number == syscall.SYS_FUTEX
}

// maxPolled is how many descriptors of one poll(2) are looked at.
const maxPolled = 1024

// sockets returns the inodes of the sockets that the thread polls until they are readable.
func (c call) sockets(pid int) (inodes []uint64) {
	if c.number != sysPoll && c.number != syscall.SYS_PPOLL {
		return nil
	}
	memory, err := os.Open(procPath(pid, "mem"))
	if err != nil {
		return nil
	}
	defer memory.Close()
	const entry = 8 // struct pollfd: int fd, short events, short revents
	list := make([]byte, min(c.arguments[1], maxPolled)*entry)
	// What cannot be read stays zero, which asks for no events.
	_, _ = memory.ReadAt(list, int64(c.arguments[0]))
	for ; len(list) > 0; list = list[entry:] {
		fd := int32(binary.NativeEndian.Uint32(list))
		if events := binary.NativeEndian.Uint16(list[4:]); fd < 0 || events&pollIn == 0 {
			continue
		}
		if inode, ok := socketBehind(pid, int(fd)); ok {
			inodes = append(inodes, inode)
		}
	}
	return inodes
}

const pollIn = 1 // POLLIN

// socketBehind returns the inode of the socket that a descriptor is.
func socketBehind(pid, fd int) (inode uint64, ok bool) {
	link, err := os.Readlink(procPath(pid, "fd", strconv.Itoa(fd)))
	if err != nil {
		return 0, false
	}
	digits, ok := strings.CutPrefix(link, "socket:[")
	if !ok {
		return 0, false
	}
	inode, err = strconv.ParseUint(strings.TrimSuffix(digits, "]"), 10, 64)
	return inode, err == nil
}
