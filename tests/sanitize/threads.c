/*
 * The inline functions of goprocessing.h, used by several threads at once, for
 * -fsanitize=thread; and to be compiled as C++ as well, with all warnings.
 *
 * Behind each lock lies plain memory: if the lock did not order the accesses to it,
 * ThreadSanitizer would see a race. (It sees futexes as no more than they are here, a
 * way to wait: a waiter looks again.)
 */
#include "goprocessing.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { THREADS = 4 };

static int rounds = 2000;

static void
check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static void
futex_wait(uint32_t *word, uint32_t value)
{
    const struct timespec look = {0, 10000000};
    syscall(SYS_futex, word, FUTEX_WAIT, value, &look, (void *)0, 0);
}

/* As arena.Semaphore.Acquire. */
static void
acquire(gop_semaphore *m)
{
    int slept = 0;
    while (gop_semaphore_try(m) < 0) {
        uint32_t w = __atomic_load_n(&m->word, __ATOMIC_SEQ_CST);
        if (w & GOP_SEM_MAX) continue;
        uint32_t flagged = w | GOP_SEM_WAITERS;
        if (w == flagged || __atomic_compare_exchange_n(&m->word, &w, flagged, 0, __ATOMIC_SEQ_CST,
                                                        __ATOMIC_SEQ_CST))
        {
            futex_wait(&m->word, flagged);
            slept = 1;
        }
    }
    if (slept) __atomic_fetch_or(&m->word, GOP_SEM_WAITERS, __ATOMIC_SEQ_CST);
}

/* What the threads share; plain is guarded. */
static gop_semaphore lock, rlock;
static gop_event event, over;
static gop_stream *stream;
static gop_conn ends[2], copy;
static uint64_t plain, recursive, message;

static void *
use_semaphore(void *number)
{
    uint64_t owner = (uintptr_t)number;
    for (int i = 0; i < rounds; i++) {
        acquire(&lock);
        gop_semaphore_note(&lock, owner);
        plain++;
        check(gop_semaphore_owner(&lock) == owner, "another owns the lock");
        check(gop_semaphore_value(&lock) == 0, "the lock is free");
        check(gop_semaphore_post(&lock) == 0, "the lock cannot be released");
    }
    return 0;
}

static void *
use_rlock(void *number)
{
    uint64_t owner = (uintptr_t)number;
    for (int i = 0; i < rounds; i++) {
        while (gop_rlock_try(&rlock, owner) < 0)
            sched_yield();
        check(gop_rlock_try(&rlock, owner) == 0, "the lock is not recursive");
        recursive++;
        check(gop_rlock_release(&rlock, owner) == 0, "not the owner");
        check(gop_rlock_is_owned(&rlock, owner), "released too early");
        check(gop_rlock_release(&rlock, owner) == 0, "not the owner");
        check(gop_rlock_release(&rlock, owner) == -EPERM, "released too often");
    }
    return 0;
}

/* Each message is written before the event is set, and read after. */
static void *
set_event(void *unused)
{
    for (int i = 1; i <= rounds; i++) {
        message = (uint64_t)i;
        gop_event_set(&event);
        while (!gop_event_is_set(&over))
            futex_wait(&over.word, gop_event_word(&over));
        gop_event_clear(&over);
    }
    return unused;
}

static void *
await_event(void *unused)
{
    for (int i = 1; i <= rounds; i++) {
        while (!gop_event_is_set(&event)) {
            uint32_t w = gop_event_word(&event);
            if (w & GOP_EVENT_SET) break;
            uint32_t flagged = w | GOP_EVENT_WAITERS;
            if (w == flagged || __atomic_compare_exchange_n(&event.word, &w, flagged, 0,
                                                            __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
                futex_wait(&event.word, flagged);
        }
        check(message == (uint64_t)i, "not the message that goes with the event");
        gop_event_clear(&event);
        gop_event_set(&over);
    }
    return unused;
}

static void *
move_items(void *unused)
{
    for (int i = 0; i < rounds; i++) {
        __atomic_fetch_add(&stream->puts, 1, __ATOMIC_SEQ_CST);
        __atomic_fetch_add(&stream->gets, 1, __ATOMIC_SEQ_CST);
    }
    __atomic_fetch_or(&stream->put_flags, GOP_STREAM_GONE, __ATOMIC_SEQ_CST);
    return unused;
}

static void *
measure_stream(void *unused)
{
    for (int i = 0; i < rounds; i++) {
        check(gop_stream_len(stream) <= 1, "more items than there ever were");
        check(gop_conn_len(&ends[1]) <= 1, "more messages than there ever were");
        check(!gop_conn_is_watched(&ends[1]), "watched");
    }
    return unused;
}

static void *
hang_up(void *end)
{
    gop_conn_hang_up((gop_conn *)end);
    return 0;
}

static pthread_t
start(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    check(pthread_create(&thread, 0, run, argument) == 0, "no thread");
    return thread;
}

int
main(int argc, char **argv)
{
    if (argc > 1) rounds = atoi(argv[1]);
    lock.word = lock.max = rlock.word = rlock.max = 1;
    void *memory = calloc(1, GOP_STREAM_OFFSET + 2 * GOP_STREAM_SIZE);
    check(memory != 0, "no memory");
    for (int i = 0; i < 2; i++) {
        ends[i].seg.fd = ends[i].sock = -1;
        ends[i].seg.window[0] = memory;
        ends[i].side = (uint32_t)i;
    }
    copy = ends[0];
    stream = gop_stream_at(&ends[0].seg, 0);

    pthread_t threads[2 * THREADS + 6];
    int n = 0;
    for (uintptr_t i = 1; i <= THREADS; i++) {
        threads[n++] = start(use_semaphore, (void *)i);
        threads[n++] = start(use_rlock, (void *)i);
    }
    threads[n++] = start(set_event, 0);
    threads[n++] = start(await_event, 0);
    threads[n++] = start(move_items, 0);
    threads[n++] = start(measure_stream, 0);
    threads[n++] = start(hang_up, &ends[0]);
    threads[n++] = start(hang_up, &copy);
    while (n > 0)
        pthread_join(threads[--n], 0);

    uint64_t all = (uint64_t)rounds * THREADS;
    check(plain == all && recursive == all, "two threads were inside at once");
    check(gop_semaphore_post(&lock) == -EOVERFLOW, "released too often");
    check(gop_conn_in(&ends[0])->closed == 2, "a handle too few was closed");
    check(gop_stream_len(stream) == 0, "items are left");
    free(memory);
    return 0;
}
