/* The type Semaphore: also locks, and bounded semaphores, by its maximum. */
#include "semaphore.h"

#include "arguments.h"
#include "owner.h"

PyTypeObject *semaphore_type;

int
semaphore_create(semaphore *self, uint32_t kind, uint32_t value, uint32_t max)
{
    if (slot_create(&self->slot, kind, value, max) < 0) {
        return -1;
    }
    self->shared = slot_memory(&self->slot);
    return 0;
}

static int
semaphore_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"value", "maxvalue", NULL};
    semaphore *self = (semaphore *)op;
    long value = 1, max = GOP_SEM_MAX;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|ll:Semaphore", names, &value, &max)) {
        return -1;
    }
    if (max < 0 || (unsigned long)max > GOP_SEM_MAX) {
        PyErr_Format(PyExc_ValueError, "maxvalue must be from 0 to %u", GOP_SEM_MAX);
        return -1;
    }
    if (value < 0 || value > max) {
        PyErr_Format(PyExc_ValueError, "semaphore initial value must be from 0 to %ld", max);
        return -1;
    }
    return semaphore_create(self, GOP_SLOT_SEMAPHORE, (uint32_t)value, (uint32_t)max);
}

static void
semaphore_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    slot_release(&((semaphore *)op)->slot);
    type->tp_free(op);
    Py_DECREF(type);
}

static int
acquire_call(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    int rc = e->gop_semaphore_acquire(arg, how, deadline);
    if (rc == 0) {
        gop_semaphore_note(arg, owner_self());
    }
    return rc;
}

PyObject *
semaphore_wait(semaphore *self, blocking_call call, int64_t deadline)
{
    if (deadline == DEADLINE_NOW) {
        Py_RETURN_FALSE;
    }
    int rc = engine_wait(call, self->shared, deadline);
    if (rc == 0) {
        Py_RETURN_TRUE;
    }
    if (rc == -EAGAIN) {
        Py_RETURN_FALSE;
    }
    return rc == WAIT_RAISED ? NULL : raise_errno(rc, "acquire");
}

PyDoc_STRVAR(acquire_doc, "acquire($self, /, block=True, timeout=None)\n--\n\n"
                          "Decrement the value, waiting until it is positive.\n\n"
                          "Return False if it was not, within timeout seconds.");

static parameters acquire_parameters = {.method = "acquire", .names = {"block", "timeout"}};

int
semaphore_deadline(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, int64_t *deadline)
{
    if (nargs == 0 && kwnames == NULL) {
        *deadline = GOP_FOREVER;
        return 0;
    }
    PyObject *values[PARAMETERS_MAX];
    if (arguments_bind(&acquire_parameters, args, nargs, kwnames, values) < 0) {
        return -1;
    }
    return deadline_from_block(values[0], values[1], deadline);
}

static PyObject *
semaphore_acquire(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    semaphore *self = (semaphore *)op;
    if (self->shared == NULL) {
        return raise_uninitialized(op);
    }
    int64_t deadline;
    if (semaphore_deadline(args, nargs, kwnames, &deadline) < 0) {
        return NULL;
    }
    if (gop_semaphore_try(self->shared) == 0) {
        gop_semaphore_note(self->shared, owner_self());
        Py_RETURN_TRUE;
    }
    return semaphore_wait(self, acquire_call, deadline);
}

static PyObject *
semaphore_enter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    semaphore *self = (semaphore *)op;
    if (self->shared == NULL) {
        return raise_uninitialized(op);
    }
    if (gop_semaphore_try(self->shared) == 0) {
        gop_semaphore_note(self->shared, owner_self());
        Py_RETURN_TRUE;
    }
    return semaphore_wait(self, acquire_call, GOP_FOREVER);
}

PyDoc_STRVAR(release_doc, "release($self, /)\n--\n\n"
                          "Increment the value, and wake a process that waits for it.\n\n"
                          "Raise ValueError if the value is the maximum already.");

static PyObject *
semaphore_release(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    gop_semaphore *shared = ((semaphore *)op)->shared;
    if (shared == NULL) {
        return raise_uninitialized(op);
    }
    if (gop_semaphore_post(shared) < 0) {
        PyErr_SetString(PyExc_ValueError, "semaphore or lock released too many times");
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
semaphore_exit(PyObject *op, PyObject *const *Py_UNUSED(args), Py_ssize_t Py_UNUSED(nargs))
{
    return semaphore_release(op, NULL);
}

PyDoc_STRVAR(get_value_doc, "get_value($self, /)\n--\n\nReturn the value at this instant.");

static PyObject *
semaphore_get_value(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    semaphore *self = (semaphore *)op;
    if (self->shared == NULL) {
        return raise_uninitialized(op);
    }
    return PyLong_FromUnsignedLong(gop_semaphore_value(self->shared));
}

PyDoc_STRVAR(is_mine_doc, "_is_mine($self, /)\n--\n\n"
                          "Return whether the value is 0 since this thread acquired it.");

static PyObject *
semaphore_is_mine(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    semaphore *self = (semaphore *)op;
    if (self->shared == NULL) {
        return raise_uninitialized(op);
    }
    return PyBool_FromLong(gop_semaphore_owner(self->shared) == owner_self());
}

PyDoc_STRVAR(count_doc, "_count($self, /)\n--\n\n"
                        "Return 1 if the value is 0 since a thread of this process acquired it.");

static PyObject *
semaphore_count(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    semaphore *self = (semaphore *)op;
    if (self->shared == NULL) {
        return raise_uninitialized(op);
    }
    return PyLong_FromLong(owner_is_here(gop_semaphore_owner(self->shared)));
}

PyDoc_STRVAR(locked_doc, "locked($self, /)\n--\n\n"
                         "Return whether the value is 0, so that acquire() would wait.");

static PyObject *
semaphore_locked(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    semaphore *self = (semaphore *)op;
    if (self->shared == NULL) {
        return raise_uninitialized(op);
    }
    return PyBool_FromLong(gop_semaphore_value(self->shared) == 0);
}

PyDoc_STRVAR(handle_doc, "_handle($self, /)\n--\n\n"
                         "Return (descriptor, offset), the arguments for _attach().");

static PyObject *
semaphore_handle(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    semaphore *self = (semaphore *)op;
    return self->shared == NULL ? raise_uninitialized(op) : slot_handle(&self->slot);
}

PyDoc_STRVAR(attach_doc, "_attach($type, fd, offset, /)\n--\n\n"
                         "Make an object for an existing semaphore. It owns fd from then on.");

PyObject *
semaphore_attach(PyObject *type, PyObject *args, uint32_t kind)
{
    int fd;
    unsigned long long offset;
    if (!PyArg_ParseTuple(args, "iK:_attach", &fd, &offset)) {
        return NULL;
    }
    semaphore *self = (semaphore *)((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0);
    if (self == NULL) {
        return NULL;
    }
    if (slot_attach(&self->slot, fd, offset, kind) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->shared = slot_memory(&self->slot);
    return (PyObject *)self;
}

static PyObject *
attach(PyObject *type, PyObject *args)
{
    return semaphore_attach(type, args, GOP_SLOT_SEMAPHORE);
}

static PyObject *
semaphore_semlock(PyObject *op, void *Py_UNUSED(closure))
{
    return Py_NewRef(op);
}

static PyObject *
semaphore_max(PyObject *op, void *Py_UNUSED(closure))
{
    semaphore *self = (semaphore *)op;
    if (self->shared == NULL) {
        return raise_uninitialized(op);
    }
    return PyLong_FromUnsignedLong(self->shared->max);
}

static PyMethodDef semaphore_methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))semaphore_acquire, METH_FASTCALL | METH_KEYWORDS,
     acquire_doc},
    {"release", semaphore_release, METH_NOARGS, release_doc},
    {"__enter__", semaphore_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))semaphore_exit, METH_FASTCALL, NULL},
    {"get_value", semaphore_get_value, METH_NOARGS, get_value_doc},
    {"locked", semaphore_locked, METH_NOARGS, locked_doc},
    {"_get_value", semaphore_get_value, METH_NOARGS, get_value_doc},
    {"_is_zero", semaphore_locked, METH_NOARGS, locked_doc},
    {"_is_mine", semaphore_is_mine, METH_NOARGS, is_mine_doc},
    {"_count", semaphore_count, METH_NOARGS, count_doc},
    {"_handle", semaphore_handle, METH_NOARGS, handle_doc},
    {"_attach", attach, METH_VARARGS | METH_CLASS, attach_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef semaphore_getset[] = {
    {"maxvalue", semaphore_max, NULL, "The largest value.", NULL},
    {"_semlock", semaphore_semlock, NULL, "The object itself.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(semaphore_doc, "Semaphore(value=1, maxvalue=0x7fffffff)\n--\n\n"
                            "A semaphore in shared memory; with maxvalue=1, a lock.");

static PyType_Slot semaphore_slots[] = {
    {Py_tp_doc, (void *)semaphore_doc},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, semaphore_init},
    {Py_tp_dealloc, semaphore_dealloc},
    {Py_tp_methods, semaphore_methods},
    {Py_tp_getset, semaphore_getset},
    {0, NULL},
};

static PyType_Spec semaphore_spec = {
    .name = "goprocessing._engine.Semaphore",
    .basicsize = sizeof(semaphore),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = semaphore_slots,
};

int
semaphore_exec(PyObject *module)
{
    PyTypeObject *type = module_add_type(module, &semaphore_spec, NULL);
    Py_XSETREF(semaphore_type, type);
    return type == NULL ? -1 : 0;
}
