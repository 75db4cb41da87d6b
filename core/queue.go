package core

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"

	"github.com/goprocessing/goprocessing/core/internal/fault"
	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/shm"
	"github.com/goprocessing/goprocessing/core/internal/stream"
	"golang.org/x/sys/unix"
)

// Queue is a first-in first-out queue of items, each a sequence of bytes, for any
// number of producers and consumers in any number of processes. What Put returned
// from is in the queue. It is struct gop_queue of the C interface.
//
// All methods but Close may be called by several goroutines at once.
type Queue struct {
	s      Segment
	bell   int32  // see Watch; -1: none
	unlink uint32 // not 0: Close takes the name away
}

// NewQueue makes a queue. Option: MaxItems.
func NewQueue(list ...Option) (*Queue, error) {
	q := new(Queue)
	o, err := choose(list, q.takes()...)
	if err != nil {
		return nil, err
	}
	if err := q.Create(o.maxItems); err != nil {
		return nil, err
	}
	return q, nil
}

// Create makes q a new queue: NewQueue for language bindings.
func (q *Queue) Create(maxItems uint64) error {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("creating a queue: %w", err)
	}
	if err := q.s.Create("goprocessing-queue", shm.KindQueue, stream.FirstAllocation); err != nil {
		_ = unix.Close(fd)
		return err
	}
	q.bell, q.unlink = int32(fd), 0
	fault.Here("queue's segment made")
	stream.Init(&q.s, 0, 1, maxItems, 0)
	return nil
}

func (q *Queue) takes() []string { return []string{"MaxItems"} }

// OpenNamed makes q a handle of the queue of that name, which mode says whether to make:
// Create and Open for language bindings.
func (q *Queue) OpenNamed(name string, mode Mode, maxItems uint64) error {
	return q.openNamed(name, mode, &options{maxItems: maxItems})
}

func (q *Queue) openNamed(name string, mode Mode, o *options) error {
	return q.openNamedAs(name, mode, o, false)
}

func (q *Queue) openNamedAs(name string, mode Mode, o *options, joinable bool) error {
	made, err := mode.do(func() error {
		if err := q.s.CreateFile(shm.KindQueue, stream.FirstAllocation); err != nil {
			return err
		}
		stream.Init(&q.s, 0, 1, o.maxItems, 0)
		if joinable {
			q.stream().Keep(o.redeliver)
		}
		if err := q.s.Link(name); err != nil {
			return errors.Join(err, q.s.Close())
		}
		if err := q.openBell(); err != nil {
			return errors.Join(err, q.s.Unlink(), q.s.Close())
		}
		return nil
	}, func() error {
		if err := q.s.OpenNamed(name, shm.KindQueue); err != nil {
			return err
		}
		err := q.openBell()
		if joinable && err == nil && !q.stream().Keeps() {
			err = errors.Join(fmt.Errorf("opening %q: %w", name, ErrKind), unix.Close(int(q.bell)))
		}
		if err != nil {
			return errors.Join(err, q.s.Close())
		}
		return nil
	})
	q.unlink = 0
	if made && o.unlinkOnClose {
		q.unlink = 1
	}
	return err
}

func (q *Queue) openBell() error {
	fd, err := q.s.OpenBell()
	q.bell = int32(fd)
	return err
}

// OpenQueue opens a queue that another process made, of the files that Files
// returned there. It does not close them. bell may be nil: Watch is not possible
// then, and who watches the queue elsewhere is not told of what is put here.
func OpenQueue(segment, bell *os.File) (*Queue, error) {
	q := new(Queue)
	if err := q.openFiles(segment, bell); err != nil {
		return nil, err
	}
	return q, nil
}

func (q *Queue) openFiles(segment, bell *os.File) error {
	b := -1
	if bell != nil {
		var err error
		if b, err = duplicate(bell); err != nil {
			return err
		}
	}
	if err := openFile(&q.s, segment, shm.KindQueue); err != nil {
		if b >= 0 {
			_ = unix.Close(b)
		}
		return err
	}
	q.bell, q.unlink = int32(b), 0
	return nil
}

// Open makes q a handle of a queue that another process made, of duplicates of
// its descriptors, which q owns if Open succeeds. bell is -1 if there is none.
// For language bindings.
func (q *Queue) Open(fd, bell int) error {
	if err := q.s.Open(fd, shm.KindQueue); err != nil {
		return err
	}
	q.bell, q.unlink = int32(bell), 0
	return nil
}

// Files returns duplicates of the queue's descriptors, by which another process
// opens it; a child gets them more easily by Pass. bell is nil if this handle has
// none.
func (q *Queue) Files() (segment, bell *os.File, err error) {
	segment, err = file(int(q.s.FD), "goprocessing-queue")
	if err != nil || q.bell < 0 {
		return segment, nil, err
	}
	bell, err = file(int(q.bell), "goprocessing-bell")
	if err != nil {
		return nil, nil, errors.Join(err, segment.Close())
	}
	return segment, bell, nil
}

func (q *Queue) pass() ([]*os.File, string, error) {
	segment, bell, err := q.Files()
	files := []*os.File{segment}
	if bell != nil {
		files = append(files, bell)
	}
	return files, "", err
}

func (q *Queue) inherit(fds []int, _ string) error {
	bell := -1
	if len(fds) > 1 {
		bell = fds[1]
	}
	if err := q.Open(fds[0], bell); err != nil {
		return errors.Join(err, closeAll(fds))
	}
	return nil
}

// Close releases this handle. The queue lives on as long as any process has it.
// No other method may be under way.
func (q *Queue) Close() error {
	// If the program closed all its descriptors, it closed both.
	owned := q.s.CheckDescriptor() == nil && q.bell >= 0
	var err error
	if owned && q.unlink != 0 {
		err = q.s.Unlink()
	}
	err = errors.Join(err, q.s.Close())
	fault.Here("queue's segment closed")
	if owned {
		err = errors.Join(err, unix.Close(int(q.bell)))
	}
	q.bell = -1
	return err
}

func (q *Queue) stream() *stream.Stream { return stream.Of(&q.s, 0) }

// Put appends a copy of item, waiting for room if the queue is full. Errors:
// ErrShutdown; the cause of ctx's end; that there is no memory for the item.
func (q *Queue) Put(ctx context.Context, item []byte) error {
	return q.PutWithin(item, within(ctx))
}

// TryPut is Put without waiting; it returns ErrFull instead.
func (q *Queue) TryPut(item []byte) error {
	return q.PutWithin(item, atOnce())
}

// Get takes the oldest item, waiting for one if the queue is empty. Errors: ErrShutdown,
// when none is left; the cause of ctx's end; ErrBuffers, if the oldest item has buffers,
// such as a NumPy array that Python has put: then it stays where it is, before all others,
// until somebody calls GetBuffers.
func (q *Queue) Get(ctx context.Context) ([]byte, error) { return q.get(within(ctx)) }

// TryGet is Get without waiting; it returns ErrEmpty instead.
func (q *Queue) TryGet() ([]byte, error) { return q.get(atOnce()) }

// All takes the items one after the other, one for each turn of the loop, so that a loop
// that is left loses none. A shutdown ends it silently, once the queue is empty. Any other
// error of Get, such as the cause of ctx's end, or ErrBuffers, is yielded with a nil item,
// and ends it; after a GetBuffers there can be another loop.
func (q *Queue) All(ctx context.Context) iter.Seq2[[]byte, error] {
	return until(ErrShutdown, func() ([]byte, error) { return q.Get(ctx) })
}

// GetBuffers is Get for items that may have buffers beside their data, of which it returns
// copies: those that a pickle has out of band (PEP 574), in order. Of an item without
// buffers it returns none.
func (q *Queue) GetBuffers(ctx context.Context) (data []byte, buffers [][]byte, err error) {
	l := within(ctx)
	return copyReceived(&q.s, func(buf []byte) (Received, error) { return q.ReceiveWithin(buf, l) })
}

// PutMany appends copies of items, waiting for room if the queue is full, and returns
// how many it put: all of them, or those before an error. Errors: as Put. It is several
// times faster than a Put for each.
func (q *Queue) PutMany(ctx context.Context, items [][]byte) (int, error) {
	var b Batch
	for _, item := range items {
		b = b.Append(item)
	}
	n, _, err := q.PutManyWithin(b, within(ctx))
	return int(n), err
}

// GetMany takes the oldest items, at least one, waiting for it, and at most limit.
// Errors: as Get; unix.EINVAL, if limit is not positive.
func (q *Queue) GetMany(ctx context.Context, limit int) ([][]byte, error) {
	b := make(Batch, manyBytes)
	n, size, err := q.GetManyWithin(b, uint64(max(limit, 0)), within(ctx))
	if err == ErrTooLong || err == ErrBuffers {
		item, err := q.Get(ctx) // it may lie in an extent without having buffers
		if err != nil {
			return nil, err
		}
		return [][]byte{item}, nil
	}
	if err != nil {
		return nil, err
	}
	b = b[:size]
	items := make([][]byte, n)
	for i := range items {
		if items[i], b, err = b.Next(); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// manyBytes is how much GetMany takes at once.
const manyBytes = 64 << 10

func (q *Queue) get(l *Limit) ([]byte, error) {
	var small [smallItem]byte
	n, err := q.GetWithin(small[:], l)
	if err == nil {
		return bytes.Clone(small[:n]), nil
	}
	return receiveLong(n, err, func(buf []byte) (int, error) { return q.GetWithin(buf, l) })
}

// PutWithin is Put within the limit l, for language bindings.
func (q *Queue) PutWithin(item []byte, l *Limit) error {
	return q.PutItemWithin(&Item{Parts: [3][]byte{item}}, l)
}

// PutItemWithin is PutWithin for an item in parts, with buffers.
func (q *Queue) PutItemWithin(item *Item, l *Limit) error {
	if q.s.FD < 0 {
		return ErrClosed
	}
	t := q.stream()
	err := t.Put(&q.s, q.ringer(), item, l)
	if err != nil {
		t.Settle(q.ringer())
	}
	return err
}

// GetWithin takes the oldest item into buf and returns its length, within the
// limit l, for language bindings. An item that does not fit stays, and the error
// is ErrTooLong, with its length; or ErrBuffers, if it has any.
func (q *Queue) GetWithin(buf []byte, l *Limit) (int, error) {
	if q.s.FD < 0 {
		return 0, ErrClosed
	}
	for {
		n, err := q.stream().Get(&q.s, buf, l)
		if !q.again(err) {
			return n, err
		}
	}
}

// PutManyWithin puts a batch within the limit l, for language bindings. It returns how
// many items were put, also if there is an error, and the batch without them.
func (q *Queue) PutManyWithin(b Batch, l *Limit) (put uint64, rest Batch, err error) {
	if q.s.FD < 0 {
		return 0, b, ErrClosed
	}
	t := q.stream()
	put, rest, err = t.PutMany(&q.s, q.ringer(), b, l)
	if err != nil {
		t.Settle(q.ringer())
	}
	return put, rest, err
}

// GetManyWithin takes items as a batch into buf, within the limit l, for language
// bindings: at least one, and at most limit. It returns how many, and how many bytes
// they take; with ErrTooLong, how many the first one would take. ErrBuffers: the first
// one has an extent, and is to be received by itself.
func (q *Queue) GetManyWithin(buf []byte, limit uint64, l *Limit) (n uint64, size int, err error) {
	if q.s.FD < 0 {
		return 0, 0, ErrClosed
	}
	if limit == 0 {
		return 0, 0, unix.EINVAL
	}
	for {
		n, size, err := q.stream().GetMany(&q.s, buf, limit, l)
		if !q.again(err) {
			return n, size, err
		}
	}
}

// ReceiveWithin is GetWithin for those who use large data where it lies.
func (q *Queue) ReceiveWithin(buf []byte, l *Limit) (Received, error) {
	if q.s.FD < 0 {
		return Received{}, ErrClosed
	}
	for {
		r, err := q.stream().Receive(&q.s, buf, l)
		if !q.again(err) {
			return r, err
		}
	}
}

// again is to be called after an attempt to get an item. It reports whether there
// is to be another one: a producer had rung the bell, and its item came into sight
// only now.
func (q *Queue) again(err error) bool {
	t := q.stream()
	t.Settle(q.ringer())
	return err == ErrEmpty && t.Ready()
}

// Shutdown makes every Put return ErrShutdown from now on, also those that wait,
// and every Get once the queue is empty. If immediate, that is at once: the items
// in the queue are gone, and count as done for JoinableQueue.Join.
func (q *Queue) Shutdown(immediate bool) error { return q.ShutdownWithin(immediate, atOnce()) }

// ShutdownWithin is Shutdown within the limit l, for language bindings.
func (q *Queue) ShutdownWithin(immediate bool, l *Limit) error {
	if q.s.FD < 0 {
		return ErrClosed
	}
	return q.stream().Shutdown(&q.s, q.ringer(), immediate, l)
}

// Len returns how many items are in the queue.
func (q *Queue) Len() int {
	if q.s.FD < 0 {
		return 0
	}
	q.Look()
	return int(q.stream().Len())
}

// Look sees whether processes have died that had got items, at most twice a second, and
// returns the items to the queue if it redelivers. For language bindings.
func (q *Queue) Look() {
	if q.s.FD >= 0 && q.stream().Look(&q.s) {
		q.stream().Settle(q.ringer())
	}
}

// MaxItems returns the bound on Len, 0 if there is none.
func (q *Queue) MaxItems() uint64 {
	if q.s.FD < 0 {
		return 0
	}
	return q.stream().MaxItems()
}

// Full reports whether Len has reached the bound.
func (q *Queue) Full() bool {
	if q.s.FD < 0 {
		return false
	}
	q.Look()
	return q.stream().Full()
}

func within(ctx context.Context) *Limit {
	return &Limit{How: futex.Block, Deadline: futex.Forever, Context: ctx}
}

func atOnce() *Limit {
	return &Limit{How: futex.NoWait}
}
