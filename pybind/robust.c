#include "robust.h"

PyObject *robust_owner_died;

PyObject *
robust_acquired(int rc)
{
    switch (rc) {
    case 0:
        Py_RETURN_TRUE;
    case -EAGAIN:
        Py_RETURN_FALSE;
    case WAIT_RAISED:
        return NULL;
    case -EOWNERDEAD:
        PyErr_SetString(robust_owner_died, "a process died that held the lock");
        return NULL;
    default:
        return raise_errno(rc, "acquire");
    }
}

bool
robust_is_unrepaired(PyObject *const *args, Py_ssize_t nargs)
{
    return nargs > 0 && PyErr_GivenExceptionMatches(args[0], robust_owner_died);
}

PyDoc_STRVAR(owner_died_doc,
             "Raised by acquire() of a robust lock or semaphore, which then is acquired:\n"
             "the process that held it before has died.");

int
robust_exec(PyObject *module)
{
    PyObject *type = PyErr_NewExceptionWithDoc("goprocessing.synchronize.OwnerDied", owner_died_doc,
                                               PyExc_RuntimeError, NULL);
    if (type == NULL) {
        return -1;
    }
    Py_XSETREF(robust_owner_died, type);
    if (PyModule_AddObjectRef(module, "OwnerDied", type) < 0 || robust_lock_exec(module) < 0 ||
        robust_rlock_exec(module) < 0)
    {
        return -1;
    }
    return robust_semaphore_exec(module);
}
