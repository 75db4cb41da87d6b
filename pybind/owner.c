#define _GNU_SOURCE
#include "owner.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "engine.h"

__thread uint64_t owner_cached;

uint64_t
owner_look_up(void)
{
    owner_cached = (uint64_t)getpid() << 32 | (uint32_t)syscall(SYS_gettid);
    return owner_cached;
}

uint64_t owner_process_cached;

uint64_t
owner_process_look_up(void)
{
    const gop_engine *e = engine();
    if (e != NULL) {
        e->gop_self(&owner_process_cached);
    }
    return owner_process_cached;
}
