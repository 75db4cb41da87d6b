/* The parts of Queue that its files share. */
#ifndef GOPROCESSING_PYBIND_QUEUE_H
#define GOPROCESSING_PYBIND_QUEUE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "codec.h"
#include "engine.h"
#include "record.h"

/*
 * close() leaves the segment mapped, because qsize(), full(), task_done() and
 * join() go on working on a closed queue of the standard library. So no thread
 * that is blocked in a call can lose the memory: it has a reference to the object.
 */
typedef struct queue_object {
    PyObject_HEAD
    gop_queue queue;           /* set once, released with the object */
    bool readable;             /* __init__() was called, close() was not */
    bool writable;             /* the same; each end can also be closed by itself */
    bool put_into;             /* by this process */
    PyObject *codec;           /* what makes bytes of objects, and objects of bytes; NULL: pickle */
    PyObject *encode, *decode; /* its attributes; None: objects are bytes */
} queue_object;

typedef enum queue_kind { QUEUE_PLAIN, QUEUE_JOINABLE, QUEUE_REDELIVERS } queue_kind;

/* The limit that the argument of a constructor stands for, 0 if there is none. 0, or -1
 * with an exception set. */
int queue_maxsize_from(PyObject *arg, uint64_t *maxsize);

/* Makes the segment of a queue for its tp_init; maxsize and codec may be NULL. 0, or -1
 * with an exception set. */
int queue_make(queue_object *self, PyObject *maxsize, PyObject *codec, queue_kind kind);

/* 0, or -1 with an exception set if the queue has no segment. */
int queue_check(const queue_object *self);

/* Raises the standard library's ValueError for a queue that was closed. */
PyObject *queue_raise_not_open(queue_object *self);

/* Puts one record. Returns None, or NULL with queue.Full, ShutDown, ... set. */
PyObject *queue_write(queue_object *self, const gop_item *item, int64_t deadline);

/* Takes the next record with its extents. Returns as record_read. */
int queue_take(queue_object *self, record_sink *sink, int64_t deadline, PyObject **bytes);

/* Gets the object of the next record. NULL with queue.Empty, ShutDown, ... set. */
PyObject *queue_receive(queue_object *self, int64_t deadline);

/* Return NULL with the exception set for what the engine has returned, but for 0. */
PyObject *queue_put_failed(int rc);
PyObject *queue_get_failed(int rc);

/* For put(obj) while the exception of a pickler is set: leaves it to the caller,
 * or calls the class's own _on_queue_feeder_error. Returns put's result. */
PyObject *queue_pickling_failed(queue_object *self, PyObject *obj);

/* queue_many.c */
extern const char queue_put_many_doc[];
extern const char queue_get_many_doc[];
PyObject *queue_put_many(queue_object *self, PyObject *const *args, Py_ssize_t nargs,
                         PyObject *kwnames);
PyObject *queue_get_many(queue_object *self, PyObject *const *args, Py_ssize_t nargs,
                         PyObject *kwnames);

/* queue_bytes.c */

/* Gets the bytes of the next record. NULL with queue.Empty, ShutDown, ... set. */
PyObject *queue_receive_bytes(queue_object *self, int64_t deadline);

extern const char queue_put_bytes_doc[];
extern const char queue_get_bytes_doc[];
PyObject *queue_put_bytes(queue_object *self, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *kwnames);
PyObject *queue_get_bytes(queue_object *self, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *kwnames);

/* queue_codec.c: of a queue that has a codec, but for queue_set_codec and queue_decoded */

/* Gives a new object its codec; None or NULL: pickle. 0, or -1 with an exception set. */
int queue_set_codec(queue_object *self, PyObject *codec);

/* The bytes of obj, as codec_encode. */
int queue_encode(queue_object *self, PyObject *obj, codec_item *item);

/* The object of bytes, which it takes over, and appends to a list if it fails: NULL with
 * the codec's exception set. */
PyObject *queue_decode(queue_object *self, PyObject *bytes, PyObject *undecoded);

/* What a call returns that decodes several items: objs; or NULL, if `failure` is not, with
 * that set, and both lists in its attributes. Takes over all three. */
PyObject *queue_decoded(PyObject *objs, PyObject *undecoded, PyObject *failure);

/* Gets the object of the next record, as queue_receive. */
PyObject *queue_receive_encoded(queue_object *self, int64_t deadline);

/* queue_shutdown.c */
extern const char queue_shutdown_doc[];
PyObject *queue_shutdown(queue_object *self, PyObject *const *args, Py_ssize_t nargs,
                         PyObject *kwnames);

/* queue_ends.c: what is behind _reader and _writer */

/* Waits until get() would not: 1; 0 if that is not so before the deadline; -1 with
 * an exception set. */
int queue_await(queue_object *self, int64_t deadline);

extern const char queue_poll_doc[];
extern const char queue_watch_doc[];
extern const char queue_close_reader_doc[];
extern const char queue_close_writer_doc[];
PyObject *queue_poll(queue_object *self, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames);
PyObject *queue_watch(queue_object *self, PyObject *ignored);
PyObject *queue_close_reader(queue_object *self, PyObject *ignored);
PyObject *queue_close_writer(queue_object *self, PyObject *ignored);

int joinable_queue_exec(PyObject *module, PyTypeObject *base);

#endif
