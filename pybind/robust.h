/* Locks and semaphores that outlive the process which holds them. */
#ifndef GOPROCESSING_ROBUST_H
#define GOPROCESSING_ROBUST_H

#include "semaphore.h"

/* The base of RobustRLock, and methods that it has with docstrings of its own. */
extern PyTypeObject *robust_lock_type;
PyObject *robust_lock_acquire(PyObject *op, PyObject *const *args, Py_ssize_t nargs,
                              PyObject *kwnames);
PyObject *robust_lock_release(PyObject *op, PyObject *unused);

/* GOP_SEM_MAX permits would be more than calls can look through: core.MaxPermits. */
#define ROBUST_MAX_PERMITS 16384

/* The exception OwnerDied. */
extern PyObject *robust_owner_died;

/* What acquire() returns when the engine has returned rc: True, False, or NULL with an
 * exception set, which for -EOWNERDEAD is OwnerDied. Only rc tells whether that means
 * the lock was acquired: a signal handler may have raised it (WAIT_RAISED). */
PyObject *robust_acquired(int rc);

/* Whether OwnerDied ends the with statement whose __exit__ has these arguments: then
 * nobody has repaired anything, and the next is to be told, too. */
bool robust_is_unrepaired(PyObject *const *args, Py_ssize_t nargs);

/* Run by robust_exec. */
int robust_lock_exec(PyObject *module);
int robust_rlock_exec(PyObject *module);
int robust_semaphore_exec(PyObject *module);

#endif
