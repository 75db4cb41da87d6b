/* Who this thread is, as the shared words name an owner. */
#ifndef GOPROCESSING_OWNER_H
#define GOPROCESSING_OWNER_H

#include <stdbool.h>
#include <stdint.h>

/* pid << 32 | tid of this thread; 0 until it is first asked for. */
extern __thread uint64_t owner_cached;

uint64_t owner_look_up(void);

static inline uint64_t
owner_self(void)
{
    return __builtin_expect(owner_cached != 0, 1) ? owner_cached : owner_look_up();
}

/* Whether an owner is a thread of this process. */
static inline bool
owner_is_here(uint64_t owner)
{
    return owner >> 32 == owner_self() >> 32;
}

/* The thread's id, as the engine names a waiter. */
static inline uint32_t
owner_thread(void)
{
    return (uint32_t)owner_self();
}

/* This process as the holder of robust locks; 0 until it is first asked for. */
extern uint64_t owner_process_cached;

uint64_t owner_process_look_up(void);

/* 0 with an exception set, if the engine cannot be loaded. Needs the GIL. */
static inline uint64_t
owner_process(void)
{
    return __builtin_expect(owner_process_cached != 0, 1) ? owner_process_cached
                                                          : owner_process_look_up();
}

/* For fork's child handler. The calling thread is the only one there. */
static inline void
owner_forget(void)
{
    owner_cached = 0;
    owner_process_cached = 0;
}

#endif
