package core

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Option is an attribute of an object that is made. One that does not apply to objects
// of that kind is an error, unix.EINVAL.
type Option func(*options)

// options is what a number of Options say.
type options struct {
	given     []string // their names
	maxItems  uint64
	redeliver bool
	value     uint32
	bounded   bool
	parties   uint32

	without uint32 // what an end of a pipe does not do

	orCreate, unlinkOnClose bool
}

func (o *options) give(name string) { o.given = append(o.given, name) }

// MaxItems bounds the Len of a queue. Put waits for room in one that is full. Without
// bound, or with 0, the queue grows, and gives memory back as it is drained.
func MaxItems(n uint64) Option {
	return func(o *options) { o.give("MaxItems"); o.maxItems = n }
}

// Redeliver has the items that a process had got from a JoinableQueue and not dealt with
// when it died return to the queue, before all others and in the order in which they were
// put. They do not wait for room, so a queue may have more than MaxItems for a while.
// Whoever waits in Get or Join, and whoever calls another method that gets or counts
// items, sees to it, at most twice a second; so it takes about a second. After an
// immediate Shutdown they count as dealt with instead.
func Redeliver() Option {
	return func(o *options) { o.give("Redeliver"); o.redeliver = true }
}

// Value is what a Semaphore begins with, at most MaxValue, or how many permits a
// RobustSemaphore has, from 1 to MaxPermits; 1, if it is not given.
func Value(n uint32) Option {
	return func(o *options) { o.give("Value"); o.value = n }
}

// Bounded has the value of a Semaphore never exceed that which it begins with.
func Bounded() Option {
	return func(o *options) { o.give("Bounded"); o.bounded = true }
}

// Parties is how many have to wait at a Barrier, from 1 to MaxValue. Who makes one has to
// give it.
func Parties(n uint32) Option {
	return func(o *options) { o.give("Parties"); o.parties = n }
}

// OrCreate has Open make the object if there is none of that name. However many do so at
// once, one of them makes it.
func OrCreate() Option {
	return func(o *options) { o.give("OrCreate"); o.orCreate = true }
}

// UnlinkOnClose has Close take the name away that the object still has, if this handle
// has made it. Those who have it open go on. If the process is killed, the name stays.
func UnlinkOnClose() Option {
	return func(o *options) { o.give("UnlinkOnClose"); o.unlinkOnClose = true }
}

// ReadOnly is for the end of a pipe that only receives, while the other only sends.
func ReadOnly() Option {
	return func(o *options) { o.give("ReadOnly"); o.without |= Writable }
}

// WriteOnly is for the end of a pipe that only sends, while the other only receives.
func WriteOnly() Option {
	return func(o *options) { o.give("WriteOnly"); o.without |= Readable }
}

// choose returns what the options say. allowed are the names of those that apply.
func choose(list []Option, allowed ...string) (options, error) {
	o := options{value: 1}
	for _, option := range list {
		option(&o)
	}
	for _, name := range o.given {
		if !slices.Contains(allowed, name) {
			return options{}, fmt.Errorf("option %s does not apply: %w", name, unix.EINVAL)
		}
	}
	return o, nil
}
