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

// choose returns what the options say. allowed are the names of those that apply.
func choose(list []Option, allowed ...string) (options, error) {
	var o options
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
