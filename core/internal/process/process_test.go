package process

import (
	"os/exec"
	"testing"
	"time"
)

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
	st, err := readStat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	child := ID{uint32(cmd.Process.Pid), st.start}
	if !child.Alive() {
		t.Error("a child that sleeps")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); child.Alive(); {
		if time.Now().After(end) {
			t.Fatal("a zombie seems alive")
		}
		time.Sleep(time.Millisecond)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("not killed")
	}
	if child.Alive() {
		t.Error("a process that was waited for")
	}
}
