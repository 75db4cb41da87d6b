/* A lock that is a Python object: ours, or what has the same methods and `_semlock`,
 * as the standard library's. */
#ifndef GOPROCESSING_LOCK_OBJECT_H
#define GOPROCESSING_LOCK_OBJECT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* 0, or -1 with AssertionError(otherwise) set, if this thread does not have it. */
int lock_object_check(PyObject *lock, const char *otherwise);

/* How often this process has acquired it; -1 with an exception set. */
long lock_object_count(PyObject *lock);

/* Releases it so many times. Returns how often that succeeded; if less, an
 * exception is set. */
long lock_object_release(PyObject *lock, long times);

/* Acquires it so many times, although an exception may be set. 0; or -1, with the
 * exception of acquire() set, whose context is the one before. If that is OwnerDied, of
 * this lock, it was acquired all the same. */
int lock_object_restore(PyObject *lock, long times);

/* Its __enter__ and __exit__. */
PyObject *lock_object_enter(PyObject *lock);
PyObject *lock_object_exit(PyObject *lock, PyObject *const *args, Py_ssize_t nargs);

/* Run by condition_exec. */
int lock_object_exec(void);

#endif
