/* A process forks: what its child can do at once, and what with a copy of the library:
 * forks LIBRARY */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

#include "program.h"

typedef struct engine {
#define MEMBER(name) __typeof__(name) *name;
    GOP_FUNCTIONS(MEMBER)
#undef MEMBER
} engine;

static gop_queue queue;
static gop_segment arena;
static gop_semaphore *semaphore;
static gop_event *event;
static const char *library;
static pthread_t forking;

/* From another inode: for the same one dlopen() would return the engine of before. */
static void
load_copy(engine *e)
{
    int from = open(library, O_RDONLY | O_CLOEXEC);
    int to = memfd_create("libgoprocessing.so", MFD_CLOEXEC);
    CHECK(from >= 0 && to >= 0);
    while (sendfile(to, from, NULL, 1 << 20) > 0) {
    }
    char path[64];
    snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", to);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) fprintf(stderr, "%s\n", dlerror());
    CHECK(handle);
    close(from);
    close(to);
#define LOOK_UP(name) CHECK(*(void **)&e->name = dlsym(handle, #name));
    GOP_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
}

static void *
live_in_child(void *unused)
{
    CHECK(pthread_join(forking, NULL) == 0);
    DO(gop_semaphore_post(semaphore));
    CHECK(gop_queue_len(&queue) == 1);

    engine e;
    load_copy(&e);
    char item[16];
    uint64_t length;
    DO(e.gop_queue_get(&queue, item, sizeof(item), &length, GOP_SLEEP, GOP_FOREVER));
    DO(e.gop_queue_put(&queue, item, length, GOP_SLEEP, GOP_FOREVER));
    DO(e.gop_event_wait(event, gop_event_word(event), GOP_SLEEP, GOP_FOREVER));
    gop_queue_close(&queue);
    gop_segment_close(&arena);
    exit(0);
    return unused;
}

/* The thread called the engine before, and ends in the child. */
static void *
fork_in_thread(void *unused)
{
    DO(gop_queue_put(&queue, "item", 4, GOP_SLEEP, GOP_FOREVER));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(TIME_LIMIT);
        gop_engine_abandon();
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, live_in_child, NULL) == 0);
        return unused;
    }
    DO(gop_semaphore_acquire(semaphore, GOP_SLEEP, GOP_FOREVER));
    gop_event_set(event);
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(gop_queue_len(&queue) == 1);
    return unused;
}

int
main(int argc, char **argv)
{
    CHECK(argc == 2);
    alarm(TIME_LIMIT);
    uint64_t offset;
    DO(gop_queue_create(&queue, 0));
    DO(gop_arena_create(&arena));
    DO(gop_arena_alloc(&arena, GOP_SLOT_SEMAPHORE, 0, 1, &offset));
    semaphore = gop_semaphore_at(&arena, offset);
    DO(gop_arena_alloc(&arena, GOP_SLOT_EVENT, 0, 0, &offset));
    event = gop_event_at(&arena, offset);
    library = argv[1];
    CHECK(pthread_create(&forking, NULL, fork_in_thread, NULL) == 0);
    CHECK(pthread_join(forking, NULL) == 0);
    gop_queue_close(&queue);
    gop_segment_close(&arena);
    return 0;
}
