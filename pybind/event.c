/* The type Event. */
#include "arena.h"
#include "arguments.h"

typedef struct {
    PyObject_HEAD
    gop_event *shared; /* NULL until __init__ or _attach */
    slot slot;
} event;

static int
event_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    event *self = (event *)op;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Event", names)) {
        return -1;
    }
    if (slot_create(&self->slot, GOP_SLOT_EVENT, 0, 0) < 0) {
        return -1;
    }
    self->shared = slot_memory(&self->slot);
    return 0;
}

static void
event_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    slot_release(&((event *)op)->slot);
    type->tp_free(op);
    Py_DECREF(type);
}

PyDoc_STRVAR(is_set_doc, "is_set($self, /)\n--\n\nReturn whether the event is set.");

static PyObject *
event_is_set(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    event *self = (event *)op;
    if (self->shared == NULL) {
        return raise_uninitialized(op);
    }
    return PyBool_FromLong(gop_event_is_set(self->shared));
}

PyDoc_STRVAR(set_doc, "set($self, /)\n--\n\nSet the event, and wake all who wait for it.");

static PyObject *
event_set(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    event *self = (event *)op;
    if (self->shared == NULL) {
        return raise_uninitialized(op);
    }
    gop_event_set(self->shared);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(clear_doc, "clear($self, /)\n--\n\nClear the event.");

static PyObject *
event_clear(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    event *self = (event *)op;
    if (self->shared == NULL) {
        return raise_uninitialized(op);
    }
    gop_event_clear(self->shared);
    Py_RETURN_NONE;
}

typedef struct {
    gop_event *shared;
    uint32_t seen;
} wait_arguments;

static int
wait_call(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    const wait_arguments *w = arg;
    return e->gop_event_wait(w->shared, w->seen, how, deadline);
}

PyDoc_STRVAR(wait_doc, "wait($self, /, timeout=None)\n--\n\n"
                       "Wait until the event is set.\n\n"
                       "Return False if it was not, within timeout seconds.");

static parameters wait_parameters = {.method = "wait", .names = {"timeout"}};

static PyObject *
event_wait(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    event *self = (event *)op;
    if (self->shared == NULL) {
        return raise_uninitialized(op);
    }
    PyObject *values[PARAMETERS_MAX];
    int64_t deadline;
    if (arguments_bind(&wait_parameters, args, nargs, kwnames, values) < 0 ||
        deadline_from(values[0], &deadline) < 0)
    {
        return NULL;
    }
    /* Read before the first look, so that a set which is cleared again before
     * this thread runs is seen all the same. */
    wait_arguments w = {self->shared, gop_event_word(self->shared)};
    if (w.seen & GOP_EVENT_SET) {
        Py_RETURN_TRUE;
    }
    if (deadline == DEADLINE_NOW) {
        Py_RETURN_FALSE;
    }
    int rc = engine_wait(wait_call, &w, deadline);
    if (rc == 0) {
        Py_RETURN_TRUE;
    }
    if (rc == -EAGAIN) {
        Py_RETURN_FALSE;
    }
    return rc == WAIT_RAISED ? NULL : raise_errno(rc, "wait");
}

PyDoc_STRVAR(handle_doc, "_handle($self, /)\n--\n\n"
                         "Return (descriptor, offset), the arguments for _attach().");

static PyObject *
event_handle(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    event *self = (event *)op;
    return self->shared == NULL ? raise_uninitialized(op) : slot_handle(&self->slot);
}

PyDoc_STRVAR(attach_doc, "_attach($type, fd, offset, /)\n--\n\n"
                         "Make an object for an existing event. It owns fd from then on.");

static PyObject *
event_attach(PyObject *type, PyObject *args)
{
    int fd;
    unsigned long long offset;
    if (!PyArg_ParseTuple(args, "iK:_attach", &fd, &offset)) {
        return NULL;
    }
    event *self = (event *)((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0);
    if (self == NULL) {
        return NULL;
    }
    if (slot_attach(&self->slot, fd, offset, GOP_SLOT_EVENT) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->shared = slot_memory(&self->slot);
    return (PyObject *)self;
}

static PyMethodDef event_methods[] = {
    {"is_set", event_is_set, METH_NOARGS, is_set_doc},
    {"set", event_set, METH_NOARGS, set_doc},
    {"clear", event_clear, METH_NOARGS, clear_doc},
    {"wait", (PyCFunction)(void (*)(void))event_wait, METH_FASTCALL | METH_KEYWORDS, wait_doc},
    {"_handle", event_handle, METH_NOARGS, handle_doc},
    {"_attach", event_attach, METH_VARARGS | METH_CLASS, attach_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(event_doc, "Event()\n--\n\nAn event in shared memory.");

static PyType_Slot event_slots[] = {
    {Py_tp_doc, (void *)event_doc}, {Py_tp_new, PyType_GenericNew}, {Py_tp_init, event_init},
    {Py_tp_dealloc, event_dealloc}, {Py_tp_methods, event_methods}, {0, NULL},
};

static PyType_Spec event_spec = {
    .name = "goprocessing._engine.Event",
    .basicsize = sizeof(event),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = event_slots,
};

int
event_exec(PyObject *module)
{
    PyTypeObject *type = module_add_type(module, &event_spec, NULL);
    Py_XDECREF(type);
    return type == NULL ? -1 : 0;
}
