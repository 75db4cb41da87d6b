/*
 * Arenas: many small objects in one segment, so that 10,000 locks take a handful
 * of descriptors.
 *
 * A process allocates only in arenas that it made itself, so allocation needs no
 * lock between processes. A slot is used again only when no other process can
 * know it: its handle was never taken, and no child was forked since it was
 * allocated. Otherwise it stays as it is until the whole arena goes: each process
 * unmaps an arena when the last of its objects there is gone, and the kernel
 * frees the memory with the last mapping.
 *
 * All of this runs with the GIL held, except that another thread may fork.
 */
#include "arena.h"

#include <sys/stat.h>

/* Slots come in two sizes. */
#define SIZES 2

struct arena {
    gop_segment segment;
    uint64_t generation; /* of the process that made it; FOREIGN: came by handle */
    size_t objects;      /* slots that objects of this process refer to */
    bool full[SIZES];    /* of slots of that size, until one is given back */
    struct arena *next;
};

#define FOREIGN UINT64_MAX

static arena *arenas;

/* Where to allocate, by size: of `arenas`. One is kept although it is empty. */
static arena *current[SIZES];

static bool
is_own(const arena *a)
{
    return a->generation == engine_process.generation;
}

static void
drop_if_unused(arena *a)
{
    if (a->objects > 0) {
        return;
    }
    for (int size = 0; size < SIZES; size++) {
        const arena *other = current[!size];
        if (a == current[size]) {
            if (other == NULL || other == a || !is_own(other) || other->full[size]) {
                return;
            }
            current[size] = NULL; /* the other will do for both */
        }
    }
    arena **link = &arenas;
    while (*link != a) {
        link = &(*link)->next;
    }
    *link = a->next;
    gop_segment_close(&a->segment);
    PyMem_Free(a);
}

static void
set_current(int size, arena *a)
{
    arena *last = current[size];
    current[size] = a;
    if (last != NULL && last != a) {
        drop_if_unused(last);
    }
}

/* Makes a record of an open segment, which it takes over. */
static arena *
add_arena(const gop_segment *segment, uint64_t generation)
{
    arena *a = PyMem_Calloc(1, sizeof(*a));
    if (a == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    a->segment = *segment;
    a->generation = generation;
    a->next = arenas;
    arenas = a;
    return a;
}

static arena *
create_arena(const gop_engine *e)
{
    gop_segment segment = {.fd = -1};
    int rc = e->gop_arena_create(&segment);
    if (rc < 0) {
        raise_errno(rc, "shared memory for locks and events");
        return NULL;
    }
    arena *a = add_arena(&segment, engine_process.generation);
    if (a == NULL) {
        gop_segment_close(&segment);
    }
    return a;
}

static arena *
find_room(int size)
{
    for (arena *a = arenas; a != NULL; a = a->next) {
        if (is_own(a) && !a->full[size]) {
            return a;
        }
    }
    return NULL;
}

int
slot_create(slot *s, uint32_t kind, uint32_t value, uint32_t max)
{
    if (s->arena != NULL) {
        /* Another thread may be waiting on the slot. */
        PyErr_SetString(PyExc_RuntimeError, "__init__() was called twice");
        return -1;
    }
    const gop_engine *e = engine();
    if (e == NULL) {
        return -1;
    }
    for (int i = 0; i < SIZES; i++) {
        if (current[i] != NULL && !is_own(current[i])) {
            set_current(i, NULL);
        }
    }
    int size = gop_slot_is_large(kind);
    uint64_t offset = 0;
    for (;;) {
        arena *a = current[size];
        if (a == NULL || a->full[size]) {
            a = find_room(size);
            if (a == NULL) {
                a = create_arena(e);
            }
            if (a == NULL) {
                return -1;
            }
            set_current(size, a);
        }
        int rc = e->gop_arena_alloc(&a->segment, kind, value, max, &offset);
        if (rc == 0) {
            break;
        }
        if (rc != -ENOSPC) {
            raise_errno(rc, "slot in shared memory");
            return -1;
        }
        a->full[size] = true;
    }
    current[size]->objects++;
    *s = (slot){
        .arena = current[size],
        .offset = offset,
        .size = size,
        .forks = __atomic_load_n(&engine_process.forks, __ATOMIC_RELAXED),
    };
    return 0;
}

static arena *
find_inode(const struct stat *st)
{
    for (arena *a = arenas; a != NULL; a = a->next) {
        if (a->segment.device == (uint64_t)st->st_dev && a->segment.inode == (uint64_t)st->st_ino) {
            return a;
        }
    }
    return NULL;
}

int
slot_attach(slot *s, int fd, uint64_t offset, uint32_t kind)
{
    const gop_engine *e = engine();
    if (e == NULL) {
        return -1;
    }
    struct stat st;
    if (fstat(fd, &st) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    arena *a = find_inode(&st);
    bool known = a != NULL;
    gop_segment opened;
    int rc = 0;
    if (!known) {
        rc = e->gop_segment_open(&opened, fd, GOP_KIND_ARENA);
    }
    if (rc == 0) {
        rc = e->gop_arena_check(known ? &a->segment : &opened, offset, kind);
        if (rc < 0 && !known) {
            opened.fd = -1; /* the caller's */
            gop_segment_close(&opened);
        }
    }
    if (rc < 0) {
        raise_errno(rc, "handle of a lock or event");
        return -1;
    }
    if (!known) {
        a = add_arena(&opened, FOREIGN);
        if (a == NULL) {
            opened.fd = -1;
            gop_segment_close(&opened);
            return -1;
        }
    }
    else if (!gop_segment_owns_fd(&a->segment)) {
        a->segment.fd = fd;
    }
    else if (fd != a->segment.fd) {
        close(fd);
    }
    a->objects++;
    *s = (slot){.arena = a, .offset = offset, .size = gop_slot_is_large(kind), .shared = true};
    return 0;
}

PyObject *
slot_handle(slot *s)
{
    if (!gop_segment_owns_fd(&s->arena->segment)) {
        return raise_errno(-EBADF, "the descriptor of this object was closed");
    }
    s->shared = true;
    return Py_BuildValue("iK", s->arena->segment.fd, (unsigned long long)s->offset);
}

void *
slot_memory(const slot *s)
{
    return (char *)s->arena->segment.window[0] + s->offset;
}

gop_segment *
slot_segment(const slot *s)
{
    return &s->arena->segment;
}

void
slot_release(slot *s)
{
    arena *a = s->arena;
    if (a == NULL) {
        return;
    }
    s->arena = NULL;
    bool known_here_only = is_own(a) && !s->shared &&
                           s->forks == __atomic_load_n(&engine_process.forks, __ATOMIC_RELAXED);
    const gop_engine *e = engine_if_loaded();
    /* A slot that cannot be freed is left as one that others may know. */
    if (known_here_only && e != NULL && e->gop_arena_free(&a->segment, s->offset) == 0) {
        a->full[s->size] = false;
    }
    a->objects--;
    drop_if_unused(a);
}
