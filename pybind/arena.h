/* Slots of shared memory for semaphores, events and the like. */
#ifndef GOPROCESSING_ARENA_H
#define GOPROCESSING_ARENA_H

#include "engine.h"

typedef struct arena arena;

/* One object's slot, as this process holds it. All zero: none. */
typedef struct slot {
    arena *arena;
    uint64_t offset;
    int size;       /* 0 small, 1 large */
    uint64_t forks; /* engine_process.forks when it was allocated */
    bool shared;    /* its handle has left this process, or came from another */
} slot;

/* Allocates a slot for __init__; kind, value and max as for gop_arena_alloc. 0, or
 * -1 with an exception set, also if *s is a slot already. */
int slot_create(slot *s, uint32_t kind, uint32_t value, uint32_t max);

/* Refers to a slot that slot_handle described. On success fd is taken over; it
 * is the caller's still on failure: -1 with an exception set. */
int slot_attach(slot *s, int fd, uint64_t offset, uint32_t kind);

/* The pair (descriptor of the arena, offset), for slot_attach elsewhere. */
PyObject *slot_handle(slot *s);

/* The memory of the slot: valid until slot_release. */
void *slot_memory(const slot *s);

/* The segment of the slot, valid as long. */
gop_segment *slot_segment(const slot *s);

/* Gives the slot up. */
void slot_release(slot *s);

#endif
