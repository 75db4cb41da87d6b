// Package core is the engine of goprocessing: queues, pipes, locks, semaphores,
// events, conditions and barriers that processes share, whether they are written
// in Go, in Python or in C.
//
// # Memory
//
// Everything lives in segments: memfds (memfd_create(2)) that each process maps.
// They have no name in the file system, and the kernel frees a segment with its
// last user, so that nothing is left behind however the processes end. (Those that
// were given a name are files instead: see Names.) A segment begins with a header
// (magic, layout version, kind) that opening checks; it is sealed against shrinking,
// so that no holder can take memory away from under another; and offsets found in it
// are checked before they are followed.
//
//	queue   header, one stream, chunks, extents
//	pipe    header, two streams (one for each direction), chunks, extents
//	arena   header; 64-byte slots: semaphores, locks, events; 1 KiB slots with
//	        entries for those who wait: conditions, barriers; blocks of more entries
//
// A stream (core/internal/stream) carries items in order, of any size, through a
// chain of chunks that grows with what is in it and gives memory back when it is
// drained. A producer that is faster than the consumers waits a moment before the
// chain grows further, because fresh memory takes longer than the consumers do.
//
// Large items, and buffers that language bindings put beside an item, are copied once,
// into extents of the segment. A receiver that can use memory where it lies owns them
// until it releases them; then they are used again, since pages that were touched
// before are several times faster. Of those of a process that was killed the next ones
// to need some become aware.
//
// A queue comes with an eventfd(2) besides, so that it can be watched with poll(2)
// and its kin. Queues that nobody watches do not use it.
//
// # Ownership
//
// A handle, such as a Queue, is the mapping and the descriptor; closing it does
// nothing to the object as long as another process has a handle. What Put
// returned from is in the queue: there is no buffer on the way that a dying
// process could take along.
//
// # Names
//
// Processes get an object from each other by its descriptors: a child by Pass and
// Inherited, others as they like, by Files. Those that have nothing else in common find
// it by a name (Create, Open), in /dev/shm:
//
//	goprocessing.UID.NAME         the segment of a queue, or of an arena with one object
//	goprocessing-bell.UID.INODE   a FIFO, which is the bell of the queue whose segment
//	                              that is, instead of an eventfd; or a socket, of a pipe
//
// The segment is a file that is made without a name (O_TMPFILE, open(2)) and linked when it
// is complete. So nobody finds one half made, one of many makers at once succeeds, and of
// one that is killed there is all or nothing. It cannot be sealed; in its place, only
// files count that belong to the user and are accessible to nobody else.
//
// Such an object outlives its users. The kernel knows whether it has any, for each has a
// lock on the file (core/internal/shm/unlink.go): Stale lists the names of those without,
// and UnlinkStale takes no name away from anybody. The bell is made by the first to open
// the queue, and taken away after the name; one that a killed process has left goes with
// the next name that is taken away.
//
// The name of a pipe is where two processes meet (OpenPipe, rendezvous.go): the first
// waits there for the second, and then it is gone.
//
// # Values
//
// An item is a sequence of bytes, and says nothing about what it means. Typed and
// TypedConn make items of values with a Codec: core/codec/json, core/codec/msgpack and
// core/codec/pickle, the last for what Python's put writes and its get reads unless it is
// told otherwise. They are packages of their own, so that this one depends on nothing but
// golang.org/x/sys. Their tables tell what a value is in Go and in Python. What Python
// puts may have buffers beside it, those of arrays: Queue.GetBuffers and Conn.RecvBuffers
// take such items, and nothing else does.
//
// # Waiting
//
// What can be done at once is. Otherwise a caller spins for some microseconds,
// which is a hundred times cheaper than to be woken by the kernel if the other
// side is at work on another CPU, yields the CPU in between in case it is to run
// on this one, and gives up the sooner the less it has paid off. Then it sleeps in a
// futex (futex(2)), or, to receive from a pipe, in poll(2). Sleepers wake about once a
// second to make sure that nobody who was to wake them has died; they use no CPU
// otherwise.
//
// The race detector of go test does not see shared memory: it reports what a lock of this
// package guards in the memory of one process as not guarded. Goroutines have package sync.
//
// # Processes that are killed
//
// A process may be killed at any instruction. The locks of the engine know their
// owner, and whoever waits for one that is dead takes it over. Each change is
// prepared aside and comes into force with the store of one word, so there is
// nothing to repair: an item is in the queue whole, or not at all. What a killed
// process had taken out of a queue is gone with it.
//
// Not so with a JoinableQueue. It keeps what was got in a ledger, with the process that
// got it, until it is marked done. What the dead had returns to the front, with
// Redeliver, or can be asked for. An item may then be worked on twice, once in part; what
// is marked is not. Since the ledger keeps each item as it was put, receivers get large
// ones as copies. An item that cannot be entered for want of memory is not got. Without
// Redeliver each process's oldest are forgotten, so that it never keeps more than some
// 64 MiB: those who never call TaskDone do not grow.
//
// A lock, or a permit of a semaphore, that a killed process held stays so, unless it is
// robust: then the next to take it gets it, and is told (ErrOwnerDied).
//
// Tests kill processes at each point in between that a call of fault.Here names
// (core/internal/fault, make crash), and at random instants.
//
// Processes are told apart by pid and start time, so all users of a segment have
// to be in one pid namespace (pid_namespaces(7)) and one time namespace
// (time_namespaces(7)). A process that calls execve(2) has died, as far as the others
// are concerned.
//
// # What is trusted
//
// Whoever has a segment can write to it. Rubbish in it does not make others crash, go
// on for ever, take vast memory or touch anything beside the segment: a call fails with
// ErrCorrupt, or finds items that nobody put. But a lock that is said to belong to a
// process that lives is one: who waits for it without a limit waits. And what is in the
// items is for their readers to judge: Python's unpickle them, which can run any code.
//
// # Forks
//
// A Go program does not fork. A C or Python program does, and may go on using the
// handles it inherited, through a copy of the library that is loaded in the child:
// no state of an object is in the Go heap (see pybind/loader.c).
//
// # Inspection
//
// Package core/inspect shows what is in all objects of a user, with and without names,
// who uses them, who holds them and who waits for them. It maps segments read-only and
// takes no lock. What it reads of a shared word it learns from the package that lays it
// out (Snapshot). Who waits the kernel tells: on which word, or socket, a thread sleeps.
//
// It repairs, too, if asked to: what otherwise the next user of an object does, and the
// lock of a holder that was killed.
package core
