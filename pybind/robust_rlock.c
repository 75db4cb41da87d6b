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

PyDoc_STRVAR(acquire_doc, "acquire($self, /, block=True, timeout=None)\n--\n\n"
                          "Take the lock, waiting while another thread has it.\n\n"
                          "Return False if it still had, after timeout seconds. Raise OwnerDied\n"
                          "if the lock is taken, but a process died that had it before.");

PyDoc_STRVAR(release_doc, "release($self, /)\n--\n\n"
                          "Undo one acquire(), and with the last free the lock.\n\n"
                          "Raise AssertionError if this thread does not have it.");

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
    {"acquire", (PyCFunction)(void (*)(void))robust_lock_acquire, METH_FASTCALL | METH_KEYWORDS,
     acquire_doc},
    {"release", robust_lock_release, METH_NOARGS, release_doc},
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
