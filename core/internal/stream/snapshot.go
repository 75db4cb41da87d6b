package stream

import (
	"cmp"
	"slices"
	"sync/atomic"
	"unsafe"

	"github.com/goprocessing/goprocessing/core/internal/process"
	"github.com/goprocessing/goprocessing/core/internal/shm"
)

// Snapshot is what can be known of a stream by looking: no lock is taken and nothing
// written, so it may be of a segment that is mapped read-only. Each field was true at
// some instant during the call; Len, Puts and Gets at the same one.
type Snapshot struct {
	Puts, Gets uint64 // items, since the stream was made
	Len        uint64 // Puts - Gets, and those returned to the stream; 0 if all were dropped
	MaxItems   uint64 // 0: unbounded
	Bytes      uint64 // of those that were not got yet, headers and padding included
	MaxBytes   uint64 // 0: unbounded
	Done       uint64 // items marked done, since the stream was made
	Unfinished uint64
	Keeps      bool // it has a ledger: items are to be marked done

	Shut    bool // nothing can be put any more
	Gone    bool // nor got
	Watched bool // see Bell
	Full    bool

	// Threads may sleep until there is an item, until there is room, until all are done,
	// or until Producer or Consumer is out. That they slept once, and were killed, may be
	// all there is to it.
	AwaitItem, AwaitRoom, AwaitDone, AwaitLock bool

	Producer, Consumer process.ID // whoever is inside, if anybody

	// Socket is the inode of that on which receivers from a pipe sleep, 0 if unknown.
	Socket uint64
}

// Snapshot looks at the stream.
func (t *Stream) Snapshot() Snapshot {
	s := Snapshot{
		MaxItems: t.maxItems, MaxBytes: t.maxBytes, Keeps: t.mode&keeps != 0,
		AwaitItem: t.nonEmpty.Awaited(), AwaitRoom: t.nonFull.Awaited(), AwaitDone: t.idle.Awaited(),
		AwaitLock: t.putLock.Awaited() || t.getLock.Awaited(),
		Producer:  t.putLock.Owner(), Consumer: t.getLock.Owner(),
		Socket: t.Doorbell.Socket.Load(),
	}
	for {
		s.Gets = t.gets.Load()
		returned := t.ledger.returned.Load()
		s.Puts = t.puts.Load()
		flags := t.putFlags.Load()
		s.Len = s.Puts - s.Gets + uint64(uint32(returned))
		s.Shut, s.Gone, s.Watched = flags&shut != 0, flags&gone != 0, flags&watched != 0
		if t.ledger.returned.Load() == returned && t.gets.Load() == s.Gets {
			break
		}
	}
	if s.Gone {
		s.Len = 0
	} else if s.Len > 0 {
		s.Bytes = t.pending()
	}
	s.Done, s.Unfinished = t.done.Load(), t.Unfinished()
	s.Full = s.MaxItems > 0 && s.Len >= s.MaxItems || s.MaxBytes > 0 && s.Len > 0 && s.Bytes >= s.MaxBytes
	return s
}

// Taker is a process with items that it got and has not marked done.
type Taker struct {
	Process process.ID
	Items   uint64
}

// maxCells is how much of a ledger Takers looks at.
const maxCells = 1 << 16

// Takers finds, as Snapshot does, who has items of a stream that keeps a ledger. Entries
// that others change meanwhile are of one taker or another.
func (t *Stream) Takers(s *shm.Segment) (list []Taker) {
	if t.mode&keeps == 0 {
		return nil
	}
	k := t.books(s)
	items := map[uint64]uint64{}
	for c := uint32(firstCell); c < min(k.fresh.Load(), firstCell+maxCells); c++ {
		p, err := k.cell(c)
		if err != nil {
			break // given back meanwhile, or corrupt
		}
		switch owner := p.owner.Load(); owner {
		case 0, ofTaker, orphaned, finished:
		default:
			// Killed before it was got, its taker did not get it.
			if atomic.LoadUint64(&p.entry().n) < t.gets.Load() {
				items[owner]++
			}
		}
	}
	for owner, n := range items {
		list = append(list, Taker{process.ID{PID: uint32(owner), Start: uint32(owner >> 32)}, n})
	}
	slices.SortFunc(list, func(a, b Taker) int { return cmp.Compare(a.Process.PID, b.Process.PID) })
	return list
}

// Count returns how many streams a segment of the given kind has.
func Count(kind uint32) uint32 {
	switch kind {
	case shm.KindQueue:
		return 1
	case shm.KindPipe:
		return maxStreams
	}
	return 0
}

// Words are the offsets in a segment of the words of a stream on which threads sleep.
type Words struct{ Item, Room, Done, PutLock, GetLock uint64 }

// WordsOf returns those of stream i.
func WordsOf(i uint32) Words {
	word := func(offset uintptr) uint64 { return shm.HeaderSize + uint64(i)*Size + uint64(offset) }
	return Words{
		Item:    word(unsafe.Offsetof(Stream{}.nonEmpty)),
		Room:    word(unsafe.Offsetof(Stream{}.nonFull)),
		Done:    word(unsafe.Offsetof(Stream{}.idle)),
		PutLock: word(unsafe.Offsetof(Stream{}.putLock)),
		GetLock: word(unsafe.Offsetof(Stream{}.getLock)),
	}
}
