/* The type RobustLock: a lock whose next holder is told when one has died. What it does
 * with a recursive one is for RobustRLock. */
#include "robust.h"

#include "owner.h"

static int
robust_lock_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":RobustLock", names)) {
        return -1;
    }
    return semaphore_create((semaphore *)op, GOP_SLOT_ROBUST_LOCK, 0, 0);
}

static bool
is_recursive(const gop_semaphore *shared)
{
    return shared->kind == GOP_SLOT_ROBUST_RLOCK;
}

static int
try_acquire(gop_semaphore *shared, uint64_t process)
{
    return is_recursive(shared) ? gop_robust_rlock_try(shared, process, owner_self())
                                : gop_robust_lock_try(shared, process, owner_self());
}

static int
try_release(gop_semaphore *shared, uint64_t process, bool keep)
{
    return is_recursive(shared) ? gop_robust_rlock_release(shared, process, owner_self(), keep)
                                : gop_robust_lock_release(shared, process, keep);
}

static int
acquire_call(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    return e->gop_robust_lock_acquire(arg, owner_self(), how, deadline);
}

/* What robust_acquired() takes. */
static int
take(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    semaphore *self = (semaphore *)op;
    if (self->shared == NULL) {
        raise_uninitialized(op);
        return WAIT_RAISED;
    }
    int64_t deadline;
    uint64_t process;
    if (semaphore_deadline(args, nargs, kwnames, &deadline) < 0 || (process = owner_process()) == 0)
    {
        return WAIT_RAISED;
    }
    if (try_acquire(self->shared, process) == 0) {
        return 0;
    }
    return engine_block(acquire_call, self->shared, deadline);
}

PyDoc_STRVAR(acquire_doc, "acquire($self, /, block=True, timeout=None)\n--\n\n"
                          "Take the lock, waiting while another has it.\n\n"
                          "Return False if it still had, after timeout seconds. Raise OwnerDied\n"
                          "if the lock is taken, but a process died that had it before.");

PyObject *
robust_lock_acquire(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return robust_acquired(take(op, args, nargs, kwnames));
}

static PyObject *
robust_lock_enter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    int rc = take(op, NULL, 0, NULL);
    if (rc == -EOWNERDEAD) {
        (void)try_release(((semaphore *)op)->shared, owner_process(), true);
    }
    return robust_acquired(rc);
}

static PyObject *
release(PyObject *op, bool keep)
{
    gop_semaphore *shared = ((semaphore *)op)->shared;
    if (shared == NULL) {
        return raise_uninitialized(op);
    }
    uint64_t process = owner_process();
    if (process == 0) {
        return NULL;
    }
    if (try_release(shared, process, keep) < 0) {
        if (is_recursive(shared)) {
            PyErr_SetString(PyExc_AssertionError,
                            "attempt to release recursive lock not owned by thread");
        }
        else {
            PyErr_SetString(PyExc_ValueError,
                            "robust lock released by a process that does not have it");
        }
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(release_doc, "release($self, /)\n--\n\n"
                          "Free the lock.\n\n"
                          "Raise ValueError if this process does not have it.");

PyObject *
robust_lock_release(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return release(op, false);
}

static PyObject *
robust_lock_exit(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    return release(op, robust_is_unrepaired(args, nargs));
}

PyDoc_STRVAR(get_value_doc, "get_value($self, /)\n--\n\nReturn 1 if the lock is free, else 0.");

static PyObject *
robust_lock_get_value(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const gop_semaphore *shared = ((semaphore *)op)->shared;
    return shared == NULL ? raise_uninitialized(op)
                          : PyLong_FromLong(!gop_robust_lock_is_held(shared));
}

PyDoc_STRVAR(locked_doc, "locked($self, /)\n--\n\n"
                         "Return whether a process has the lock, or had it when it died.");

static PyObject *
robust_lock_locked(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const gop_semaphore *shared = ((semaphore *)op)->shared;
    return shared == NULL ? raise_uninitialized(op)
                          : PyBool_FromLong(gop_robust_lock_is_held(shared));
}

PyDoc_STRVAR(is_mine_doc, "_is_mine($self, /)\n--\n\nReturn whether this thread has the lock.");

static PyObject *
robust_lock_is_mine(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const gop_semaphore *shared = ((semaphore *)op)->shared;
    if (shared == NULL) {
        return raise_uninitialized(op);
    }
    uint64_t process = owner_process();
    return process == 0 ? NULL
                        : PyBool_FromLong(gop_robust_lock_is_owned(shared, process, owner_self()));
}

PyDoc_STRVAR(count_doc, "_count($self, /)\n--\n\nReturn 1 if this process has the lock.");

static PyObject *
robust_lock_count(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const gop_semaphore *shared = ((semaphore *)op)->shared;
    if (shared == NULL) {
        return raise_uninitialized(op);
    }
    uint64_t process = owner_process();
    return process == 0 ? NULL : PyLong_FromLong(gop_robust_lock_is_here(shared, process));
}

static PyObject *
robust_lock_max(PyObject *op, void *Py_UNUSED(closure))
{
    return ((semaphore *)op)->shared == NULL ? raise_uninitialized(op) : PyLong_FromLong(1);
}

static PyObject *
attach(PyObject *type, PyObject *args)
{
    return semaphore_attach(type, args, GOP_SLOT_ROBUST_LOCK);
}

static PyMethodDef robust_lock_methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))robust_lock_acquire, METH_FASTCALL | METH_KEYWORDS,
     acquire_doc},
    {"release", robust_lock_release, METH_NOARGS, release_doc},
    {"__enter__", robust_lock_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))robust_lock_exit, METH_FASTCALL, NULL},
    {"get_value", robust_lock_get_value, METH_NOARGS, get_value_doc},
    {"locked", robust_lock_locked, METH_NOARGS, locked_doc},
    {"_get_value", robust_lock_get_value, METH_NOARGS, get_value_doc},
    {"_is_zero", robust_lock_locked, METH_NOARGS, locked_doc},
    {"_is_mine", robust_lock_is_mine, METH_NOARGS, is_mine_doc},
    {"_count", robust_lock_count, METH_NOARGS, count_doc},
    {"_attach", attach, METH_VARARGS | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef robust_lock_getset[] = {
    {"maxvalue", robust_lock_max, NULL, "1", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(robust_lock_doc, "RobustLock()\n--\n\n"
                              "A lock in shared memory that outlives the process which has it.");

static PyType_Slot robust_lock_slots[] = {
    {Py_tp_doc, (void *)robust_lock_doc},
    {Py_tp_init, robust_lock_init},
    {Py_tp_methods, robust_lock_methods},
    {Py_tp_getset, robust_lock_getset},
    {0, NULL},
};

static PyType_Spec robust_lock_spec = {
    .name = "goprocessing._engine.RobustLock",
    .basicsize = sizeof(semaphore),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = robust_lock_slots,
};

PyTypeObject *robust_lock_type;

/* ---- InheritedLock: nobody is told ---- */

/* Not in Python, where a signal handler could raise after the lock was taken and
 * before the with statement knows. */
static PyObject *
inherited_lock_acquire(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    int rc = take(op, args, nargs, kwnames);
    return robust_acquired(rc == -EOWNERDEAD ? 0 : rc);
}

static PyObject *
inherited_lock_enter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return inherited_lock_acquire(op, NULL, 0, NULL);
}

static PyMethodDef inherited_lock_methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))inherited_lock_acquire, METH_FASTCALL | METH_KEYWORDS,
     NULL},
    {"__enter__", inherited_lock_enter, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(inherited_lock_doc,
             "InheritedLock()\n--\n\n"
             "A robust lock for what a process that dies leaves in order: nobody is told.");

static PyType_Slot inherited_lock_slots[] = {
    {Py_tp_doc, (void *)inherited_lock_doc},
    {Py_tp_methods, inherited_lock_methods},
    {0, NULL},
};

static PyType_Spec inherited_lock_spec = {
    .name = "goprocessing._engine.InheritedLock",
    .basicsize = sizeof(semaphore),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = inherited_lock_slots,
};

int
robust_lock_exec(PyObject *module)
{
    PyTypeObject *type = module_add_type(module, &robust_lock_spec, semaphore_type);
    Py_XSETREF(robust_lock_type, type);
    if (type == NULL) {
        return -1;
    }
    PyTypeObject *inherited = module_add_type(module, &inherited_lock_spec, type);
    Py_XDECREF(inherited);
    return inherited == NULL ? -1 : 0;
}
