/* Who this thread is, as the shared words name an owner. */
#ifndef GOPROCESSING_OWNER_H
#define GOPROCESSING_OWNER_H

#include <stdint.h>

/* pid << 32 | tid of this thread; 0 until it is first asked for. */
extern __thread uint64_t owner_cached;

uint64_t owner_look_up(void);

static inline uint64_t
owner_self(void)
{
    return __builtin_expect(owner_cached != 0, 1) ? owner_cached : owner_look_up();
}

/* For fork's child handler. The calling thread is the only one there. */
static inline void
owner_forget(void)
{
    owner_cached = 0;
}

#endif
