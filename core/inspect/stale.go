package inspect

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/goprocessing/goprocessing/core"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// UnlinkStale takes those of these names, or of all names of this user, away whose objects
// nobody uses, and returns them. With all of them go the bells of objects whose names were
// taken away by a process that was killed as it did.
func UnlinkStale(names ...string) ([]string, error) {
	unlinked, failed := []string{}, []error{}
	if len(names) == 0 {
		stale, err := core.Stale()
		names, failed = stale, append(failed, err, shm.Sweep())
	}
	for _, name := range names {
		switch err := core.UnlinkStale(name); {
		case err == nil:
			unlinked = append(unlinked, name)
		case errors.Is(err, syscall.EBUSY), errors.Is(err, fs.ErrNotExist): // since then
		default:
			failed = append(failed, err)
		}
	}
	return unlinked, errors.Join(failed...)
}
