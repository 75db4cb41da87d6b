//go:build crash

package core

import (
	"strconv"
	"testing"

	"github.com/goprocessing/goprocessing/core/internal/fault"
)

// A process that finds everything held by a dead one is killed at each point, the
// first time that it passes there or a later one. The next one finds out.
func TestRobustKilledAtEachPoint(t *testing.T) {
	for _, p := range []struct {
		point  string
		passes int
	}{
		{"robust lock taken", 4},
		{"robust lock inherited", 2}, // for each death
		{"robust lock's owner cleared", 2},
		{"robust lock about to be freed", 3},
		{"robust lock freed", 4},
		{"permit of the dead freed", 1},
		{"permit given back", 2},
	} {
		for pass := range p.passes {
			name := p.point + ":" + strconv.Itoa(pass)
			t.Run(name, func(t *testing.T) { killRobustAt(t, name) })
		}
	}
}

func killRobustAt(t *testing.T, point string) {
	a, all := newRobusts(t)
	journals := newJournals(t, all)
	kill(t, holderOf(t, a, all))
	t.Setenv(fault.Variable, point)
	victim := startChild(t, "work with robust locks", filesOf(t, a, journals)...)
	if err := victim.Wait(); victim.ProcessState.ExitCode() != -1 {
		t.Errorf("not killed: %v", err)
	}
	for k, r := range all {
		err := r.lock(t.Context())
		if err != nil && err != ErrOwnerDied {
			t.Fatal(err)
		}
		if err := journals[k].work(err == ErrOwnerDied); err != nil {
			t.Errorf("%s: %v", r.name, err)
		}
		free(t, r)
	}
}
