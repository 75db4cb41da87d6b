/*
 * Extents of received items.
 *
 * What a process received is its own: after a fork, neither parent nor child sees
 * what the other writes to it, and the child may have it for longer than the
 * parent. But an extent is shared memory, and is used again when the parent has
 * released it. So before each fork the memory of extents in use becomes private:
 * the same addresses are mapped anew, copy-on-write, and written to. What other
 * threads write meanwhile is not lost, since the kernel copies page by page.
 *
 * In the parent the extent stays taken, for its place in the window of the segment
 * is, and both are given back with the object. In the child the private memory has
 * been taken out of the window, of which the child maps another at next use.
 */
#define _GNU_SOURCE
#include "extent.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

typedef struct extent_object {
    PyObject_HEAD
    extent_origin origin;
    gop_ref ref;
    void *data;
    enum {
        SHARED,  /* as the segment has it */
        PRIVATE, /* a copy, in its place */
        ALONE,   /* a copy; this process is a child of the one that received it */
    } memory;
    struct extent_object *next, **link; /* in `extents`, unless ALONE */
} extent_object;

/* Those in use, under the mutex: a thread may fork without the GIL. */
static extent_object *extents;
static pthread_mutex_t in_use = PTHREAD_MUTEX_INITIALIZER;

static PyTypeObject *extent_type;

static size_t
pages(const extent_object *x)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (x->ref.len + page - 1) & ~(page - 1);
}

/* ---- fork ---- */

/* Maps the extent's pages anew, as a copy on write, and writes to each. */
static bool
map_copy(const extent_object *x)
{
    size_t size = pages(x);
    if (!gop_segment_owns_fd(x->origin.segment) ||
        mmap(x->data, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, x->origin.segment->fd,
             (off_t)x->ref.offset) == MAP_FAILED)
    {
        return false;
    }
    if (madvise(x->data, size, MADV_POPULATE_WRITE) < 0) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        for (size_t i = 0; i < size; i += page) {
            __atomic_fetch_or((char *)x->data + i, 0, __ATOMIC_RELAXED);
        }
    }
    return true;
}

/* The same for a daemon that closed the segment's descriptor. What other threads
 * write meanwhile may be lost. */
static bool
move_copy(const extent_object *x)
{
    size_t size = pages(x);
    void *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED) {
        return false;
    }
    memcpy(copy, x->data, x->ref.len);
    if (mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, x->data) == MAP_FAILED) {
        munmap(copy, size);
        return false;
    }
    return true;
}

static void
make_private(extent_object *x)
{
    if (x->memory == SHARED && (map_copy(x) || move_copy(x))) {
        x->memory = PRIVATE;
    }
}

static void
before_fork(void)
{
    pthread_mutex_lock(&in_use);
    for (extent_object *x = extents; x != NULL; x = x->next) {
        make_private(x);
    }
}

static void
after_fork_in_parent(void)
{
    pthread_mutex_unlock(&in_use);
}

/* Two lists that are sorted by address, as one. */
static extent_object *
merge(extent_object *a, extent_object *b)
{
    extent_object *first, **end = &first;
    while (a != NULL && b != NULL) {
        extent_object **lower = a->data < b->data ? &a : &b;
        *end = *lower;
        end = &(*lower)->next;
        *lower = *end;
    }
    *end = a != NULL ? a : b;
    return first;
}

/* A list sorted by address, without its links backwards. */
static extent_object *
sort(extent_object *list)
{
    if (list == NULL || list->next == NULL) {
        return list;
    }
    extent_object *middle = list;
    for (extent_object *x = list->next; x != NULL && x->next != NULL; x = x->next->next) {
        middle = middle->next;
    }
    extent_object *rest = middle->next;
    middle->next = NULL;
    return merge(sort(list), sort(rest));
}

static void
unmap(char *from, char *to)
{
    if (to > from) {
        munmap(from, (size_t)(to - from));
    }
}

/* Unmaps the window that an extent lies in, but for the extents in use, which are
 * sorted. Returns the first one beyond. */
static extent_object *
leave_window(extent_object *x)
{
    gop_segment *s = x->origin.segment;
    for (int k = 1; k < GOP_WINDOWS; k++) {
        char *at = s->window[k];
        size_t size = GOP_WINDOW0 << (k - 1);
        if (at == NULL || (char *)x->data < at || (char *)x->data >= at + size) {
            continue;
        }
        s->window[k] = NULL;
        char *end = at + size;
        for (; x != NULL && (char *)x->data < end; x = x->next) {
            unmap(at, x->data);
            at = (char *)x->data + pages(x);
        }
        unmap(at, end);
        return x;
    }
    return x->next;
}

static void
after_fork_in_child(void)
{
    extents = sort(extents);
    for (extent_object *x = extents; x != NULL; x = x->next) {
        x->memory = ALONE;
    }
    for (extent_object *x = extents; x != NULL;) {
        x = leave_window(x);
    }
    extents = NULL;
    pthread_mutex_unlock(&in_use);
}

/* ---- the object ---- */

void
extent_release(gop_segment *segment, gop_ref ref)
{
    const gop_engine *e = engine_if_loaded();
    if (e != NULL) {
        e->gop_extent_release(segment, ref);
    }
}

bool
extent_in_use(const gop_segment *segment)
{
    pthread_mutex_lock(&in_use);
    const extent_object *x = extents;
    while (x != NULL && x->origin.segment != segment) {
        x = x->next;
    }
    pthread_mutex_unlock(&in_use);
    return x != NULL;
}

/* Puts the extent back into its place. */
static bool
restore(extent_object *x)
{
    return gop_segment_owns_fd(x->origin.segment) &&
           mmap(x->data, pages(x), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
                x->origin.segment->fd, (off_t)x->ref.offset) != MAP_FAILED;
}

/* The origin may refer to what was received from it. */
static int
extent_traverse(extent_object *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->origin.object);
    return 0;
}

static void
extent_dealloc(extent_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->memory == ALONE) {
        munmap(self->data, pages(self));
    }
    else {
        pthread_mutex_lock(&in_use);
        *self->link = self->next;
        if (self->next != NULL) {
            self->next->link = self->link;
        }
        pthread_mutex_unlock(&in_use);
        /* An extent whose place is not restored must not be used again. */
        if (self->memory == SHARED || restore(self)) {
            extent_release(self->origin.segment, self->ref);
        }
    }
    Py_DECREF(self->origin.object);
    type->tp_free(self);
    Py_DECREF(type);
}

static int
extent_getbuffer(extent_object *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, (PyObject *)self, self->data, (Py_ssize_t)self->ref.len, 0,
                             flags);
}

static extent_object *
extent_new(const extent_origin *origin, gop_ref ref, void *data)
{
    extent_object *self = (extent_object *)extent_type->tp_alloc(extent_type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->origin = *origin;
    Py_INCREF(origin->object);
    self->ref = ref;
    self->data = data;
    pthread_mutex_lock(&in_use);
    self->next = extents;
    self->link = &extents;
    if (extents != NULL) {
        extents->link = &self->next;
    }
    extents = self;
    pthread_mutex_unlock(&in_use);
    return self;
}

PyObject *
extent_view(const extent_origin *origin, gop_ref ref)
{
    const gop_engine *e = engine();
    if (e == NULL) {
        return NULL;
    }
    void *data;
    int rc = e->gop_extent_map(origin->segment, ref, &data);
    if (rc < 0) {
        extent_release(origin->segment, ref);
        return raise_errno(rc, "cannot map a received buffer");
    }
    extent_object *self = extent_new(origin, ref, data);
    if (self == NULL) {
        extent_release(origin->segment, ref);
        return NULL;
    }
    PyObject *view = PyMemoryView_FromObject((PyObject *)self);
    Py_DECREF(self);
    return view;
}

PyDoc_STRVAR(extent_doc, "Shared memory that holds a received buffer.");

static PyType_Slot extent_slots[] = {
    {Py_tp_doc, (void *)extent_doc},
    {Py_tp_dealloc, extent_dealloc},
    {Py_tp_traverse, extent_traverse},
    {Py_bf_getbuffer, extent_getbuffer},
    {0, NULL},
};

static PyType_Spec extent_spec = {
    .name = "goprocessing._engine.Extent",
    .basicsize = sizeof(extent_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = extent_slots,
};

int
extent_exec(PyObject *module)
{
    static bool registered;
    if (!registered) {
        int error = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
        if (error != 0) {
            raise_errno(-error, "pthread_atfork");
            return -1;
        }
        registered = true;
    }
    Py_XSETREF(extent_type, module_add_type(module, &extent_spec, NULL));
    return extent_type == NULL ? -1 : 0;
}
