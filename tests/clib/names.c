/* Objects that are found by their names. */
#include <poll.h>
#include <pthread.h>

#include "program.h"

static char name[64];

static void
queues(void)
{
    gop_queue q, other;
    char item[8];
    uint64_t length;
    CHECK(gop_queue_open_named(&q, name, GOP_OPEN, 0) == -ENOENT);
    CHECK(gop_queue_open_named(&q, "no/name", GOP_OPEN_OR_CREATE, 0) == -EINVAL);
    DO(gop_queue_open_named(&q, name, GOP_CREATE, 3));
    CHECK(gop_queue_open_named(&other, name, GOP_CREATE, 3) == -EEXIST);
    CHECK(gop_joinable_queue_open_named(&other, name, GOP_OPEN, 0, 0) == -EINVAL);
    DO(gop_queue_open_named(&other, name, GOP_OPEN_OR_CREATE, 7));
    CHECK(gop_queue_maxsize(&other) == 3);

    struct pollfd bell = {.fd = other.bell, .events = POLLIN};
    DO(gop_queue_watch(&other, GOP_SLEEP));
    CHECK(poll(&bell, 1, 0) == 0);
    DO(gop_queue_put(&q, "item", 4, GOP_SLEEP, GOP_FOREVER));
    CHECK(poll(&bell, 1, 0) == 1);
    DO(gop_queue_get(&other, item, sizeof(item), &length, GOP_SLEEP, GOP_FOREVER));
    CHECK(length == 4 && memcmp(item, "item", 4) == 0);
    CHECK(poll(&bell, 1, 0) == 0);

    CHECK(gop_names(item, 1, &length) == -EMSGSIZE && length > strlen(name));
    CHECK(item[0] == 'i'); /* nothing was stored */

    DO(gop_unlink(name));
    CHECK(gop_unlink(name) == -ENOENT);
    gop_queue_close(&q);
    gop_queue_close(&other);
    DO(gop_joinable_queue_open_named(&q, name, GOP_OPEN_OR_CREATE, 0, 1));
    CHECK(gop_queue_redelivers(&q));
    DO(gop_unlink(name));
    gop_queue_close(&q);
}

static void
locks(void)
{
    gop_segment s, other;
    uint64_t place, same;
    DO(gop_arena_open_named(&s, name, GOP_CREATE, GOP_SLOT_SEMAPHORE, 1, 1, &place));
    CHECK(gop_arena_open_named(&other, name, GOP_OPEN, GOP_SLOT_EVENT, 0, 0, &same) == -EINVAL);
    CHECK(gop_arena_open_named(&other, name, GOP_OPEN, GOP_SLOT_BARRIER, 0, 2, &same) == -EINVAL);
    DO(gop_arena_open_named(&other, name, GOP_OPEN, GOP_SLOT_SEMAPHORE, 0, 0, &same));
    CHECK(gop_semaphore_at(&other, same)->max == 1);
    DO(gop_semaphore_try(gop_semaphore_at(&s, place)));
    CHECK(gop_semaphore_try(gop_semaphore_at(&other, same)) == -EAGAIN);
    gop_segment_close(&s);
    gop_segment_close(&other);
    DO(gop_unlink(name));
}

static void *
guest(void *unused)
{
    gop_conn c;
    (void)unused;
    DO(gop_pipe_open_named(&c, name, GOP_WRITABLE, GOP_SLEEP, GOP_FOREVER));
    DO(gop_conn_send(&c, "hello", 5, GOP_SLEEP, GOP_FOREVER));
    gop_conn_close(&c);
    return NULL;
}

static void
pipes(void)
{
    gop_conn c;
    char message[8];
    uint64_t length;
    pthread_t thread;
    CHECK(gop_pipe_open_named(&c, name, GOP_READABLE, GOP_SPIN, GOP_FOREVER) == -EAGAIN);
    CHECK(gop_pipe_open_named(&c, name, GOP_READABLE, GOP_SLEEP, 1) == -ETIMEDOUT);
    CHECK(gop_pipe_open_named(&c, name, 0, GOP_SLEEP, GOP_FOREVER) == -EINVAL);
    CHECK(pthread_create(&thread, NULL, guest, NULL) == 0);
    DO(gop_pipe_open_named(&c, name, GOP_READABLE, GOP_SLEEP, GOP_FOREVER));
    CHECK(gop_unlink(name) == -ENOENT);
    DO(gop_conn_recv(&c, message, sizeof(message), &length, GOP_SLEEP, GOP_FOREVER));
    CHECK(length == 5 && memcmp(message, "hello", 5) == 0);
    CHECK(gop_conn_recv(&c, message, sizeof(message), &length, GOP_SLEEP, GOP_FOREVER) == -EPIPE);
    CHECK(pthread_join(thread, NULL) == 0);
    gop_conn_close(&c);
}

int
main(void)
{
    alarm(TIME_LIMIT);
    snprintf(name, sizeof(name), "names.c-%d", (int)getpid());
    queues();
    locks();
    pipes();
    return 0;
}
