package inspect

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// users are the processes that have segments open.
type users struct {
	segments map[shm.FileID]*segment
	all      []int // processes that could be looked into
}

type segment struct {
	file   shm.FileID
	memfd  bool
	known  bool // by what its file is called; else it may be something else
	name   string
	stale  bool
	paths  []string // by which it can be opened: its name's, and of each user one
	pids   []int    // of the users
	memory uint64
}

// findUsers goes through the descriptors of all processes of this user, or of everybody
// if that is root, and through the names. Those that end meanwhile, or that may not be
// looked into, are passed over.
func findUsers() (*users, error) {
	u := &users{segments: map[shm.FileID]*segment{}}
	if err := u.addNames(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if info, err := e.Info(); err == nil && isVisible(int(statOf(info).Uid)) {
			u.add(pid)
		}
	}
	u.addMappings()
	return u, nil
}

// isVisible reports whether objects of a user are shown to this one.
func isVisible(user int) bool {
	self := os.Geteuid()
	return self == 0 || user == self
}

func statOf(info os.FileInfo) *syscall.Stat_t { return info.Sys().(*syscall.Stat_t) }

func procPath(pid int, parts ...string) string {
	return filepath.Join(append([]string{"/proc", strconv.Itoa(pid)}, parts...)...)
}

// addNames adds the segments that have names, whether or not anybody uses them.
func (u *users) addNames() error {
	stale, err := shm.Stale()
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(shm.Directory())
	if err != nil {
		return fmt.Errorf("listing named objects: %w", err)
	}
	for _, e := range entries {
		user, name, ok := shm.ParseFileName(e.Name())
		if !ok || !e.Type().IsRegular() || !isVisible(user) {
			continue
		}
		if info, err := e.Info(); err == nil {
			s := u.segment(statOf(info))
			s.name, s.known = name, true
			s.stale = slices.Contains(stale, name) && user == os.Geteuid()
			s.paths = append(s.paths, filepath.Join(shm.Directory(), e.Name()))
		}
	}
	return nil
}

func (u *users) segment(st *syscall.Stat_t) *segment {
	file := shm.FileID{Device: st.Dev, Inode: st.Ino}
	s := u.segments[file]
	if s == nil {
		s = &segment{file: file, memory: uint64(st.Blocks) * 512}
		u.segments[file] = s
	}
	return s
}

// add adds the segments that a process has open.
func (u *users) add(pid int) {
	entries, err := os.ReadDir(procPath(pid, "fd"))
	if err != nil {
		return
	}
	u.all = append(u.all, pid)
	for _, e := range entries {
		path := procPath(pid, "fd", e.Name())
		link, err := os.Readlink(path)
		if err != nil || !mayBeSegment(link) {
			continue
		}
		// Who has it for reading only looks at it, as this process is about to.
		if own, err := os.Lstat(path); err != nil || own.Mode().Perm()&0o200 == 0 {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		s := u.segment(statOf(info))
		s.memfd = strings.HasPrefix(link, memfdLink)
		s.known = s.known || !strings.HasPrefix(link, tmpfileLink)
		if s.use(pid) {
			s.paths = append(s.paths, path)
		}
	}
}

// What links below /proc/PID/fd, and lines of /proc/PID/maps, say of segments begins with
// one of these. The last is what they say of a file that was made without a name, also
// when it has got one.
var (
	memfdLink   = "/memfd:goprocessing-"
	namedLink   = shm.Directory() + "/goprocessing."
	tmpfileLink = shm.Directory() + "/#"
)

func mayBeSegment(link string) bool {
	return strings.HasPrefix(link, memfdLink) ||
		strings.HasPrefix(link, namedLink) || strings.HasPrefix(link, tmpfileLink)
}

// use notes that a process uses the segment, and reports whether that was unknown.
func (g *segment) use(pid int) bool {
	if slices.Contains(g.pids, pid) {
		return false
	}
	g.pids = append(g.pids, pid)
	return true
}

// mayBeUsedBy reports whether a process that lives still has the segment open or mapped,
// or may have: of one that may not be looked into nobody knows.
func (g *segment) mayBeUsedBy(pid int) bool {
	if slices.Contains(g.pids, pid) {
		return true
	}
	list, err := mappings(pid)
	return err != nil || slices.ContainsFunc(list, func(m mapping) bool { return m.file == g.file })
}

// addMappings adds those to the users of named segments that closed the descriptor, as
// daemons do, and still have the segment mapped. It is worth the time only for those that
// seem to have none.
func (u *users) addMappings() {
	unused := map[shm.FileID]*segment{}
	for file, s := range u.segments {
		if len(s.pids) == 0 {
			unused[file] = s
		}
	}
	if len(unused) == 0 {
		return
	}
	for _, pid := range u.all {
		list, _ := mappings(pid) // none, if it has ended
		for _, m := range list {
			if s := unused[m.file]; s != nil {
				s.use(pid)
			}
		}
	}
}

// inOrder returns the segments as they were made, by and large.
func (u *users) inOrder() []*segment {
	return slices.SortedFunc(maps.Values(u.segments), func(a, b *segment) int {
		return cmp.Or(cmp.Compare(a.file.Device, b.file.Device), cmp.Compare(a.file.Inode, b.file.Inode))
	})
}
