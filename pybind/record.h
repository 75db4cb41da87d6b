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
    gop_bytes data;
    uint64_t len;
} record_source;

/* Runs call with source. Returns as engine_block. */
int record_write(blocking_call call, record_source *source, int64_t deadline);

/* Where a record is read to: the arg of a blocking_call that reads. */
typedef struct record_sink {
    void *origin; /* gop_queue or gop_conn */
    char *buf;
    uint64_t cap;
    uint64_t len; /* set to the length of the record */
} record_sink;

/*
 * Runs call with sink until a record of at most `limit` bytes is read. It is in
 * buf if sink->cap was enough for it, with *bytes NULL; else in a new object in
 * *bytes. Returns as engine_block; -EMSGSIZE: the record has sink->len bytes,
 * more than limit, and was not taken. Changes sink's buf and cap.
 */
int record_read(blocking_call call, record_sink *sink, uint64_t limit, int64_t deadline,
                PyObject **bytes);

/* Most records fit into a buffer of this size on the stack. */
#define RECORD_INLINE 2048

#endif
