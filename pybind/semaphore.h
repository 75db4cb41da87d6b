/* Semaphores, and RLock and robust locks, which are made of the same words. */
#ifndef GOPROCESSING_SEMAPHORE_H
#define GOPROCESSING_SEMAPHORE_H

#include "arena.h"

typedef struct {
    PyObject_HEAD
    gop_semaphore *shared; /* NULL until __init__ or _attach */
    slot slot;
} semaphore;

extern PyTypeObject *semaphore_type;

/* What __init__ does: makes the slot. 0, or -1 with an exception set. */
int semaphore_create(semaphore *self, uint32_t kind, uint32_t value, uint32_t max);

/* What _attach(fd, offset) does. */
PyObject *semaphore_attach(PyObject *type, PyObject *args, uint32_t kind);

/* Until when acquire(block=True, timeout=None) waits. 0, or -1 with an exception set. */
int semaphore_deadline(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                       int64_t *deadline);

/* Waits with an engine function that takes self->shared: True, or False at the
 * deadline, or NULL. */
PyObject *semaphore_wait(semaphore *self, blocking_call call, int64_t deadline);

#endif
