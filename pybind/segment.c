/* Closing a segment in a process whose descriptors others may have closed. */
#include "engine.h"

#include <sys/stat.h>

bool
segment_owns_fd(const gop_segment *s)
{
    struct stat st;
    return s->fd >= 0 && fstat(s->fd, &st) == 0 && (uint64_t)st.st_ino == s->inode;
}

void
segment_close(gop_segment *s)
{
    if (!segment_owns_fd(s)) {
        s->fd = -1;
    }
    gop_segment_close(s);
}
