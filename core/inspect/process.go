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
		parent, _ := strconv.Atoi(status(pid, "PPid"))
		stopped := strings.HasPrefix(strings.ToUpper(status(pid, "State")), "T")
		list = append(list, Process{pid, parent, stopped, command(pid)})
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

// status returns a field of /proc/PID/status (proc_pid_status(5)), "" if the process has
// ended.
func status(pid int, field string) string {
	text, err := os.ReadFile(procPath(pid, "status"))
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), "\n"+field+":\t")
	value, _, _ := strings.Cut(rest, "\n")
	return value
}
