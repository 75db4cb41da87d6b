/* Takes turns with another process: ROUNDS times acquires the first semaphore and
 * releases the second; then waits for the first event, and sets the second.
 *
 *   turns ROUNDS FD OFFSET FD OFFSET FD OFFSET FD OFFSET
 */
#include "program.h"

typedef struct object {
    gop_segment arena;
    uint64_t offset;
} object;

static void
open_object(object *o, char **argv, uint32_t kind)
{
    DO(gop_segment_open(&o->arena, atoi(argv[0]), GOP_KIND_ARENA));
    o->offset = strtoull(argv[1], NULL, 10);
    DO(gop_arena_check(&o->arena, o->offset, kind));
}

int
main(int argc, char **argv)
{
    CHECK(argc == 10);
    alarm(TIME_LIMIT);
    object objects[4];
    for (int i = 0; i < 4; i++)
        open_object(&objects[i], argv + 2 + 2 * i, i < 2 ? GOP_SLOT_SEMAPHORE : GOP_SLOT_EVENT);

    gop_semaphore *mine = gop_semaphore_at(&objects[0].arena, objects[0].offset);
    gop_semaphore *yours = gop_semaphore_at(&objects[1].arena, objects[1].offset);
    for (int i = 0; i < atoi(argv[1]); i++) {
        DO(gop_semaphore_acquire(mine, GOP_SLEEP, GOP_FOREVER));
        DO(gop_semaphore_post(yours));
    }

    gop_event *event = gop_event_at(&objects[2].arena, objects[2].offset);
    DO(gop_event_wait(event, gop_event_word(event), GOP_SLEEP, GOP_FOREVER));
    gop_event_set(gop_event_at(&objects[3].arena, objects[3].offset));

    for (int i = 0; i < 4; i++)
        gop_segment_close(&objects[i].arena);
    return 0;
}
