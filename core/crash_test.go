//go:build crash

package core

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/goprocessing/goprocessing/core/internal/fault"
)

// primitive is something that processes share, and that is to outlive them.
type primitive struct {
	// The sources that its processes run through: the files of core/ whose names
	// begin so. They die at the fault points of these.
	sources []string
	make    func(testing.TB) scene
	fresh   bool // each round is to have a new scene
	victims map[string]func(files []*os.File, p *plight) error
	// Victims that die one after the other, because few come by the last point by
	// chance.
	plots [][]fate
}

// fate is a role, "" for any, and the point at which one in that role is to die, "" for
// a random instant.
type fate struct{ role, point string }

// scene is what the processes of a test share. While processes work on it and are
// killed, this one goes on: it survives.
type scene interface {
	// files are what a victim gets to open it by.
	files() []*os.File
	// survivors are what goroutines of this process do again and again until it
	// returns an error; when ctx is done they return, having left nothing half done.
	survivors() []func(ctx context.Context) error
	// bury does, after a death, what is left to the user: to release a lock, say.
	// alone tells that nobody else is at work.
	bury(v *victim, alone bool) error
	// settled reports, when all victims are dead, whether nobody waits in vain. gotOn
	// tells that each survivor got on since. It may be called again and again.
	settled(gotOn bool) (bool, error)
	// check validates the scene when nobody is at work any more.
	check(dead []*victim) error
	close()
}

// plight is what a victim tells the survivors, in memory that they share: what it was
// about, word by word as its role defines it.
type plight struct {
	state   atomic.Uint64
	words   [7]atomic.Uint64
	journal [1 << 14]entry // of a worker
}

func (p *plight) reset() {
	p.state.Store(0)
	for i := range p.words {
		p.words[i].Store(0)
	}
	for i := 0; i < len(p.journal) && p.journal[i].state != 0; i++ {
		p.journal[i].state = 0
	}
}

// victim is a process that dies: when it has passed a point a number of times, or else
// some time after it got to work.
type victim struct {
	fate
	passes int
	after  time.Duration

	plight  *plight
	slot    int
	cmd     *exec.Cmd
	out     io.Reader // where it tells that it got to work
	atPoint bool      // it died
}

func (v *victim) String() string {
	return fmt.Sprintf("%q dies at %q after %d passes, or after %v", v.role, v.point, v.passes, v.after)
}

const (
	victimsAtOnce = 3
	seedVariable  = "GOPROCESSING_TEST_SEED"
	slotVariable  = "GOPROCESSING_TEST_SLOT"

	// patience is how long a survivor may take: to learn of a death takes it a second
	// or two.
	patienceOfSurvivors = 60 * time.Second

	// thorough is how many kills for a primitive have to bring its processes through
	// all points.
	thorough = 300
)

func numberFrom(t testing.TB, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(variable, ": ", err)
	}
	return n
}

func init() {
	for name, p := range primitives {
		for role, work := range p.victims {
			children["crash "+name+": "+role] = func(files []*os.File) error {
				slot, err := strconv.Atoi(os.Getenv(slotVariable))
				if err != nil {
					return err
				}
				plights, shared, err := openPlights(files[0])
				if err != nil {
					return err
				}
				noise = func() []byte { return shared }
				if _, err := os.Stdout.Write([]byte{1}); err != nil {
					return err
				}
				return work(files[1:], &plights[slot])
			}
		}
	}
}

// TestCrash kills processes at every point of the engine's critical sections, and at
// any instant. The seed of a run determines at which points they die and after how many
// passes. In which role depends on who has come by the point so far, too, and so on how
// the processes are scheduled.
func TestCrash(t *testing.T) {
	points := faultPoints(t)
	kills := int(numberFrom(t, killsVariable, 18))
	seed := numberFrom(t, seedVariable, rand.Uint64())
	t.Logf("%s=%d replays the choices, not the scheduling", seedVariable, seed)
	var mu sync.Mutex
	ran, died, passed := 0, map[string]int{}, map[string]bool{}
	t.Run("primitives", func(t *testing.T) {
		for name, p := range primitives {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				c := newCrash(t, name, p, seed, points)
				c.run(t, kills)
				mu.Lock()
				defer mu.Unlock()
				ran++
				for point, n := range c.died {
					died[point] += n
				}
				for _, role := range c.roles {
					for _, point := range c.passed(t, role) {
						passed[point] = true
					}
				}
			})
		}
	})
	if t.Failed() || ran < len(primitives) {
		return // only some were asked for, or came to their end
	}
	unreached := 0
	for _, point := range sortedKeys(points) {
		switch {
		case passed[point]:
		case kills >= thorough:
			t.Errorf("no process ever reached %q (%s)", point, points[point])
		default:
			unreached++
			t.Logf("no process reached %q (%s)", point, points[point])
		}
	}
	t.Logf("%d points: no process reached %d, none died at %d", len(points), unreached, len(points)-len(died))
}

func sortedKeys[V any](m map[string]V) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// crash is a run over one primitive.
type crash struct {
	primitive
	name    string
	rng     *rand.Rand
	roles   []string
	points  []string // of the sources
	deck    [][]fate // those that are to come: of one victim, or of those of a plot
	plights []plight
	shared  *os.File
	logs    map[string]string // files with the points that processes in a role passed
	scene   scene
	died    map[string]int // at which points, how often
	counts  []atomic.Uint64
}

func newCrash(t *testing.T, name string, p primitive, seed uint64, points map[string]string) *crash {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	c := &crash{primitive: p, name: name, rng: rand.New(rand.NewPCG(seed, h.Sum64())), died: map[string]int{}}
	c.roles = sortedKeys(p.victims)
	for _, point := range sortedKeys(points) {
		if slices.ContainsFunc(p.sources, func(s string) bool { return strings.HasPrefix(points[point], s) }) {
			c.points = append(c.points, point)
		}
	}
	for _, f := range slices.Concat(p.plots...) {
		if p.victims[f.role] == nil || points[f.point] == "" {
			t.Fatalf("there is no %q who could die at %q", f.role, f.point)
		}
	}
	c.shared, c.plights = newPlights(t)
	c.logs = map[string]string{}
	for _, role := range c.roles {
		c.logs[role] = fmt.Sprintf("%s/%s", t.TempDir(), role)
		if err := os.WriteFile(c.logs[role], nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// passed returns the points that processes in a role passed.
func (c *crash) passed(t testing.TB, role string) (points []string) {
	log, err := os.ReadFile(c.logs[role])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(log), "\n")
}

// draw draws who dies next, so many at most, and when: at each of the points in turn, in
// an order that is another each time. inTurn: they are to die one after the other.
func (c *crash) draw(t testing.TB, most int) (round []*victim, inTurn bool) {
	inTurn = c.rng.IntN(2) == 0
	for len(round) < min(victimsAtOnce, most) {
		if len(c.deck) == 0 {
			c.shuffle()
		}
		next := c.deck[0]
		if len(next) > 1 && len(round) > 0 {
			break
		}
		c.deck = c.deck[1:]
		if len(next) == 1 {
			round = append(round, c.victim(t, next[0], len(round)))
			continue
		}
		for _, f := range next[:min(len(next), most)] {
			v := c.victim(t, f, len(round))
			v.passes, v.after = 0, time.Second
			round = append(round, v)
		}
		return round, true
	}
	return round, inTurn
}

func (c *crash) shuffle() {
	for _, point := range c.points {
		c.deck = append(c.deck, []fate{{point: point}})
	}
	for range 1 + len(c.points)/4 {
		c.deck = append(c.deck, []fate{{}})
	}
	c.deck = append(c.deck, c.plots...)
	c.rng.Shuffle(len(c.deck), func(i, j int) { c.deck[i], c.deck[j] = c.deck[j], c.deck[i] })
}

// victim chooses what f leaves open.
//
// How long it lives at most depends on whether anybody in its role is known to have
// passed the point, so that the long wait is not for one that it never will. As many
// live for microseconds as for milliseconds.
func (c *crash) victim(t testing.TB, f fate, slot int) *victim {
	v := &victim{fate: f, slot: slot}
	var passers []string
	for _, role := range c.roles {
		if f.point != "" && slices.Contains(c.passed(t, role), f.point) {
			passers = append(passers, role)
		}
	}
	// As many numbers whatever is known, so that the next victims are the same.
	roll, fits := c.rng.Int(), c.rng.IntN(4) > 0
	v.passes = c.rng.IntN(1 << c.rng.IntN(7))
	v.after = time.Duration(c.rng.IntN(1 << c.rng.IntN(25)))
	longer := 10 * time.Millisecond << c.rng.IntN(5)
	switch {
	case v.role != "":
	case len(passers) > 0 && fits:
		v.role = passers[roll%len(passers)]
	default:
		v.role = c.roles[roll%len(c.roles)]
	}
	if slices.Contains(passers, v.role) {
		v.after += longer
	}
	return v
}

func (c *crash) run(t *testing.T, kills int) {
	reported := time.Now()
	for killed := 0; killed < kills; {
		if c.scene == nil {
			c.scene = c.make(t)
		}
		round, inTurn := c.draw(t, kills-killed)
		if err := c.round(t, round, inTurn); err != nil {
			t.Errorf("%s, after %d kills: %v", c.name, killed, err)
			for _, v := range round {
				t.Log(v, ": in turn: ", inTurn, ", at the point: ", v.atPoint, ", state ", v.plight.state.Load())
			}
			return // what is broken is not to be closed
		}
		killed += len(round)
		if c.fresh || killed >= kills {
			c.scene.close()
			c.scene = nil
		}
		if time.Since(reported) > 10*time.Second {
			reported = time.Now()
			t.Logf("%d of %d kills", killed, kills)
		}
	}
	atPoints := 0
	for _, n := range c.died {
		atPoints += n
	}
	unreached := map[string]bool{}
	for _, point := range c.points {
		unreached[point] = true
	}
	for _, role := range c.roles {
		for _, point := range c.passed(t, role) {
			delete(unreached, point)
		}
	}
	t.Logf("%d kills, %d of them at %d of %d points; not reached: %q", kills, atPoints, len(c.died), len(c.points), sortedKeys(unreached))
}

// round has victims die among survivors; or one after the other while those rest, so that
// a victim meets what the last one left behind.
func (c *crash) round(t *testing.T, round []*victim, inTurn bool) error {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	work := c.scene.survivors()
	failed := make(chan error, len(work)+len(round))
	c.counts = make([]atomic.Uint64, len(work))
	pauses := c.rng.IntN(4) > 0
	var survivors sync.WaitGroup
	survive := func() {
		for i := range work {
			survivors.Go(func() {
				if err := c.survive(ctx, i, work[i], pauses); err != nil {
					failed <- fmt.Errorf("survivor %d: %w", i, err)
				}
			})
		}
	}
	err := error(nil)
	bury := func(v *victim) {
		if v.atPoint {
			c.died[v.point]++
		}
		err = errors.Join(err, c.scene.bury(v, inTurn))
	}
	if inTurn {
		for _, v := range round {
			if err := c.start(v); err != nil {
				return err
			}
			if err := v.live(); err != nil {
				return err
			}
			bury(v)
		}
		survive()
	} else {
		deaths := make(chan *victim)
		for _, v := range round {
			if err := c.start(v); err != nil {
				return err
			}
			go func() {
				if err := v.live(); err != nil {
					failed <- err
				}
				deaths <- v
			}()
		}
		survive()
		for range round {
			bury(<-deaths)
		}
	}
	if err == nil {
		err = c.await(failed)
	}
	if err != nil {
		return err
	}
	cancel()
	ended := make(chan struct{})
	go func() {
		survivors.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(patienceOfSurvivors):
		return errors.New("survivors do not end")
	}
	select {
	case err := <-failed:
		return err
	default:
	}
	return c.scene.check(round)
}

// await waits until all survivors have got on and the scene is settled.
func (c *crash) await(failed chan error) error {
	before := make([]uint64, len(c.counts))
	for i := range before {
		before[i] = c.counts[i].Load()
	}
	for end := time.Now().Add(patienceOfSurvivors); ; time.Sleep(200 * time.Microsecond) {
		select {
		case err := <-failed:
			return err
		default:
		}
		stuck := -1
		for i := range before {
			if c.counts[i].Load() == before[i] {
				stuck = i
			}
		}
		settled, err := c.scene.settled(stuck < 0)
		switch {
		case err != nil || settled:
			return err
		case time.Now().Before(end):
		case stuck >= 0:
			return fmt.Errorf("somebody waits in vain; survivor %d did not get on", stuck)
		default:
			return errors.New("somebody waits in vain")
		}
	}
}

// survive works until ctx is done. Who pauses leaves most of the CPU to the victims.
func (c *crash) survive(ctx context.Context, i int, work func(context.Context) error, pauses bool) error {
	for ctx.Err() == nil {
		if err := work(ctx); err != nil {
			if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
				return err
			}
			return nil
		}
		c.counts[i].Add(1)
		if pauses && rand.N(16) == 0 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	return nil
}

// start starts a victim.
func (c *crash) start(v *victim) error {
	v.plight = &c.plights[v.slot]
	v.plight.reset()
	v.cmd = exec.Command(os.Args[0])
	v.cmd.Env = append(os.Environ(),
		"GOGC=1000", // those who live so shortly need not collect
		childVariable+"=crash "+c.name+": "+v.role,
		slotVariable+"="+strconv.Itoa(v.slot),
		fault.PassedVariable+"="+c.logs[v.role])
	if v.point != "" {
		v.cmd.Env = append(v.cmd.Env, fmt.Sprintf("%s=%s:%d", fault.Variable, v.point, v.passes))
	}
	v.cmd.ExtraFiles = append([]*os.File{c.shared}, c.scene.files()...)
	v.cmd.Stderr = os.Stderr
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	v.out = out
	return v.cmd.Start()
}

// live returns when a victim that was started has died.
func (v *victim) live() error {
	_, _ = io.ReadFull(v.out, make([]byte, 1)) // it may die before it gets to work
	var late atomic.Bool
	timer := time.AfterFunc(v.after, func() {
		late.Store(true)
		_ = v.cmd.Process.Kill()
	})
	err := v.cmd.Wait()
	timer.Stop()
	if err == nil || err.Error() != "signal: killed" {
		return fmt.Errorf("%v: %v", v, err)
	}
	v.atPoint = !late.Load()
	return nil
}
