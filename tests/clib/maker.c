/* Makes a queue, a semaphore and an event, and runs a program with their descriptors
 * and places as its last arguments: maker PROGRAM ARGUMENT...
 *
 * The program takes "to you" out of the queue, acquires the semaphore, puts "to me"
 * into the queue and sets the event. */
#include <spawn.h>
#include <sys/wait.h>

#include "program.h"

extern char **environ;

int
main(int argc, char **argv)
{
    CHECK(argc > 1 && argc < 16);
    alarm(TIME_LIMIT);

    gop_queue queue;
    gop_segment arena;
    uint64_t semaphore_offset, event_offset;
    DO(gop_queue_create(&queue, 1));
    DO(gop_arena_create(&arena));
    DO(gop_arena_alloc(&arena, GOP_SLOT_SEMAPHORE, 0, 1, &semaphore_offset));
    DO(gop_arena_alloc(&arena, GOP_SLOT_EVENT, 0, 0, &event_offset));

    char places[5][24];
    snprintf(places[0], sizeof(places[0]), "%d", queue.seg.fd);
    snprintf(places[1], sizeof(places[1]), "%d", queue.bell);
    snprintf(places[2], sizeof(places[2]), "%d", arena.fd);
    snprintf(places[3], sizeof(places[3]), "%llu", (unsigned long long)semaphore_offset);
    snprintf(places[4], sizeof(places[4]), "%llu", (unsigned long long)event_offset);
    char *arguments[24] = {0};
    for (int i = 1; i < argc; i++)
        arguments[i - 1] = argv[i];
    for (int i = 0; i < 5; i++)
        arguments[argc - 1 + i] = places[i];

    /* A descriptor duplicated onto itself is no longer close-on-exec there. */
    posix_spawn_file_actions_t actions;
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    const int inherited[] = {queue.seg.fd, queue.bell, arena.fd};
    for (int i = 0; i < 3; i++)
        CHECK(posix_spawn_file_actions_adddup2(&actions, inherited[i], inherited[i]) == 0);
    pid_t child;
    CHECK(posix_spawnp(&child, arguments[0], &actions, NULL, arguments, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);

    gop_semaphore *semaphore = gop_semaphore_at(&arena, semaphore_offset);
    gop_event *event = gop_event_at(&arena, event_offset);
    uint32_t seen = gop_event_word(event);
    DO(gop_queue_put(&queue, "to you", 6, GOP_SLEEP, GOP_FOREVER));
    DO(gop_semaphore_post(semaphore));
    DO(gop_event_wait(event, seen, GOP_SLEEP, GOP_FOREVER));
    char item[16];
    uint64_t length;
    DO(gop_queue_get(&queue, item, sizeof(item), &length, GOP_TRY, 0));
    CHECK(length == 5 && memcmp(item, "to me", 5) == 0);
    CHECK(gop_semaphore_value(semaphore) == 0);

    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    gop_queue_close(&queue);
    gop_segment_close(&arena);
    return 0;
}
