package process

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("does not happen: ", what)
		}
	}
}

func TestAlive(t *testing.T) {
	if !Self.Alive() {
		t.Error("this process")
	}
	if (ID{PID: Self.PID, Start: Self.Start + 1}).Alive() {
		t.Error("a process whose pid is used again")
	}
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := uint32(cmd.Process.Pid)
	eventually(t, "the C library makes its thread known", func() bool { return Runs(pid) })
	st, err := readStat(strconv.Itoa(cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	child := ID{pid, st.id()}
	if !child.Alive() || !child.HasThread(pid) {
		t.Error("a child that sleeps")
	}
	if n := testing.AllocsPerRun(100, func() { _ = child.Alive(); _ = Runs(child.PID) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a zombie does not seem alive", func() bool { return !child.Alive() })
	if Runs(child.PID) {
		t.Error("the thread of a zombie seems to run")
	}
	if err := cmd.Wait(); err == nil {
		t.Error("not killed")
	}
	if child.Alive() || child.HasThread(child.PID) || Runs(child.PID) {
		t.Error("a process that was waited for")
	}
}

// What a process had before it executed another program is nobody's.
func TestAliveUntilExec(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "echo ready; read line; exec sleep 1000")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	st, err := readStat(strconv.Itoa(cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	before := ID{uint32(cmd.Process.Pid), st.id()}
	hidden := ID{before.PID, before.Start & (1<<startBits - 1)}
	if !before.Alive() {
		t.Error("a process before it calls exec")
	}
	if _, err := in.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the program before exec does not seem to run", func() bool { return !before.Alive() })
	if !hidden.Alive() {
		t.Error("a process of which only its start is known")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
}

const namespaceVariable = "GOPROCESSING_TEST_NAMESPACE"

// In a pid namespace with the /proc of another one, nobody is taken for dead because
// of what is there about a process with the same number.
func TestProcOfAnotherNamespace(t *testing.T) {
	if os.Getenv(namespaceVariable) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), namespaceVariable+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		}
		out, err := cmd.CombinedOutput()
		if _, ran := err.(*exec.ExitError); err != nil && !ran {
			t.Skip("no namespaces: ", err)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if want := (ID{PID: 1}); Self != want {
		t.Errorf("%v is not %v", Self, want)
	}
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id := ID{uint32(cmd.Process.Pid), 1 << startBits}
	if !id.Alive() {
		t.Error("a process that lives")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if id.Alive() {
		t.Error("a process that was waited for")
	}
}

func TestParseStat(t *testing.T) {
	const rest = " S 1 2 3 0 -1 4194304 5 0 6 0 7 8 9 10 20 0 "
	for line, want := range map[string]stat{
		"12 (sh)" + rest + "3 0 4294967298 11 12 13 14 15 16 17\n": {12, 'S', 3, 4294967298, 16},
		"12 (a ) R 9 (b))" + rest + "1 0 77 11 12 13 1 1 0 0\n":    {12, 'S', 1, 77, 0},
		"12 (sh)" + rest + "3 0 4294967298 11 12\n":                {},
		"12 (sh) Z 1 2 3 0 -1 4 5 0 6 0 7 8 9 10 20 0 x 0 1":       {},
		"12 (sh) S 1 2 3\n": {},
		"x2 (sh)" + rest + "3 0 4294967298 11 12 13 14 15 16 17\n": {},
		"12 (sh)": {},
		"":        {},
	} {
		st, err := parseStat([]byte(line))
		if st != want || (err == nil) != (want != stat{}) {
			t.Errorf("%q: %v, %v", line, st, err)
		}
	}
}
