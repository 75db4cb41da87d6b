package stream

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/goprocessing/goprocessing/core/internal/shm"
	"golang.org/x/sys/unix"
)

// children are what processes that are to be killed do with a segment, by name.
var children = map[string]func(*shm.Segment) error{"put and get": runAlone}

const childVariable = "GOPROCESSING_TEST_CHILD"

// runChild is what a process does that newChild made.
func runChild(name string) error {
	s := new(shm.Segment)
	if err := s.Open(3, shm.KindQueue); err != nil {
		return err
	}
	return children[name](s)
}

// newChild returns a process that is to be started, which does what that name says. If it
// was, it is killed when the test ends.
func newChild(t testing.TB, s *shm.Segment, name string) *exec.Cmd {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "segment")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	t.Cleanup(func() {
		_ = file.Close()
		if cmd.Process != nil && cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd
}

// numbered is item i, which has extents if it is one of ten.
func numbered(i int) *Record {
	data := noise[uint(i)%1000:]
	r := &Record{Parts: [3][]byte{binary.NativeEndian.AppendUint64(nil, uint64(i)), data[:uint(i)%300]}}
	if i%10 == 0 {
		r.Buffers = [][]byte{data[100:200], data[200:400]}
	}
	return r
}

// noise is what data is cut out of, also for a number that is none.
var noise = pattern(0, 2000)

// receiveNumbered takes an item, which is whole, and releases its extents.
func receiveNumbered(q *Stream, s *shm.Segment) (int, error) {
	var buf [500]byte
	r, err := q.TryReceive(s, buf[:], now)
	if err != nil {
		return 0, err
	}
	data := buf[r.Refs*refSize : r.Len]
	if len(data) < 8 {
		return 0, fmt.Errorf("an item of %d bytes has no number", len(data))
	}
	n := int(binary.NativeEndian.Uint64(data))
	want := numbered(n)
	torn := r.Refs != len(want.Buffers) || !bytes.Equal(data[8:], want.Parts[1])
	x := ExtentsOf(s)
	for i := range r.Refs {
		ref := DecodeRef(buf[i*refSize:])
		b, err := x.Bytes(ref)
		torn = torn || err != nil || !bytes.Equal(b, want.Buffers[i])
		x.Release(ref)
	}
	if torn {
		return 0, fmt.Errorf("item %d is torn", n)
	}
	return n, nil
}
