/*
 * Records on their way into and out of the engine, the same for queues and
 * connections. A record is the pickle of an item, or the bytes of a message.
 */
#ifndef GOPROCESSING_PYBIND_RECORD_H
#define GOPROCESSING_PYBIND_RECORD_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "engine.h"

/* A record to write: the arg of a blocking_call that writes. */
typedef struct record_source {
    void *target; /* gop_queue or gop_conn */
    gop_item item;
} record_source;

/* Whether the record has no more than its first part. */
static inline bool
record_is_simple(const record_source *source)
{
    return source->item.parts[1].data == NULL && source->item.nbuffers == 0;
}

/* Runs a call that copies `size` bytes, in which time other threads may run if they are
 * many. Returns as engine_block. */
int record_run(blocking_call call, void *arg, uint64_t size, int64_t deadline);

/* Runs call with source. Returns as engine_block. */
int record_write(blocking_call call, record_source *source, int64_t deadline);

/* Where a record is read to: the arg of a blocking_call that reads. */
typedef struct record_sink {
    void *origin; /* gop_queue or gop_conn */
    char *buf;
    uint64_t cap;
    gop_received received; /* of blocking_calls that copy only len is set */
} record_sink;

/*
 * Runs call with sink until a record of at most `limit` bytes is read. It is in
 * buf if sink->cap was enough for it, with *bytes NULL; else in a new object in
 * *bytes. Returns as engine_block; -EMSGSIZE: the record has received.len bytes,
 * more than limit, and was not taken. Changes sink's buf and cap.
 */
int record_read(blocking_call call, record_sink *sink, uint64_t limit, int64_t deadline,
                PyObject **bytes);

/*
 * The object that a record stands for which a receiving call has read, with its
 * extents, from `segment` of `origin`. Takes over `bytes`, which may be NULL: the
 * record is in `buf` then.
 */
PyObject *record_decode(PyObject *origin, gop_segment *segment, const gop_received *received,
                        const char *buf, PyObject *bytes);

/* The same in two steps: what pickler_loads makes the object of, as a tuple, with None
 * for no buffers. */
PyObject *record_parts(PyObject *origin, gop_segment *segment, const gop_received *received,
                       const char *buf, PyObject *bytes);

/* The pickle of obj, the result of record_decode or NULL, as bytes; takes it over. */
PyObject *record_pickle(PyObject *obj);

/* The bytes of such a record as they were written; if it has buffers, the pickle of its
 * object. */
PyObject *record_bytes(PyObject *origin, gop_segment *segment, const gop_received *received,
                       const char *buf, PyObject *bytes);

/* Most records fit into a buffer of this size on the stack. */
#define RECORD_INLINE 2048

#endif
