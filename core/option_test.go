package core

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// An option that means nothing to the object is not ignored.
func TestOptionThatDoesNotApply(t *testing.T) {
	if _, err := NewQueue(MaxItems(3), Redeliver()); !errors.Is(err, unix.EINVAL) {
		t.Errorf("a queue that redelivers: %v", err)
	}
}
