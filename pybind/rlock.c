/* The type RLock: a semaphore that its owner may acquire again. */
#include "semaphore.h"

#include "owner.h"

static int
rlock_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":RLock", names)) {
        return -1;
    }
    return semaphore_create((semaphore *)op, GOP_SLOT_RLOCK, 1, 1);
}

static int
acquire_call(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    return e->gop_rlock_acquire(arg, owner_self(), how, deadline);
}

PyDoc_STRVAR(acquire_doc, "acquire($self, /, block=True, timeout=None)\n--\n\n"
                          "Take the lock, waiting while another thread has it.\n\n"
                          "Return False if it still had, after timeout seconds.");

static PyObject *
rlock_acquire(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    semaphore *self = (semaphore *)op;
    if (self->shared == NULL) {
        return raise_uninitialized(op);
    }
    int64_t deadline;
    if (semaphore_deadline(args, nargs, kwnames, &deadline) < 0) {
        return NULL;
    }
    if (gop_rlock_try(self->shared, owner_self()) == 0) {
        Py_RETURN_TRUE;
    }
    return semaphore_wait(self, acquire_call, deadline);
}

static PyObject *
rlock_enter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return rlock_acquire(op, NULL, 0, NULL);
}

PyDoc_STRVAR(release_doc, "release($self, /)\n--\n\n"
                          "Undo one acquire(), and with the last free the lock.\n\n"
                          "Raise AssertionError if this thread does not have it.");

static PyObject *
rlock_release(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    gop_semaphore *shared = ((semaphore *)op)->shared;
    if (shared == NULL) {
        return raise_uninitialized(op);
    }
    if (gop_rlock_release(shared, owner_self()) < 0) {
        PyErr_SetString(PyExc_AssertionError,
                        "attempt to release recursive lock not owned by thread");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
rlock_exit(PyObject *op, PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(nargs))
{
    return rlock_release(op, NULL);
}

PyDoc_STRVAR(is_mine_doc, "_is_mine($self, /)\n--\n\nReturn whether this thread has the lock.");

static PyObject *
rlock_is_mine(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const gop_semaphore *shared = ((semaphore *)op)->shared;
    if (shared == NULL) {
        return raise_uninitialized(op);
    }
    return PyBool_FromLong(gop_rlock_is_owned(shared, owner_self()));
}

PyDoc_STRVAR(count_doc, "_count($self, /)\n--\n\n"
                        "Return how often a thread of this process has acquired the lock.");

static PyObject *
rlock_count(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    const gop_semaphore *shared = ((semaphore *)op)->shared;
    if (shared == NULL) {
        return raise_uninitialized(op);
    }
    bool here = owner_is_here(gop_semaphore_owner(shared));
    return PyLong_FromUnsignedLong(here ? __atomic_load_n(&shared->depth, __ATOMIC_RELAXED) : 0);
}

static PyObject *
attach(PyObject *type, PyObject *args)
{
    return semaphore_attach(type, args, GOP_SLOT_RLOCK);
}

static PyMethodDef rlock_methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))rlock_acquire, METH_FASTCALL | METH_KEYWORDS,
     acquire_doc},
    {"release", rlock_release, METH_NOARGS, release_doc},
    {"__enter__", rlock_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))rlock_exit, METH_FASTCALL, NULL},
    {"_is_mine", rlock_is_mine, METH_NOARGS, is_mine_doc},
    {"_count", rlock_count, METH_NOARGS, count_doc},
    {"_attach", attach, METH_VARARGS | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(rlock_doc, "RLock()\n--\n\nA recursive lock in shared memory.");

static PyType_Slot rlock_slots[] = {
    {Py_tp_doc, (void *)rlock_doc},
    {Py_tp_init, rlock_init},
    {Py_tp_methods, rlock_methods},
    {0, NULL},
};

static PyType_Spec rlock_spec = {
    .name = "goprocessing._engine.RLock",
    .basicsize = sizeof(semaphore),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = rlock_slots,
};

int
rlock_exec(PyObject *module)
{
    PyTypeObject *type = module_add_type(module, &rlock_spec, semaphore_type);
    Py_XDECREF(type);
    return type == NULL ? -1 : 0;
}
