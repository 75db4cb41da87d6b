package inspect

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"

	"github.com/goprocessing/goprocessing/core/internal/shm"
)

type mapping struct {
	start, end, offset uint64
	file               shm.FileID
}

// mappings returns where a process has segments mapped. An error: it has ended, or may not
// be looked into.
func mappings(pid int) (list []mapping, err error) {
	text, err := os.ReadFile(procPath(pid, "maps"))
	if err != nil {
		return nil, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if m, ok := parseMapping(lines.Text()); ok {
			list = append(list, m)
		}
	}
	return list, nil
}

// parseMapping returns what a line of /proc/PID/maps says of a segment: start-end,
// permissions, offset, device, inode, path.
func parseMapping(line string) (m mapping, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 6 || !mayBeSegment(fields[5]) {
		return m, false
	}
	from, to, _ := strings.Cut(fields[0], "-")
	major, minor, _ := strings.Cut(fields[3], ":")
	var device struct{ major, minor uint64 }
	for _, n := range []struct {
		to     *uint64
		digits string
		base   int
	}{
		{&m.start, from, 16}, {&m.end, to, 16}, {&m.offset, fields[2], 16},
		{&device.major, major, 16}, {&device.minor, minor, 16}, {&m.file.Inode, fields[4], 10},
	} {
		value, err := strconv.ParseUint(n.digits, n.base, 64)
		if err != nil {
			return m, false
		}
		*n.to = value
	}
	m.file.Device = shm.Device(device.major, device.minor)
	return m, true
}
