/*
 * goprocessing: queues, pipes, locks and events shared between processes.
 *
 * C interface to libgoprocessing.so. Functions marked [engine] run in Go;
 * `static inline` functions never enter Go: they work in every process at
 * once, also in a forked child that has not loaded an engine of its own.
 *
 * C++ can use it from C++11 on, C with GNU extensions (-std=c11 needs _GNU_SOURCE).
 *
 * Every handle is plain memory of the caller's: the library keeps no table
 * and no pointer to it after a call returns. It may be moved between calls, but
 * not be copied: both copies would close the descriptors.
 *
 * Processes. Another process gets an object by its descriptors, which are
 * close-on-exec: it inherits them, or receives them over a socket (SCM_RIGHTS,
 * unix(7)), and opens them; for a slot of an arena it needs the offset besides.
 * Those that share an object have to be in one pid namespace, and one time namespace.
 *
 * Errors are returned as negative errno values; 0 is success unless another
 * result is named. errno itself may be changed by any call. Besides the errors named
 * with a function there are -EBADF, when the program has closed the object's descriptor
 * itself, -EUCLEAN, when an object's memory holds what no engine writes, and those of
 * the system calls for memory and descriptors. Addresses and closed handles are not
 * checked; and when the Go runtime gets no memory or no thread for itself, it
 * writes so to stderr and ends the process.
 *
 * Blocking: `how` says how far a call may go, `deadline` until when, in
 * nanoseconds of CLOCK_MONOTONIC (GOP_FOREVER: no limit).
 *   GOP_TRY    does not wait: -EAGAIN; or -EBUSY when another thread or process is
 *              inside the object, which the others wait for
 *   GOP_NOWAIT waits for nothing but that, whatever the deadline: -EAGAIN
 *   GOP_SPIN   besides spins for some microseconds: -EAGAIN
 *   GOP_SLEEP  sleeps, without spinning before
 * A call that slept may return -ETIMEDOUT at the deadline, or -EINTR when a signal
 * handler ran in the calling thread, and about once a second, because one may have
 * run just before the sleep. Whenever a call fails, nothing was changed, except
 * that -EOWNERDEAD says that a robust lock was acquired.
 *
 * Threads. Any thread may call any function, several at once with one handle as well,
 * but none may open or close a handle that another one uses. [engine] functions are no
 * cancellation points, and must not be left by asynchronous cancellation
 * (pthread_setcanceltype(3)) or longjmp(3) in a signal handler. The engine's own threads
 * never end: a process ends by exit(3), not with the last of its threads.
 *
 * Signals. A library that is loaded, in a program that is linked to it before main(),
 * handles SIGSEGV, SIGBUS, SIGFPE, SIGPIPE and SIGURG; those that are not the engine's
 * go to the handlers of before, or have their default effect. SIGPIPE may be
 * given any other action: the engine raises none. Handlers that the program installs
 * need SA_ONSTACK (sigaction(2)), because a thread in the engine may have little stack;
 * they may call static inline functions, and none marked [engine].
 * The engine's threads have the signal mask of the thread that loaded the library. So a
 * program that blocks a signal in all its threads, for sigwait(3) or signalfd(2), has
 * to load the library by dlopen(3), with that signal blocked: it would otherwise reach a
 * thread of the engine. SIGCHLD, SIGPROF, SIGURG and SIGRTMIN are never blocked there.
 *
 * Fork. The child of fork(2) has no engine: none of the threads of its parent's are
 * there. What it inherited are handles of its own, for its static inline functions, but
 * extents remain its parent's. It may execute another program, or exit; it must call
 * nothing that is marked [engine]. If the thread that forked is to end before
 * the process does, it has to call gop_engine_abandon first. A child that lives on should
 * give the five signals the actions of before; and if it needs an engine, it loads a
 * copy of the library, from another inode because dlopen(3) would return the dead
 * one, and calls that by the addresses that dlsym(3) returns (GOP_FUNCTIONS), with the
 * handles it inherited. tests/clib/forks.c does so in the simplest way, pybind/loader.c
 * in all circumstances. What vfork(2) and posix_spawn(3) are meant for is not affected.
 */
#ifndef GOPROCESSING_H
#define GOPROCESSING_H

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of this header; the library's is gop_abi(). Part of the library's soname. */
#define GOP_ABI 4

enum { GOP_TRY = 0, GOP_NOWAIT = 1, GOP_SPIN = 2, GOP_SLEEP = 3 };
#define GOP_FOREVER INT64_MAX

enum { GOP_KIND_QUEUE = 1, GOP_KIND_PIPE = 2, GOP_KIND_ARENA = 3 };

/* Memory that the engine only reads. */
typedef const void *gop_bytes;

/*
 * Names. Processes of one user can find an object by a name, any file name but those
 * longer than some 230 bytes; queues, pipes and arenas share them. Such an object is a
 * file in /dev/shm that only this user can open. It outlives its users, until
 * gop_unlink.
 *
 * [engine] gop_*_open_named make a handle of the object with that name. GOP_CREATE
 * makes the object; -EEXIST: there is one. GOP_OPEN opens it; -ENOENT: there is none.
 * GOP_OPEN_OR_CREATE does one or the other, and of any number who do so at once one
 * makes the object; what one that exists is to be like is ignored. Nobody finds an
 * object before it is complete. Other errors: -EINVAL, -ENAMETOOLONG: that is no name;
 * -EINVAL, -ELOOP: something else has the name; -EPROTO: an object of another layout
 * version; -EACCES: one that belongs, or is accessible, to others; -EINTR. The handle is
 * as any other, and goes to other processes by its descriptors, too.
 */
typedef const char *gop_name;

enum { GOP_OPEN = 0, GOP_CREATE = 1, GOP_OPEN_OR_CREATE = 2 };

/* [engine] Takes a name away, whatever has it. The object lives on as long as anybody
 * uses it. -ENOENT: there is none. */
int gop_unlink(gop_name name);

/* [engine] Takes the name of an object away whose segment has that descriptor. 0 also if
 * it has none any more; another object that has the name meanwhile keeps it. */
int gop_unlink_file(int fd);

/* [engine] Stores the names of this user's objects, each with a NUL behind it, and in
 * *len how many bytes that is. -EMSGSIZE: that is more than cap; nothing was stored. */
int gop_names(void *buf, uint64_t cap, uint64_t *len);

/*
 * A segment mapped into this process. Window 0 maps the first MiB of the file,
 * window k > 0 the bytes from 1 MiB << (k-1) to 1 MiB << k; a window is mapped
 * when it is first needed and stays where it is until gop_segment_close.
 */
#define GOP_WINDOWS 28
#define GOP_WINDOW0 ((uint64_t)1 << 20)

typedef struct gop_segment {
    int32_t fd;      /* the memfd, close-on-exec; -1 when closed */
    uint32_t kind;   /* GOP_KIND_* */
    uint64_t device; /* with inode: which file fd was when the segment was opened */
    uint64_t inode;
    uint64_t size;    /* size of the file when last looked at, bytes */
    uint32_t spin[6]; /* what this process has learned about waiting */
    void *window[GOP_WINDOWS];
} gop_segment;

/* Whether fd still is the segment's: a daemon closes all descriptors that it
 * inherited, and their numbers are used again. */
static inline int
gop_segment_owns_fd(const gop_segment *s)
{
    struct stat st;
    return s->fd >= 0 && fstat(s->fd, &st) == 0 && (uint64_t)st.st_dev == s->device &&
           (uint64_t)st.st_ino == s->inode;
}

/* Unmaps the segment and closes its descriptor, if it still is. Idempotent. */
static inline void
gop_segment_close(gop_segment *s)
{
    for (int k = 0; k < GOP_WINDOWS; k++) {
        if (s->window[k]) {
            munmap(s->window[k], k ? GOP_WINDOW0 << (k - 1) : GOP_WINDOW0);
            s->window[k] = 0;
        }
    }
    if (gop_segment_owns_fd(s)) close(s->fd);
    s->fd = -1;
}

/* [engine] Maps an existing segment and checks its header. On success the
 * segment owns fd. -EINVAL: not a segment of that kind; -EPROTO: made by
 * another layout version. */
int gop_segment_open(gop_segment *s, int fd, uint32_t kind);

/* One direction of traffic, in a segment: layout of core/internal/stream. */
typedef struct gop_stream {
    uint64_t max_items; /* 0: unbounded */
    uint64_t max_bytes; /* 0: unbounded */
    uint64_t chunks;
    uint32_t mode; /* GOP_STREAM_REDELIVERS */
    uint8_t config[36];
    uint64_t put_lock; /* producers' line */
    uint64_t puts;     /* items ever put, as consumers see it */
    uint64_t put_seq;
    uint32_t put_flags; /* GOP_STREAM_* */
    uint8_t put_state[164];
    uint64_t get_lock; /* consumers' line */
    uint64_t gets;     /* items ever got: the commit word of get */
    uint8_t get_state[112];
    uint64_t done; /* items marked task_done, <= puts */
    uint8_t wait[196];
    uint32_t closed; /* of a pipe: handles of the receiving end that were closed */
    uint8_t reserved[48];
    uint64_t returned; /* in its lower half, how many items came back from dead takers */
    uint8_t ledger[120];
} gop_stream;

#define GOP_STREAM_GONE 2u    /* its items are gone: it was shut down immediately */
#define GOP_STREAM_WATCHED 4u /* see gop_queue_watch, gop_conn_watch */

#define GOP_STREAM_REDELIVERS 2u /* see gop_joinable_queue_create */

#define GOP_STREAM_OFFSET 64
#define GOP_STREAM_SIZE 768

static inline gop_stream *
gop_stream_at(const gop_segment *s, int direction)
{
    return (gop_stream *)((char *)s->window[0] + GOP_STREAM_OFFSET +
                          (uint64_t)direction * GOP_STREAM_SIZE);
}

/*
 * Items and messages. Large ones lie in extents, pieces of the segment's memory
 * that a receiver may use where they are: it owns them until it releases them.
 */
typedef struct gop_part {
    gop_bytes data;
    uint64_t len;
} gop_part;

/* An item to put: its data, in parts that are laid one behind the other, and
 * buffers that accompany it, each of which goes to an extent. */
typedef struct gop_item {
    gop_part parts[3];
    const gop_part *buffers;
    uint64_t nbuffers;
} gop_item;

/* Where data lies in a segment. */
typedef struct gop_ref {
    uint64_t offset;
    uint64_t len;
} gop_ref;

/* What the functions that receive have stored in the caller's buffer: gop_refs to
 * the extents of the item's buffers, which now are the caller's, and behind them
 * its data; or, if the data lies in an extent itself, one gop_ref. */
typedef struct gop_received {
    uint64_t len; /* bytes in the buffer */
    uint32_t refs;
    uint32_t whole; /* the data is in the extent */
} gop_received;

/* [engine] Stores the address of an extent, which is valid as long as s is open and
 * the extent not released. */
int gop_extent_map(gop_segment *s, gop_ref ref, void **data);

/* [engine] Releases an extent of this process. */
int gop_extent_release(gop_segment *s, gop_ref ref);

/* Items in the stream, exact at some instant during the call. */
static inline uint64_t
gop_stream_len(const gop_stream *t)
{
    uint64_t gets = __atomic_load_n(&t->gets, __ATOMIC_SEQ_CST);
    uint64_t returned = __atomic_load_n(&t->returned, __ATOMIC_SEQ_CST);
    for (;;) {
        uint64_t puts = __atomic_load_n(&t->puts, __ATOMIC_SEQ_CST);
        uint64_t returned_again = __atomic_load_n(&t->returned, __ATOMIC_SEQ_CST);
        uint64_t gets_again = __atomic_load_n(&t->gets, __ATOMIC_SEQ_CST);
        if (gets_again == gets && returned_again == returned) {
            int gone = __atomic_load_n(&t->put_flags, __ATOMIC_SEQ_CST) & GOP_STREAM_GONE;
            return gone ? 0 : puts - gets + (uint32_t)returned;
        }
        gets = gets_again;
        returned = returned_again;
    }
}

/* ---- queue: first in, first out; many producers, many consumers ---- */

/* `bell` is an eventfd that comes with the queue, a FIFO if that has a name: see
 * gop_queue_watch. */
typedef struct gop_queue {
    gop_segment seg;
    int32_t bell; /* -1: this handle has none */
    uint32_t reserved;
} gop_queue;

/* [engine] Makes a queue of at most maxsize items, 0 for no limit. */
int gop_queue_create(gop_queue *q, uint64_t maxsize);

/* [engine] Makes one that knows which items were got and not marked done, and by which
 * process. If redeliver, those of a process that died return to the front, also beyond
 * maxsize; else gop_queue_abandoned has them. Extents received from it are copies. */
int gop_joinable_queue_create(gop_queue *q, uint64_t maxsize, int redeliver);

/* [engine] Makes a handle of descriptors that came from another process; bell
 * may be -1. On success it owns both. Errors: as gop_segment_open. */
int gop_queue_open(gop_queue *q, int fd, int bell);

/* [engine] gop_queue_create and gop_joinable_queue_create for a queue with a name: see
 * gop_unlink. To the first a queue of either sort will do. */
int gop_queue_open_named(gop_queue *q, gop_name name, int mode, uint64_t maxsize);
int gop_joinable_queue_open_named(gop_queue *q, gop_name name, int mode, uint64_t maxsize,
                                  int redeliver);

/* Closes this process's handle. Idempotent. */
static inline void
gop_queue_close(gop_queue *q)
{
    /* Whoever closed all descriptors closed both. */
    int owned = gop_segment_owns_fd(&q->seg);
    gop_segment_close(&q->seg);
    if (owned && q->bell >= 0) close(q->bell);
    q->bell = -1;
}

/* [engine] Puts a copy of len bytes. When it returns 0 the item is in the
 * queue. -ESHUTDOWN: nothing can be put any more. -ENOMEM, -ENOSPC, -EFBIG,
 * -EBADF: no memory for it; the queue is as before. */
int gop_queue_put(gop_queue *q, gop_bytes data, uint64_t len, int how, int64_t deadline);

/* [engine] Takes the oldest item into buf and its length into *len.
 * -EMSGSIZE: the item has *len > cap bytes; it was not taken.
 * -EBADMSG: the item has buffers; it was not taken.
 * -ESHUTDOWN: there is none, and none will come. */
int gop_queue_get(gop_queue *q, void *buf, uint64_t cap, uint64_t *len, int how, int64_t deadline);

/* [engine] gop_queue_put for data in parts, with buffers. */
int gop_queue_put_item(gop_queue *q, gop_item *item, int how, int64_t deadline);

/*
 * Many small items at once, as a batch: one behind the other each item as a uint64_t,
 * its length, its bytes, and padding to a multiple of 8.
 *
 * [engine] gop_queue_put_many puts the items of a batch of len bytes, as many as
 * there is room for, waiting for room for the next, and adds to *put how many and
 * to *done how many bytes of the batch that was, also when it fails. -EINVAL: that is
 * no batch. gop_queue_get_many takes the oldest items as a batch into buf, at least
 * one and at most `most`; it stores how many and how many bytes of buf they take.
 * -EMSGSIZE: the first one takes *len bytes. -EBADMSG: the first one has an extent,
 * and is to be received by itself.
 */
int gop_queue_put_many(gop_queue *q, gop_bytes batch, uint64_t len, uint64_t *put, uint64_t *done,
                       int how, int64_t deadline);
int gop_queue_get_many(gop_queue *q, void *buf, uint64_t cap, uint64_t most, uint64_t *count,
                       uint64_t *len, int how, int64_t deadline);

/* [engine] gop_queue_get without copying extents. -EMSGSIZE: the buffer has to
 * have room for r->len bytes; the item was not taken. */
int gop_queue_receive(gop_queue *q, void *buf, uint64_t cap, gop_received *r, int how,
                      int64_t deadline);

/* [engine] 0 when gop_queue_get would not wait. */
int gop_queue_poll(gop_queue *q, int how, int64_t deadline);

/* [engine] Has `bell` be readable, for poll(2), from now on exactly as long as
 * gop_queue_get would not wait; it must not be read. gop_queue_len may count an
 * item a moment later than that. -ENOTSUP: there is no bell. */
int gop_queue_watch(gop_queue *q, int how);

/* [engine] Makes every put fail with -ESHUTDOWN, and every get once the queue is
 * empty; if immediate, at once: its items are gone, and count as done. */
int gop_queue_shutdown(gop_queue *q, int immediate, int how);

/* [engine] Marks one item done: the first one that this process has got, or, if it has
 * none left, any process. -ERANGE: called more often than items were put. */
int gop_queue_task_done(gop_queue *q, int how);

/* [engine] Takes an item that a process had got and not marked done when it died, as
 * gop_queue_receive, for this process to mark. -EAGAIN: there is none, or the queue
 * redelivers them. */
int gop_queue_abandoned(gop_queue *q, void *buf, uint64_t cap, gop_received *r, int how);

/* [engine] Sees whether processes have died, at most twice a second, and returns their
 * items to a queue that redelivers them. Whoever gets or waits does it too. */
int gop_queue_look(gop_queue *q);

/* [engine] Waits until every item put was marked done. */
int gop_queue_join(gop_queue *q, int how, int64_t deadline);

static inline uint64_t
gop_queue_len(const gop_queue *q)
{
    return gop_stream_len(gop_stream_at(&q->seg, 0));
}
static inline int
gop_queue_is_watched(const gop_queue *q)
{
    const gop_stream *t = gop_stream_at(&q->seg, 0);
    return (__atomic_load_n(&t->put_flags, __ATOMIC_SEQ_CST) & GOP_STREAM_WATCHED) != 0;
}
static inline int
gop_queue_redelivers(const gop_queue *q)
{
    return (gop_stream_at(&q->seg, 0)->mode & GOP_STREAM_REDELIVERS) != 0;
}
static inline uint64_t
gop_queue_maxsize(const gop_queue *q)
{
    return gop_stream_at(&q->seg, 0)->max_items;
}

/* ---- pipe: two connections; messages keep their boundaries ---- */

enum { GOP_READABLE = 1, GOP_WRITABLE = 2 };

/* One end of a pipe. `sock` is one end of a socketpair: see gop_conn_watch. */
typedef struct gop_conn {
    gop_segment seg;
    int32_t sock;
    uint32_t side;  /* 0 or 1: it sends direction `side`, receives 1 - side */
    uint32_t modes; /* GOP_READABLE | GOP_WRITABLE */
    uint32_t reserved;
    uint64_t heard; /* when there was an other end */
} gop_conn;

static inline gop_stream *
gop_conn_in(const gop_conn *c)
{
    return gop_stream_at(&c->seg, 1 - (int)c->side);
}

/* [engine] Makes a pipe. Not duplex: a only receives, b only sends. */
int gop_pipe_create(gop_conn *a, gop_conn *b, int duplex);

/* [engine] Waits until another thread or process calls this with the same name, and makes
 * *c one end of a pipe, theirs the other; then the name is free again. modes
 * (GOP_READABLE | GOP_WRITABLE) says what this end is for; -EINVAL: the other end is not
 * for the opposite. This always sleeps: -EAGAIN unless `how` is GOP_SLEEP. Other errors:
 * as gop_queue_open_named; -ENOENT: the name was unlinked meanwhile. */
int gop_pipe_open_named(gop_conn *c, gop_name name, uint32_t modes, int how, int64_t deadline);

/* [engine] Makes a connection of descriptors that came from another process.
 * On success it owns both. */
int gop_conn_open(gop_conn *c, int fd, int sock, uint32_t side, uint32_t modes);

/* Closes the socket: nothing is sent or received any more, and the last one to do so
 * tells the other end. */
static inline void
gop_conn_hang_up(gop_conn *c)
{
    /* Whoever closed all descriptors closed both. */
    if (gop_segment_owns_fd(&c->seg) && c->sock >= 0) close(c->sock);
    c->sock = -1;
    if (c->seg.window[0]) __atomic_fetch_add(&gop_conn_in(c)->closed, 1, __ATOMIC_SEQ_CST);
}

/* Closes this process's handle. Idempotent. */
static inline void
gop_conn_close(gop_conn *c)
{
    gop_conn_hang_up(c);
    gop_segment_close(&c->seg);
}

/* [engine] Sends one message. -EPIPE: the last holder of the other end is gone. */
int gop_conn_send(gop_conn *c, gop_bytes data, uint64_t len, int how, int64_t deadline);

/* [engine] Receives one message, as gop_queue_get. -EPIPE: end of file, that
 * is, nothing left and the last holder of the other end is gone. */
int gop_conn_recv(gop_conn *c, void *buf, uint64_t cap, uint64_t *len, int how, int64_t deadline);

/* [engine] As gop_queue_put_item and gop_queue_receive. */
int gop_conn_send_item(gop_conn *c, gop_item *item, int how, int64_t deadline);
int gop_conn_receive(gop_conn *c, void *buf, uint64_t cap, gop_received *r, int how,
                     int64_t deadline);

/* [engine] 0 when a message, a handle or the end of file can be received. */
int gop_conn_poll(gop_conn *c, int how, int64_t deadline);

/* [engine] Has `sock` be readable, for poll(2), from now on exactly as long as
 * gop_conn_poll would return 0; it must not be read. */
int gop_conn_watch(gop_conn *c, int how);

static inline int
gop_conn_is_watched(const gop_conn *c)
{
    return (__atomic_load_n(&gop_conn_in(c)->put_flags, __ATOMIC_SEQ_CST) & GOP_STREAM_WATCHED) !=
           0;
}

/* Messages that can be received, exact at some instant during the call. */
static inline uint64_t
gop_conn_len(const gop_conn *c)
{
    return gop_stream_len(gop_conn_in(c));
}

/* How many messages of this direction were received, by whichever handles. */
static inline uint64_t
gop_conn_received(const gop_conn *c)
{
    return __atomic_load_n(&gop_conn_in(c)->gets, __ATOMIC_SEQ_CST);
}

/* [engine] Receives a descriptor that the other end sent with one byte other than
 * 0xff (SCM_RIGHTS, unix(7)). -EPIPE: end of file. -EBADMSG: the byte came without
 * a descriptor, or this process can have no more. */
int gop_conn_recv_handle(gop_conn *c, int32_t *handle, int how, int64_t deadline);

/* [engine] To be called after sending such a byte. -EPIPE as gop_conn_send. */
int gop_conn_sent_handle(gop_conn *c);

/* Wakes n threads, of whatever process, that sleep on word (futex(2)). */
static inline void
gop_futex_wake(uint32_t *word, int n)
{
    syscall(SYS_futex, word, FUTEX_WAKE, n, (void *)0, (void *)0, 0);
}

/* ---- small objects: slots of an arena ---- */

/* The memory of the slot never moves and is released with the arena. */
enum {
    GOP_SLOT_FREE = 0,
    GOP_SLOT_SEMAPHORE = 1,
    GOP_SLOT_EVENT = 2,
    GOP_SLOT_RLOCK = 3,
    GOP_SLOT_CONDITION = 4, /* 1 KiB */
    GOP_SLOT_BARRIER = 5,   /* 1 KiB */
    GOP_SLOT_ROBUST_LOCK = 6,
    GOP_SLOT_ROBUST_RLOCK = 7,
    GOP_SLOT_ROBUST_SEMAPHORE = 8 /* 1 KiB */
};

/* Whether a slot of that kind takes 1 KiB, not 64 bytes. */
static inline int
gop_slot_is_large(uint32_t kind)
{
    return kind == GOP_SLOT_CONDITION || kind == GOP_SLOT_BARRIER ||
           kind == GOP_SLOT_ROBUST_SEMAPHORE;
}

/* [engine] Makes an arena. Only the process that made it allocates in it. */
int gop_arena_create(gop_segment *s);

/* [engine] Makes an arena with a name, see gop_unlink, and one slot, as gop_arena_alloc
 * does, and stores its offset; or opens one with a slot of that kind. Nothing else may
 * be allocated in it. A lock is a semaphore of max 1; the caller looks whether one that
 * it opened is. */
int gop_arena_open_named(gop_segment *s, gop_name name, int mode, uint32_t kind, uint32_t value,
                         uint32_t max, uint64_t *offset);

/* [engine] Allocates a slot (semaphore: value and max <= GOP_SEM_MAX; barrier: max
 * parties; robust semaphore: max permits; else both ignored) and stores its offset in
 * the segment. -ENOSPC: the arena has no more slots of that size. */
int gop_arena_alloc(gop_segment *s, uint32_t kind, uint32_t value, uint32_t max, uint64_t *offset);

/* [engine] Frees a slot that no other process has ever had access to. */
int gop_arena_free(gop_segment *s, uint64_t offset);

/* [engine] Checks that offset is an allocated slot of that kind: 0, -EINVAL, or
 * -EUCLEAN when no slot can be there. */
int gop_arena_check(gop_segment *s, uint64_t offset, uint32_t kind);

/*
 * Semaphore. word: bits 0..30 value, bit 31 "someone may sleep". Whoever
 * acquires changes value to value-1, whoever releases to value+1; a waiter sets
 * bit 31 (only while value is 0) before it sleeps, the releaser that clears it
 * wakes one waiter. A waiter that slept sets bit 31 again when it acquires, for
 * those that may still sleep.
 */
#define GOP_SEM_MAX 0x7fffffffu
#define GOP_SEM_WAITERS 0x80000000u

typedef struct gop_semaphore {
    uint32_t word;
    uint32_t kind; /* GOP_SLOT_SEMAPHORE */
    uint32_t max;
    uint32_t spin;
    uint64_t owner; /* who acquired last; 0 from before the release on, or unknown */
    uint32_t depth; /* of an RLock: how often its owner has acquired it */
    uint32_t unused;
    uint64_t holder; /* of a robust lock */
    uint8_t reserved[24];
} gop_semaphore;

static inline gop_semaphore *
gop_semaphore_at(const gop_segment *s, uint64_t offset)
{
    return (gop_semaphore *)((char *)s->window[0] + offset);
}

static inline uint32_t
gop_semaphore_value(const gop_semaphore *m)
{
    return __atomic_load_n(&m->word, __ATOMIC_SEQ_CST) & GOP_SEM_MAX;
}

/* 0, or -EAGAIN when the value is 0. */
static inline int
gop_semaphore_try(gop_semaphore *m)
{
    uint32_t w = __atomic_load_n(&m->word, __ATOMIC_RELAXED);
    while (w & GOP_SEM_MAX) {
        if (__atomic_compare_exchange_n(&m->word, &w, w - 1, 1, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return 0;
    }
    return -EAGAIN;
}

/* Releases, and wakes one who waits: 0, or -EOVERFLOW when the value is max. */
static inline int
gop_semaphore_post(gop_semaphore *m)
{
    uint32_t w = __atomic_load_n(&m->word, __ATOMIC_RELAXED);
    for (;;) {
        if ((w & GOP_SEM_MAX) >= m->max) return -EOVERFLOW;
        __atomic_store_n(&m->owner, 0, __ATOMIC_RELAXED);
        uint32_t next = (w & GOP_SEM_MAX) + 1;
        if (__atomic_compare_exchange_n(&m->word, &w, next, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        {
            if (w & GOP_SEM_WAITERS) gop_futex_wake(&m->word, 1);
            return 0;
        }
    }
}

/*
 * An owner is a thread: pid << 32 | tid. Of a semaphore it is noted by those who
 * acquire; whoever releases clears it before. So while the value is 0, a thread
 * reads its own number only if it acquired last.
 */
static inline void
gop_semaphore_note(gop_semaphore *m, uint64_t owner)
{
    __atomic_store_n(&m->owner, owner, __ATOMIC_RELAXED);
}

/* Who acquired last, if the value is 0: 0 if not, or unknown. */
static inline uint64_t
gop_semaphore_owner(const gop_semaphore *m)
{
    return __atomic_load_n(&m->word, __ATOMIC_ACQUIRE) & GOP_SEM_MAX
               ? 0
               : __atomic_load_n(&m->owner, __ATOMIC_RELAXED);
}

/* [engine] Acquires, waiting as `how` says. */
int gop_semaphore_acquire(gop_semaphore *m, int how, int64_t deadline);

/*
 * RLock: a semaphore of at most 1 whose owner, not 0, may acquire it again. Only
 * a thread itself writes its number, and overwrites it before it lets go: one that
 * reads its own has the lock.
 */
static inline int
gop_rlock_is_owned(const gop_semaphore *m, uint64_t owner)
{
    return __atomic_load_n(&m->owner, __ATOMIC_RELAXED) == owner;
}

/* 0, or -EAGAIN when another has it. */
static inline int
gop_rlock_try(gop_semaphore *m, uint64_t owner)
{
    if (gop_rlock_is_owned(m, owner)) {
        __atomic_store_n(&m->depth, m->depth + 1, __ATOMIC_RELAXED);
        return 0;
    }
    if (gop_semaphore_try(m) < 0) return -EAGAIN;
    gop_semaphore_note(m, owner);
    __atomic_store_n(&m->depth, 1, __ATOMIC_RELAXED);
    return 0;
}

/* Undoes one acquire: 0, or -EPERM when owner has not got it. */
static inline int
gop_rlock_release(gop_semaphore *m, uint64_t owner)
{
    if (!gop_rlock_is_owned(m, owner)) return -EPERM;
    __atomic_store_n(&m->depth, m->depth - 1, __ATOMIC_RELAXED);
    return m->depth > 0 ? 0 : gop_semaphore_post(m);
}

/* [engine] Acquires, waiting as `how` says. */
int gop_rlock_acquire(gop_semaphore *m, uint64_t owner, int how, int64_t deadline);

/*
 * Robust lock: holder names the process that has it, and changes by compare-and-swap
 * alone. Bits 0..28 pid, 0: free; bit 29: a dead one's, being freed; bit 30 marked: one
 * has died that had it, and nobody has repaired since what it guards; bit 31: somebody
 * may sleep; bits 32..63 when the process started. owner and depth are as an RLock's.
 */
#define GOP_ROBUST_MARKED ((uint64_t)1 << 30)
#define GOP_ROBUST_WAITERS ((uint64_t)1 << 31)

/* [engine] Stores what names this process as a holder, not 0: `self` below. */
int gop_self(uint64_t *self);

static inline int
gop_robust_lock_is_held(const gop_semaphore *m)
{
    return (__atomic_load_n(&m->holder, __ATOMIC_ACQUIRE) & (((uint64_t)1 << 29) - 1)) != 0;
}

/* Whether this process has the lock. */
static inline int
gop_robust_lock_is_here(const gop_semaphore *m, uint64_t self)
{
    return (__atomic_load_n(&m->holder, __ATOMIC_RELAXED) &
            ~(GOP_ROBUST_MARKED | GOP_ROBUST_WAITERS)) == self;
}

/* Whether the thread `owner` of this process has it. */
static inline int
gop_robust_lock_is_owned(const gop_semaphore *m, uint64_t self, uint64_t owner)
{
    return gop_robust_lock_is_here(m, self) && gop_rlock_is_owned(m, owner);
}

/* 0, or -EAGAIN: then gop_robust_lock_acquire with GOP_TRY may know better. */
static inline int
gop_robust_lock_try(gop_semaphore *m, uint64_t self, uint64_t owner)
{
    uint64_t w = 0;
    if (!__atomic_compare_exchange_n(&m->holder, &w, self, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return -EAGAIN;
    gop_semaphore_note(m, owner);
    return 0;
}

/* Releases, and wakes one who waits: 0, or -EPERM when this process has not got it.
 * If `keep`, the mark stays, if there is one. */
static inline int
gop_robust_lock_release(gop_semaphore *m, uint64_t self, int keep)
{
    uint64_t w = __atomic_load_n(&m->holder, __ATOMIC_RELAXED);
    for (;;) {
        if ((w & ~(GOP_ROBUST_MARKED | GOP_ROBUST_WAITERS)) != self) return -EPERM;
        __atomic_store_n(&m->owner, 0, __ATOMIC_RELAXED);
        uint64_t next = keep ? w & GOP_ROBUST_MARKED : 0;
        if (__atomic_compare_exchange_n(&m->holder, &w, next, 1, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED))
        {
            if (w & GOP_ROBUST_WAITERS) gop_futex_wake((uint32_t *)&m->holder, 1);
            return 0;
        }
    }
}

/* [engine] Acquires for the thread `owner`, waiting as `how` says. -EOWNERDEAD: it was
 * acquired, too; a process had it that died. Not for one that has an RLock already. */
int gop_robust_lock_acquire(gop_semaphore *m, uint64_t owner, int how, int64_t deadline);

/* The same for a robust RLock: owner may acquire it again. */
static inline int
gop_robust_rlock_try(gop_semaphore *m, uint64_t self, uint64_t owner)
{
    if (gop_robust_lock_is_owned(m, self, owner)) {
        __atomic_store_n(&m->depth, m->depth + 1, __ATOMIC_RELAXED);
        return 0;
    }
    if (gop_robust_lock_try(m, self, owner) < 0) return -EAGAIN;
    __atomic_store_n(&m->depth, 1, __ATOMIC_RELAXED);
    return 0;
}

/* Undoes one acquire: 0, or -EPERM when owner has not got it. */
static inline int
gop_robust_rlock_release(gop_semaphore *m, uint64_t self, uint64_t owner, int keep)
{
    if (!gop_robust_lock_is_owned(m, self, owner)) return -EPERM;
    __atomic_store_n(&m->depth, m->depth - 1, __ATOMIC_RELAXED);
    return m->depth > 0 ? 0 : gop_robust_lock_release(m, self, keep);
}

/*
 * Robust semaphore: a large slot, named by segment and offset. Its permits come back
 * when a process dies that has some.
 */

/* [engine] Acquires a permit. -EOWNERDEAD as gop_robust_lock_acquire. */
int gop_robust_semaphore_acquire(gop_segment *s, uint64_t offset, int how, int64_t deadline);

/* [engine] Gives back a permit of this process: -EPERM when it has none. If `keep`,
 * the mark stays, if one of them has one. */
int gop_robust_semaphore_release(gop_segment *s, uint64_t offset, int keep);

/* [engine] How many permits are free; how many this process has. */
int gop_robust_semaphore_value(gop_segment *s, uint64_t offset);
int gop_robust_semaphore_held(gop_segment *s, uint64_t offset);

/*
 * Event. word: bit 0 set, bit 1 "someone may sleep", bits 2..31 count the
 * changes from clear to set, so that a waiter sees a set that was cleared
 * before it ran.
 */
#define GOP_EVENT_SET 1u
#define GOP_EVENT_WAITERS 2u

typedef struct gop_event {
    uint32_t word;
    uint32_t kind; /* GOP_SLOT_EVENT */
    uint32_t unused;
    uint32_t spin;
    uint8_t reserved[48];
} gop_event;

static inline gop_event *
gop_event_at(const gop_segment *s, uint64_t offset)
{
    return (gop_event *)((char *)s->window[0] + offset);
}

static inline int
gop_event_is_set(const gop_event *e)
{
    return (__atomic_load_n(&e->word, __ATOMIC_ACQUIRE) & GOP_EVENT_SET) != 0;
}

/* Sets the event, and wakes all who wait for it. */
static inline void
gop_event_set(gop_event *e)
{
    uint32_t w = __atomic_load_n(&e->word, __ATOMIC_RELAXED);
    for (;;) {
        if (w & GOP_EVENT_SET) return;
        uint32_t next = ((w & ~GOP_EVENT_WAITERS) + 4) | GOP_EVENT_SET;
        if (__atomic_compare_exchange_n(&e->word, &w, next, 1, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        {
            if (w & GOP_EVENT_WAITERS) gop_futex_wake(&e->word, INT_MAX);
            return;
        }
    }
}

static inline void
gop_event_clear(gop_event *e)
{
    __atomic_fetch_and(&e->word, ~GOP_EVENT_SET, __ATOMIC_SEQ_CST);
}

static inline uint32_t
gop_event_word(const gop_event *e)
{
    return __atomic_load_n(&e->word, __ATOMIC_ACQUIRE);
}

/* [engine] Waits until the event is set, or was set since gop_event_word
 * returned `seen`, even if it was cleared again. */
int gop_event_wait(gop_event *e, uint32_t seen, int how, int64_t deadline);

/*
 * Condition and barrier: large slots, named by segment and offset, with an entry
 * for each waiter that tells what became of it. tid is the calling thread's: by
 * it and the process, others find out whether a waiter has died.
 */
typedef struct gop_waiter gop_waiter;

/*
 * Condition. To wait, with the caller's lock held: enter, release the lock, wait,
 * acquire it again, leave. After a wait that failed, quit before that, and leave if
 * that says 1.
 */

/* [engine] Makes the calling thread one that waits. */
int gop_condition_enter(gop_segment *s, uint64_t offset, uint32_t tid, gop_waiter **w, int how,
                        int64_t deadline);

/* [engine] Waits until w is notified. */
int gop_condition_wait(gop_segment *s, uint64_t offset, gop_waiter *w, int how, int64_t deadline);

/* [engine] Ends a wait that failed, unless w was notified meanwhile: then 1. */
int gop_condition_quit(gop_segment *s, uint64_t offset, gop_waiter *w);

/* [engine] Ends a wait, however it ended: 1 if w was notified. If `pass`, the
 * notification goes to the next. */
int gop_condition_leave(gop_segment *s, uint64_t offset, gop_waiter *w, int pass);

/* [engine] Notifies n of those who wait, or all. */
int gop_condition_notify(gop_segment *s, uint64_t offset, uint64_t n, int how, int64_t deadline);

/* [engine] How many wait that were not notified. */
int gop_condition_waiting(gop_segment *s, uint64_t offset);

/*
 * Barrier. word: bits 0..1 phase, 2: broken. -ECANCELED says that the barrier is
 * broken, or was while the caller waited.
 */
typedef struct gop_barrier {
    uint32_t word;
    uint32_t kind; /* GOP_SLOT_BARRIER */
    uint32_t parties;
    uint32_t spin;
} gop_barrier;

static inline int
gop_barrier_is_broken(const gop_barrier *b)
{
    return (__atomic_load_n(&b->word, __ATOMIC_ACQUIRE) & 3) == 2;
}

/* [engine] Makes the calling thread a party, when no action runs any more. 0:
 * gop_barrier_wait is to follow. 1: it is the last. If it has no action to run, it
 * has passed, as number *index; if it `acts`, it runs the action, and then calls
 * gop_barrier_finish. */
int gop_barrier_arrive(gop_segment *s, uint64_t offset, uint32_t tid, int acts, gop_waiter **w,
                       uint32_t *index, int how, int64_t deadline);

/* [engine] Ends the action that w ran: `ok`, or the barrier breaks. */
int gop_barrier_finish(gop_segment *s, uint64_t offset, gop_waiter *w, int ok);

/* [engine] Waits for the others; stores w's number, which no other has. After
 * another error than -ECANCELED, w still waits. */
int gop_barrier_wait(gop_segment *s, uint64_t offset, gop_waiter *w, uint32_t *index, int how,
                     int64_t deadline);

/* [engine] Ends a wait that lasts too long, and breaks the barrier: -ECANCELED.
 * 0 if all have arrived meanwhile; -EBUSY if an action runs: wait again. */
int gop_barrier_time_out(gop_segment *s, uint64_t offset, gop_waiter *w, uint32_t *index);

/* [engine] Ends a wait as if w had not arrived. */
int gop_barrier_withdraw(gop_segment *s, uint64_t offset, gop_waiter *w);

/* [engine] Breaks the barrier for those who wait, and makes it new. While an action
 * runs it waits, unless it is the action's thread, as gop_barrier_arrive was told,
 * that calls it. */
int gop_barrier_reset(gop_segment *s, uint64_t offset, int how, int64_t deadline);

/* [engine] Breaks the barrier, and waits as gop_barrier_reset does. */
int gop_barrier_abort(gop_segment *s, uint64_t offset, int how, int64_t deadline);

/* [engine] How many have arrived and wait. */
int gop_barrier_waiting(gop_segment *s, uint64_t offset);

/* ---- the library itself ---- */

/* [engine] GOP_ABI of the library. */
int gop_abi(void);

/* Threads that the engine has running in this process. Not Go: callable always. */
int gop_engine_threads(void);

/* Forgets what ties the calling thread to this copy of the engine, so that the
 * thread may end although the engine is dead. For the child of a fork, before
 * it loads a copy of its own. Not Go. */
void gop_engine_abandon(void);

/* clang-format off */
/* Every function a loader has to look up. */
#define GOP_FUNCTIONS(X)                                                                   \
    X(gop_abi) X(gop_engine_threads) X(gop_engine_abandon)                                 \
    X(gop_segment_open) X(gop_extent_map) X(gop_extent_release)                            \
    X(gop_queue_create) X(gop_queue_open) X(gop_queue_put) X(gop_queue_get)                \
    X(gop_queue_poll) X(gop_queue_watch) X(gop_queue_shutdown) X(gop_queue_task_done)      \
    X(gop_queue_join) X(gop_queue_put_item) X(gop_queue_receive)                           \
    X(gop_queue_put_many) X(gop_queue_get_many) X(gop_joinable_queue_create)               \
    X(gop_queue_abandoned) X(gop_queue_look)                                               \
    X(gop_conn_send_item) X(gop_conn_receive)                                              \
    X(gop_pipe_create) X(gop_conn_open) X(gop_conn_send) X(gop_conn_recv) X(gop_conn_poll) \
    X(gop_conn_watch) X(gop_conn_recv_handle) X(gop_conn_sent_handle)                      \
    X(gop_arena_create) X(gop_arena_alloc) X(gop_arena_free) X(gop_arena_check)            \
    X(gop_semaphore_acquire) X(gop_rlock_acquire) X(gop_event_wait)                        \
    X(gop_self) X(gop_robust_lock_acquire) X(gop_robust_semaphore_acquire)                 \
    X(gop_robust_semaphore_release) X(gop_robust_semaphore_value)                          \
    X(gop_robust_semaphore_held)                                                           \
    X(gop_condition_enter) X(gop_condition_wait) X(gop_condition_quit)                     \
    X(gop_condition_leave) X(gop_condition_notify) X(gop_condition_waiting)                \
    X(gop_barrier_arrive) X(gop_barrier_finish) X(gop_barrier_wait)                        \
    X(gop_barrier_time_out) X(gop_barrier_withdraw) X(gop_barrier_reset)                   \
    X(gop_barrier_abort) X(gop_barrier_waiting)                                            \
    X(gop_queue_open_named) X(gop_joinable_queue_open_named) X(gop_arena_open_named)       \
    X(gop_unlink) X(gop_unlink_file) X(gop_names) X(gop_pipe_open_named)
/* clang-format on */

#ifdef __cplusplus
}
#endif
#endif
