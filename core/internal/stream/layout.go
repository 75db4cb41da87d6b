// Package stream carries items, each a sequence of bytes, through a segment in
// the order in which they were put: the engine below queues and pipes.
//
// A stream is a sequence of bytes laid over a chain of chunks of 64 KiB. Each
// item is a record: 8 bytes of header, its bytes, padding to the next multiple
// of 8; large items lie in extents, to which the record refers. Records run on
// from one chunk into the next, so an item may be of any size. Producers append at
// the tail, consumers read at the head, and chunks that the head has left are used
// again:
//
//	first        head                 tail
//	  v           v                    v
//	[ . ] -----> [ ..XX ] -> [ XXXX ] -> [ XX.. ]        warm -> [ ] -> [ ]
//	 drained      unread                                 cold -> [ ] -> [ ]
//
// Drained chunks are collected into two stacks, a short one of chunks that keep
// their memory (touched pages are seven times faster than fresh ones), and one
// of chunks whose memory was given back to the system. When both are empty the
// file grows.
//
// # What if a process is killed at any instruction
//
// Producers exclude each other with putLock, consumers with getLock
// (futex.Mutex, which survives its owner). Under its lock each side changes its
// own state only, and in this way: it builds the successor of its state in the
// slot that is not current, and makes it current by advancing one word, putSeq
// or gets. A process killed before that store has changed nothing: chunks it
// took are still where they were, and what it wrote is beyond the tail, where
// nobody looks. So nothing is ever to be repaired, but that puts, from which
// consumers learn of new items, follows putSeq (see publish); and a stream that keeps
// a ledger of the items that were got has that put in order (see ledger).
package stream

import (
	"sync/atomic"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/futex"
	"github.com/goprocessing/goprocessing/core/internal/process"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// Stream is the shared part of a stream: struct gop_stream of the C interface.
type Stream struct {
	// Written once, before the segment is shared.
	maxItems uint64 // 0: unbounded
	maxBytes uint64 // 0: unbounded
	stride   uint32 // the stream's own chunks are base, base+stride, ...
	base     uint32
	mode     uint32 // keeps, redelivers, unused
	host     process.ID
	_        [28]byte

	// Producers' lines; written under putLock.
	putLock  futex.Mutex
	puts     atomic.Uint64 // items visible to consumers; == put[seq&1].puts but for an instant
	putSeq   atomic.Uint64 // the current state is put[putSeq&1]
	putFlags atomic.Uint32 // shut, gone, watched
	_        [4]byte
	// What consumers had taken when a producer last looked, so that not each put
	// has to fetch their line.
	taken      uint64
	takenBytes uint64
	_          [16]byte
	put        [2]putState

	// Consumers' lines; written under getLock, but for the flags.
	getLock  futex.Mutex
	gets     atomic.Uint64 // items taken; the current state is get[gets&1]
	seen     atomic.Uint64 // puts when a consumer last looked, likewise
	getFlags atomic.Uint32 // what consumers need of putFlags on a line of their own
	_        [36]byte
	get      [2]getState

	// Task accounting: any process, compare-and-swap, or, if there is a ledger, under
	// getLock; never above puts.
	done    atomic.Uint64
	idle    futex.Word    // done == puts - dropped
	dropped atomic.Uint64 // items that were in the stream when gone was set
	_       [40]byte

	nonEmpty futex.Word // puts > gets, or shut
	_        [60]byte
	nonFull  futex.Word // room for one more, or shut
	_        [60]byte

	Doorbell Doorbell
	_        [24]byte

	ledger ledger // under getLock; see Keep
}

// Flags of a stream; none is ever cleared. What putFlags says is in force. It is
// stored under putLock, so a producer that has the lock knows what holds for its
// item.
//
// getFlags is a copy of gone and watched. gone is stored under getLock too, first
// in putFlags; whoever takes over getLock from a process killed in between copies
// it. watched is stored first in getFlags: set there alone, it does nothing.
const (
	shut    = 1 << iota // nothing can be put any more; see Shutdown
	gone                // nothing can be got any more, whatever puts - gets is
	watched             // the bell is to agree with the stream; see Bell
)

// Doorbell is what the users of a bell know of it: the two ends of a pipe of the
// socket between them (see core.Conn), those of a queue of its Bell.
type Doorbell struct {
	Lock futex.Mutex
	Rung atomic.Uint32

	// Pipes only.
	Closed atomic.Uint32 // handles of the receiving end that were closed
	// Socket is the inode of the receiving end's socket, for those who inspect it: on
	// that its receivers sleep. Whoever makes a handle writes it, all the same number.
	Socket atomic.Uint64
}

// putState is what producers know.
type putState struct {
	puts  uint64   // items put
	bytes uint64   // bytes put, headers and padding included
	tail  position // where the next record goes
	ready uint32   // bytes of the tail chunk that have memory
	first uint32   // the oldest chunk of the chain
	fresh uint32   // the first chunk that was never used
	warm  uint32   // top of the stack of chunks with memory
	warms uint32   // their number
	cold  uint32   // top of the stack of chunks without
	_     [16]byte
}

// getState is what consumers know.
type getState struct {
	bytes atomic.Uint64 // bytes got, as putState.bytes
	head  atomic.Uint64 // position of the next record
	_     [16]byte
}

// position is a place in the chain: chunk<<32 | offset, 0 <= offset <= chunkSize.
type position uint64

func at(chunk, offset uint32) position { return position(chunk)<<32 | position(offset) }
func (p position) chunk() uint32       { return uint32(p >> 32) }
func (p position) offset() uint32      { return uint32(p) }

// aligned is where the record after one whose bytes end at p begins.
func (p position) aligned() position { return at(p.chunk(), (p.offset()+7)&^7) }

// Size is the size of a Stream in bytes.
const Size = 768

// Compile-time checks of the layout that struct gop_stream relies on.
var (
	_ [Size]byte = [unsafe.Sizeof(Stream{})]byte{}
	_ [24]byte   = [unsafe.Offsetof(Stream{}.mode)]byte{}
	_ [64]byte   = [unsafe.Offsetof(Stream{}.putLock)]byte{}
	_ [256]byte  = [unsafe.Offsetof(Stream{}.getLock)]byte{}
	_ [384]byte  = [unsafe.Offsetof(Stream{}.done)]byte{}
	_ [588]byte  = [unsafe.Offsetof(Stream{}.Doorbell) + unsafe.Offsetof(Doorbell{}.Closed)]byte{}
	_ [640]byte  = [unsafe.Offsetof(Stream{}.ledger) + unsafe.Offsetof(ledger{}.returned)]byte{}
	_ [linkOffset - shm.HeaderSize - maxStreams*Size]byte
)

// Streams of a segment lie one behind the other after its header.
const maxStreams = 2

// Of returns stream i of a segment.
func Of(s *shm.Segment, i uint32) *Stream {
	return (*Stream)(unsafe.Add(s.Base(), shm.HeaderSize+uintptr(i)*Size))
}

// Init lays out stream i of n in a new segment.
func Init(s *shm.Segment, i, n uint32, maxItems, maxBytes uint64) {
	t := Of(s, i)
	t.maxItems, t.maxBytes = maxItems, maxBytes
	t.stride = n
	// Chunk 0 holds the headers.
	t.base = i
	if i == 0 {
		t.base = n
	}
	t.put[0] = putState{
		tail:  at(t.base, 0),
		first: t.base,
		fresh: t.base + t.stride,
	}
	t.get[0].head.Store(uint64(at(t.base, 0)))
}

// SetHost says of a new stream which process waits for somebody else to open it.
func (t *Stream) SetHost(id process.ID) { t.host = id }

// Host returns what SetHost said.
func (t *Stream) Host() process.ID { return t.host }

// Disuse marks a new stream of a pipe that only goes the other way.
func (t *Stream) Disuse() { t.mode |= unused }

// Unused reports whether Disuse was called.
func (t *Stream) Unused() bool { return t.mode&unused != 0 }
