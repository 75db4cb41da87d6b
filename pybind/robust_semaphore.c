/* The type RobustSemaphore: a semaphore whose permits come back from the dead. */
#include "robust.h"

static int
robust_semaphore_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"value", NULL};
    long value = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|l:RobustSemaphore", names, &value)) {
        return -1;
    }
    if (value < 1 || value > ROBUST_MAX_PERMITS) {
        PyErr_Format(PyExc_ValueError, "the value of a robust semaphore must be from 1 to %d",
                     ROBUST_MAX_PERMITS);
        return -1;
    }
    return semaphore_create((semaphore *)op, GOP_SLOT_ROBUST_SEMAPHORE, 0, (uint32_t)value);
}

static int
acquire_call(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    const slot *s = arg;
    return e->gop_robust_semaphore_acquire(slot_segment(s), s->offset, how, deadline);
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
    if (semaphore_deadline(args, nargs, kwnames, &deadline) < 0) {
        return WAIT_RAISED;
    }
    return engine_block(acquire_call, &self->slot, deadline);
}

PyDoc_STRVAR(acquire_doc, "acquire($self, /, block=True, timeout=None)\n--\n\n"
                          "Take a permit, waiting until one is free.\n\n"
                          "Return False if none was, within timeout seconds. Raise OwnerDied if\n"
                          "a permit is taken, but a process died that had it before.");

static PyObject *
robust_semaphore_acquire(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    return robust_acquired(take(op, args, nargs, kwnames));
}

static PyObject *
release(PyObject *op, bool keep)
{
    semaphore *self = (semaphore *)op;
    if (self->shared == NULL) {
        return raise_uninitialized(op);
    }
    const gop_engine *e = engine();
    if (e == NULL) {
        return NULL;
    }
    int rc = e->gop_robust_semaphore_release(slot_segment(&self->slot), self->slot.offset, keep);
    if (rc == -EPERM) {
        PyErr_SetString(PyExc_ValueError, "semaphore released more often than this process has "
                                          "acquired it");
        return NULL;
    }
    if (rc < 0) {
        return raise_errno(rc, "release");
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(release_doc, "release($self, /)\n--\n\n"
                          "Give back a permit, and wake a process that waits for one.\n\n"
                          "Raise ValueError if this process has none.");

static PyObject *
robust_semaphore_release(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return release(op, false);
}

static PyObject *
robust_semaphore_enter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    int rc = take(op, NULL, 0, NULL);
    if (rc == -EOWNERDEAD) {
        PyObject *released = release(op, true);
        if (released == NULL) {
            return NULL;
        }
        Py_DECREF(released);
    }
    return robust_acquired(rc);
}

static PyObject *
robust_semaphore_exit(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    return release(op, robust_is_unrepaired(args, nargs));
}

/* What an engine function counts; -1 with an exception set. */
static long
count(PyObject *op, bool here)
{
    semaphore *self = (semaphore *)op;
    if (self->shared == NULL) {
        raise_uninitialized(op);
        return -1;
    }
    const gop_engine *e = engine();
    if (e == NULL) {
        return -1;
    }
    gop_segment *segment = slot_segment(&self->slot);
    int n = here ? e->gop_robust_semaphore_held(segment, self->slot.offset)
                 : e->gop_robust_semaphore_value(segment, self->slot.offset);
    if (n < 0) {
        raise_errno(n, "semaphore");
        return -1;
    }
    return n;
}

PyDoc_STRVAR(get_value_doc, "get_value($self, /)\n--\n\nReturn how many permits are free.");

static PyObject *
robust_semaphore_get_value(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    long n = count(op, false);
    return n < 0 ? NULL : PyLong_FromLong(n);
}

PyDoc_STRVAR(locked_doc, "locked($self, /)\n--\n\n"
                         "Return whether no permit is free, so that acquire() would wait.");

static PyObject *
robust_semaphore_locked(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    long n = count(op, false);
    return n < 0 ? NULL : PyBool_FromLong(n == 0);
}

PyDoc_STRVAR(is_mine_doc, "_is_mine($self, /)\n--\n\nReturn whether this process has a permit.");

static PyObject *
robust_semaphore_is_mine(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    long n = count(op, true);
    return n < 0 ? NULL : PyBool_FromLong(n > 0);
}

PyDoc_STRVAR(count_doc, "_count($self, /)\n--\n\nReturn how many permits this process has.");

static PyObject *
robust_semaphore_count(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    long n = count(op, true);
    return n < 0 ? NULL : PyLong_FromLong(n);
}

static PyObject *
attach(PyObject *type, PyObject *args)
{
    return semaphore_attach(type, args, GOP_SLOT_ROBUST_SEMAPHORE);
}

static PyMethodDef robust_semaphore_methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))robust_semaphore_acquire,
     METH_FASTCALL | METH_KEYWORDS, acquire_doc},
    {"release", robust_semaphore_release, METH_NOARGS, release_doc},
    {"__enter__", robust_semaphore_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))robust_semaphore_exit, METH_FASTCALL, NULL},
    {"get_value", robust_semaphore_get_value, METH_NOARGS, get_value_doc},
    {"locked", robust_semaphore_locked, METH_NOARGS, locked_doc},
    {"_get_value", robust_semaphore_get_value, METH_NOARGS, get_value_doc},
    {"_is_zero", robust_semaphore_locked, METH_NOARGS, locked_doc},
    {"_is_mine", robust_semaphore_is_mine, METH_NOARGS, is_mine_doc},
    {"_count", robust_semaphore_count, METH_NOARGS, count_doc},
    {"_attach", attach, METH_VARARGS | METH_CLASS, NULL},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(robust_semaphore_doc, "RobustSemaphore(value=1)\n--\n\n"
                                   "A semaphore in shared memory whose permits come back when a\n"
                                   "process dies that has some.");

static PyType_Slot robust_semaphore_slots[] = {
    {Py_tp_doc, (void *)robust_semaphore_doc},
    {Py_tp_init, robust_semaphore_init},
    {Py_tp_methods, robust_semaphore_methods},
    {0, NULL},
};

static PyType_Spec robust_semaphore_spec = {
    .name = "goprocessing._engine.RobustSemaphore",
    .basicsize = sizeof(semaphore),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = robust_semaphore_slots,
};

int
robust_semaphore_exec(PyObject *module)
{
    PyTypeObject *type = module_add_type(module, &robust_semaphore_spec, semaphore_type);
    Py_XDECREF(type);
    return type == NULL ? -1 : 0;
}
