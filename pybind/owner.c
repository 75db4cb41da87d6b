#define _GNU_SOURCE
#include "owner.h"

#include <sys/syscall.h>
#include <unistd.h>

__thread uint64_t owner_cached;

uint64_t
owner_look_up(void)
{
    owner_cached = (uint64_t)getpid() << 32 | (uint32_t)syscall(SYS_gettid);
    return owner_cached;
}
