package core

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// passedVariable tells a process what it inherits: by the name of each object its
// descriptors, with the inode numbers of their files, and what else is to be known to
// open it. A process may have the variable of its parent's, which inherited something
// itself; the inode numbers are how that is noticed.
const passedVariable = "GOPROCESSING_INHERITED"

// Passable is what can be passed from parent to child: each kind of object.
type Passable interface {
	// pass returns duplicates of the object's descriptors, and what else is to be known.
	pass() (files []*os.File, note string, err error)
}

// inheritable is what can be inherited.
type inheritable[T any] interface {
	*T
	// inherit makes the object of descriptors, which it owns, also if it fails.
	inherit(fds []int, note string) error
}

// Pass has the process that cmd is to start inherit an object, whether that has a name
// or not. There, Inherited returns it by the name given here:
//
//	err := core.Pass(cmd, "jobs", q)
//
// Pass adds duplicates of descriptors to cmd.ExtraFiles, and a variable to cmd.Env. Close
// those files once the process has started: as long as this one has an end of a pipe, that
// is not gone.
func Pass(cmd *exec.Cmd, name string, object Passable) error {
	const assignment = passedVariable + "="
	isPassed := func(entry string) bool { return strings.HasPrefix(entry, assignment) }
	all := url.Values{}
	if cmd.Env == nil {
		cmd.Env = slices.DeleteFunc(os.Environ(), isPassed)
	} else if i := slices.IndexFunc(cmd.Env, isPassed); i >= 0 {
		var err error
		if all, err = url.ParseQuery(cmd.Env[i][len(assignment):]); err != nil {
			return fmt.Errorf("%s: %w", passedVariable, err)
		}
	}
	files, note, err := object.pass()
	if err != nil {
		return err
	}
	passed := make([]string, len(files))
	for i, f := range files {
		inode, err := inodeOf(int(f.Fd()))
		if err != nil {
			for _, f := range files {
				err = errors.Join(err, f.Close())
			}
			return err
		}
		passed[i] = fmt.Sprintf("%d:%d", 3+len(cmd.ExtraFiles)+i, inode)
	}
	all.Set(name, strings.Join(passed, ",")+";"+note)
	cmd.Env = append(slices.DeleteFunc(cmd.Env, isPassed), assignment+all.Encode())
	cmd.ExtraFiles = append(cmd.ExtraFiles, files...)
	return nil
}

// Inherited returns the object that the parent has passed by that name. It can be had
// once. Errors: fs.ErrNotExist, if there is none, or none any more; ErrKind, if it is
// something else.
func Inherited[T any, P inheritable[T]](name string) (*T, error) {
	p := P(new(T))
	if err := inheritPassed(name, p.inherit); err != nil {
		return nil, fmt.Errorf("inheriting %q: %w", name, err)
	}
	return p, nil
}

// had are the names of the objects that were had. Their descriptors are closed, and
// the numbers may be those of others of the same file. Like those, and the variable of the
// environment, they are the process': two calls of Inherited have nothing else in common.
var had = struct {
	sync.Mutex
	names map[string]bool
}{names: map[string]bool{}}

func inheritPassed(name string, inherit func(fds []int, note string) error) error {
	had.Lock()
	defer had.Unlock()
	if had.names[name] {
		return fs.ErrNotExist
	}
	all, err := url.ParseQuery(os.Getenv(passedVariable))
	if err != nil {
		return fmt.Errorf("%s: %w", passedVariable, err)
	}
	files, note, ok := strings.Cut(all.Get(name), ";")
	if !ok {
		return fs.ErrNotExist
	}
	fds, err := descriptorsOf(strings.Split(files, ","))
	if err != nil {
		return err
	}
	// What this process executes is not to inherit them as well.
	own, err := duplicateAll(fds)
	if err != nil {
		return err
	}
	if err := inherit(own, note); err != nil {
		return err
	}
	had.names[name] = true
	return closeAll(fds)
}

// descriptorsOf returns the descriptors of files, if they are those that were passed.
func descriptorsOf(files []string) ([]int, error) {
	fds := make([]int, len(files))
	for i, file := range files {
		var inode uint64
		if _, err := fmt.Sscanf(file, "%d:%d", &fds[i], &inode); err != nil {
			return nil, fmt.Errorf("%s: %w", passedVariable, err)
		}
		if is, err := inodeOf(fds[i]); err != nil || is != inode {
			return nil, fs.ErrNotExist
		}
	}
	return fds, nil
}

func inodeOf(fd int) (uint64, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return st.Ino, err
}

func duplicateAll(fds []int) (own []int, err error) {
	for _, fd := range fds {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, errors.Join(err, closeAll(own))
		}
		own = append(own, dup)
	}
	return own, nil
}

func closeAll(fds []int) (err error) {
	for _, fd := range fds {
		err = errors.Join(err, unix.Close(fd))
	}
	return err
}
