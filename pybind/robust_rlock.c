/* The type RobustRLock: a RobustLock that its owner may acquire again. */
#include "robust.h"

#include "owner.h"

static int
robust_rlock_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":RobustRLock", names)) {
        return -1;
    }
    return semaphore_create((semaphore *)op, GOP_SLOT_ROBUST_RLOCK, 0, 0);
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
    if (gop_robust_rlock_try(self->shared, process, owner_self()) == 0) {
        return 0;
    }
    return engine_block(acquire_call, self->shared, deadline);
}

PyDoc_STRVAR(acquire_doc, "acquire($self, /, block=True, timeout=None)\n--\n\n"
                          "Take the lock, waiting while another thread has it.\n\n"
                          "Return False if it still had, after timeout seconds. Raise OwnerDied\n"
                          "if the lock is taken, but a process died that had it before.");

static PyObject *
robust_rlock_acquire(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return robust_acquired(take(op, args, nargs, kwnames));
}

static PyObject *
robust_rlock_enter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    int rc = take(op, NULL, 0, NULL);
    if (rc == -EOWNERDEAD) {
        gop_robust_rlock_release(((semaphore *)op)->shared, owner_process(), owner_self(), true);
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
    if (gop_robust_rlock_release(shared, process, owner_self(), keep) < 0) {
        PyErr_SetString(PyExc_AssertionError,
                        "attempt to release recursive lock not owned by thread");
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(release_doc, "release($self, /)\n--\n\n"
                          "Undo one acquire(), and with the last free the lock.\n\n"
                          "Raise AssertionError if this thread does not have it.");

static PyObject *
robust_rlock_release(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return release(op, false);
}

static PyObject *
robust_rlock_exit(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    return release(op, robust_is_unrepaired(args, nargs));
}

PyDoc_STRVAR(count_doc, "_count($self, /)\n--\n\n"
                        "Return how often a thread of this process has acquired the lock.");

static PyObject *
robust_rlock_count(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const gop_semaphore *shared = ((semaphore *)op)->shared;
    if (shared == NULL) {
        return raise_uninitialized(op);
    }
    uint64_t process = owner_process();
    if (process == 0) {
        return NULL;
    }
    bool here = gop_robust_lock_is_here(shared, process);
    return PyLong_FromUnsignedLong(here ? __atomic_load_n(&shared->depth, __ATOMIC_RELAXED) : 0);
}

static PyObject *
attach(PyObject *type, PyObject *args)
{
    return semaphore_attach(type, args, GOP_SLOT_ROBUST_RLOCK);
}

static PyMethodDef robust_rlock_methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))robust_rlock_acquire, METH_FASTCALL | METH_KEYWORDS,
     acquire_doc},
    {"release", robust_rlock_release, METH_NOARGS, release_doc},
    {"__enter__", robust_rlock_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))robust_rlock_exit, METH_FASTCALL, NULL},
    {"_count", robust_rlock_count, METH_NOARGS, count_doc},
    {"_attach", attach, METH_VARARGS | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(robust_rlock_doc, "RobustRLock()\n--\n\n"
                               "A recursive lock in shared memory that outlives the process which\n"
                               "has it.");

static PyType_Slot robust_rlock_slots[] = {
    {Py_tp_doc, (void *)robust_rlock_doc},
    {Py_tp_init, robust_rlock_init},
    {Py_tp_methods, robust_rlock_methods},
    {0, NULL},
};

static PyType_Spec robust_rlock_spec = {
    .name = "goprocessing._engine.RobustRLock",
    .basicsize = sizeof(semaphore),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = robust_rlock_slots,
};

int
robust_rlock_exec(PyObject *module)
{
    PyTypeObject *type = module_add_type(module, &robust_rlock_spec, robust_lock_type);
    Py_XDECREF(type);
    return type == NULL ? -1 : 0;
}
