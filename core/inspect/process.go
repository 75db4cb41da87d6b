package inspect

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// processes describes those with these pids.
func processes(pids map[int]bool) []Process {
	list := []Process{}
	for _, pid := range slices.Sorted(maps.Keys(pids)) {
		list = append(list, Process{PID: pid, Parent: parent(pid), Command: command(pid)})
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

// parent returns the pid of the process's parent, or 0 if it has ended.
func parent(pid int) int {
	status, err := os.ReadFile(procPath(pid, "status"))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "\nPPid:\t")
	digits, _, _ := strings.Cut(rest, "\n")
	ppid, _ := strconv.Atoi(digits)
	return ppid
}
