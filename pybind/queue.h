/* The parts of Queue that its files share. */
#ifndef GOPROCESSING_PYBIND_QUEUE_H
#define GOPROCESSING_PYBIND_QUEUE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "engine.h"

/*
 * close() leaves the segment mapped, because qsize(), full(), task_done() and
 * join() go on working on a closed queue of the standard library. So no thread
 * that is blocked in a call can lose the memory: it has a reference to the object.
 */
typedef struct queue_object {
    PyObject_HEAD
    gop_segment segment; /* set once, released with the object */
    bool open;           /* __init__() was called, close() was not */
    bool put_into;       /* by this process */
} queue_object;

/* 0, or -1 with an exception set if the queue has no segment. */
int queue_check(const queue_object *self);

/* For put(obj) while the exception of a pickler is set: leaves it to the caller,
 * or calls the class's own _on_queue_feeder_error. Returns put's result. */
PyObject *queue_pickling_failed(queue_object *self, PyObject *obj);

int joinable_queue_exec(PyObject *module, PyTypeObject *base);

#endif
