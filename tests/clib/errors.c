/* The errors that the header names: returned, and nothing changed. */
#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>

#include "program.h"

static void
queue_errors(void)
{
    gop_queue q, other;
    char item[8];
    uint64_t length = 0;
    DO(gop_queue_create(&q, 1));
    CHECK(gop_queue_get(&q, item, sizeof(item), &length, GOP_TRY, 0) == -EAGAIN);
    CHECK(gop_queue_get(&q, item, sizeof(item), &length, GOP_NOWAIT, GOP_FOREVER) == -EAGAIN);
    CHECK(gop_queue_get(&q, item, sizeof(item), &length, GOP_SPIN, GOP_FOREVER) == -EAGAIN);
    CHECK(gop_queue_get(&q, item, sizeof(item), &length, GOP_SLEEP, 1) == -ETIMEDOUT);
    CHECK(gop_queue_task_done(&q, GOP_SLEEP) == -ERANGE);

    DO(gop_queue_put(&q, "an item of 18 byte", 18, GOP_TRY, 0));
    CHECK(gop_queue_put(&q, "x", 1, GOP_TRY, 0) == -EAGAIN);
    CHECK(gop_queue_get(&q, item, sizeof(item), &length, GOP_TRY, 0) == -EMSGSIZE && length == 18);
    CHECK(gop_queue_len(&q) == 1);

    DO(gop_queue_shutdown(&q, 1, GOP_SLEEP));
    CHECK(gop_queue_put(&q, "x", 1, GOP_TRY, 0) == -ESHUTDOWN);
    CHECK(gop_queue_get(&q, item, sizeof(item), &length, GOP_TRY, 0) == -ESHUTDOWN);

    DO(gop_queue_open(&other, dup(q.seg.fd), -1));
    CHECK(gop_queue_watch(&other, GOP_SLEEP) == -ENOTSUP);
    gop_queue_close(&other);
    gop_queue_close(&other);
    gop_queue_close(&q);
}

static void
errors_of_opening(void)
{
    gop_queue q;
    gop_segment arena, other;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK(gop_queue_open(&q, -1, -1) == -EBADF);
    CHECK(gop_queue_open(&q, null, -1) == -EINVAL);
    DO(gop_arena_create(&arena));
    CHECK(gop_queue_open(&q, arena.fd, -1) == -EINVAL);
    CHECK(gop_segment_open(&other, arena.fd, GOP_KIND_QUEUE) == -EINVAL);
    /* What failed to open owns nothing. */
    CHECK(fcntl(null, F_GETFD) == FD_CLOEXEC && fcntl(arena.fd, F_GETFD) == FD_CLOEXEC);
    gop_segment_close(&arena);
    close(null);
}

static void
errors_of_closing(void)
{
    gop_queue q;
    static char large[2 << 20];
    DO(gop_queue_create(&q, 0));
    close(q.seg.fd);
    CHECK(gop_queue_put(&q, large, sizeof(large), GOP_SLEEP, GOP_FOREVER) == -EBADF);
    CHECK(gop_queue_len(&q) == 0);
    gop_queue_close(&q);
}

static void
errors_of_locks(void)
{
    gop_segment arena;
    uint64_t place;
    DO(gop_arena_create(&arena));
    DO(gop_arena_alloc(&arena, GOP_SLOT_SEMAPHORE, 1, 1, &place));
    CHECK(gop_arena_check(&arena, place, GOP_SLOT_EVENT) == -EINVAL);
    CHECK(gop_arena_check(&arena, place + 8, GOP_SLOT_SEMAPHORE) == -EUCLEAN);
    gop_semaphore *m = gop_semaphore_at(&arena, place);
    CHECK(gop_semaphore_post(m) == -EOVERFLOW);
    CHECK(gop_semaphore_acquire(m, GOP_SLEEP, 1) == 0);
    CHECK(gop_semaphore_try(m) == -EAGAIN);
    CHECK(gop_semaphore_acquire(m, GOP_SLEEP, 1) == -ETIMEDOUT);

    DO(gop_arena_alloc(&arena, GOP_SLOT_RLOCK, 0, 0, &place));
    m = gop_semaphore_at(&arena, place);
    const uint64_t me = (uint64_t)getpid() << 32 | (uint32_t)getpid();
    CHECK(gop_rlock_acquire(m, me, GOP_TRY, 0) == 0 && gop_rlock_acquire(m, me, GOP_TRY, 0) == 0);
    CHECK(gop_rlock_try(m, me + 1) == -EAGAIN && gop_rlock_release(m, me + 1) == -EPERM);
    CHECK(gop_rlock_release(m, me) == 0 && gop_rlock_release(m, me) == 0);
    CHECK(gop_rlock_release(m, me) == -EPERM);

    DO(gop_arena_alloc(&arena, GOP_SLOT_BARRIER, 0, 2, &place));
    gop_waiter *w;
    uint32_t index;
    DO(gop_barrier_abort(&arena, place, GOP_SLEEP, GOP_FOREVER));
    CHECK(gop_barrier_arrive(&arena, place, (uint32_t)getpid(), 0, &w, &index, GOP_TRY, 0) ==
          -ECANCELED);
    gop_segment_close(&arena);
}

static volatile sig_atomic_t handled;

static void
handle(int number)
{
    handled = number;
}

/* The handler runs while the call sleeps, or before: then it says so within a second. */
static void
signals_interrupt(void)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK | SA_RESTART};
    struct itimerval soon = {.it_value = {.tv_usec = 10000}};
    gop_queue q;
    char item[8];
    uint64_t length;
    DO(gop_queue_create(&q, 0));
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
    while (!handled)
        CHECK(gop_queue_get(&q, item, sizeof(item), &length, GOP_SLEEP, GOP_FOREVER) == -EINTR);
    CHECK(handled == SIGALRM);
    gop_queue_close(&q);
}

int
main(void)
{
    alarm(TIME_LIMIT);
    CHECK(gop_abi() == GOP_ABI);
    queue_errors();
    errors_of_opening();
    errors_of_closing();
    errors_of_locks();
    signals_interrupt();
    return 0;
}
