package inspect

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// linkPrefix begins what the links below /proc/PID/fd to segments say.
const linkPrefix = "/memfd:goprocessing-"

// users are the processes that have segments open.
type users struct {
	segments map[uint64]*segment // by inode
	pids     map[int]bool
}

type segment struct {
	paths  []string // by which it can be opened: of each user one
	pids   []int    // of the users
	memory uint64
}

// findUsers goes through the descriptors of all processes of this user, or of everybody
// if that is root. Those that end meanwhile, or that may not be looked into, are passed
// over.
func findUsers() (*users, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	u := &users{map[uint64]*segment{}, map[int]bool{}}
	self := os.Geteuid()
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if info, err := e.Info(); err == nil && (self == 0 || int(statOf(info).Uid) == self) {
			u.add(pid)
		}
	}
	return u, nil
}

func statOf(info os.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }

func procPath(pid int, parts ...string) string {
	return filepath.Join(append([]string{"/proc", strconv.Itoa(pid)}, parts...)...)
}

func (u *users) add(pid int) {
	entries, err := os.ReadDir(procPath(pid, "fd"))
	if err != nil {
		return
	}
	for _, e := range entries {
		path := procPath(pid, "fd", e.Name())
		link, err := os.Readlink(path)
		if err != nil || !strings.HasPrefix(link, linkPrefix) {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		st := statOf(info)
		s := u.segments[st.Ino]
		if s == nil {
			s = &segment{memory: uint64(st.Blocks) * 512}
			u.segments[st.Ino] = s
		}
		if !slices.Contains(s.pids, pid) {
			s.pids = append(s.pids, pid)
			s.paths = append(s.paths, path)
		}
		u.pids[pid] = true
	}
}

func (u *users) inodes() []uint64 { return slices.Sorted(maps.Keys(u.segments)) }

func (u *users) processes() []Process {
	list := []Process{}
	for _, pid := range slices.Sorted(maps.Keys(u.pids)) {
		list = append(list, Process{PID: pid, Command: command(pid)})
	}
	return list
}

// command returns the command line, or what there is instead when the process has
// ended: nothing.
func command(pid int) string {
	line, err := os.ReadFile(procPath(pid, "cmdline"))
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(strings.TrimRight(string(line), "\x00"), "\x00", " ")
}
