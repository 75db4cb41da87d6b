/* The type Barrier: parties wait in the engine, the action is a Python object. */
#include "arena.h"
#include "arguments.h"
#include "owner.h"

typedef struct {
    PyObject_HEAD
    gop_barrier *shared; /* NULL until __init__ or _attach */
    slot slot;
    PyObject *action; /* NULL only while shared is */
    PyObject *timeout;
} barrier;

static PyObject *broken_barrier_error;

static int
barrier_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"parties", "action", "timeout", NULL};
    barrier *self = (barrier *)op;
    int parties;
    PyObject *action = Py_None, *timeout = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i|OO:Barrier", names, &parties, &action,
                                     &timeout))
    {
        return -1;
    }
    if (parties < 1) {
        PyErr_SetString(PyExc_ValueError, "parties must be > 0");
        return -1;
    }
    if (slot_create(&self->slot, GOP_SLOT_BARRIER, 0, (uint32_t)parties) < 0) {
        return -1;
    }
    self->shared = slot_memory(&self->slot);
    self->action = Py_NewRef(action);
    self->timeout = Py_NewRef(timeout);
    return 0;
}

static int
barrier_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((barrier *)op)->action);
    Py_VISIT(((barrier *)op)->timeout);
    return 0;
}

static int
barrier_clear(PyObject *op)
{
    barrier *self = (barrier *)op;
    self->shared = NULL;
    Py_CLEAR(self->action);
    Py_CLEAR(self->timeout);
    return 0;
}

static void
barrier_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    barrier_clear(op);
    slot_release(&((barrier *)op)->slot);
    type->tp_free(op);
    Py_DECREF(type);
}

/* ---- waiting ---- */

typedef struct {
    gop_segment *segment;
    uint64_t offset;
    gop_waiter *waiter;
    uint32_t index;
    bool acts;
} engine_arguments;

static engine_arguments
arguments_of(const barrier *self)
{
    return (engine_arguments){
        .segment = slot_segment(&self->slot),
        .offset = self->slot.offset,
        .acts = self->action != Py_None,
    };
}

/* Returns 2 for the last to arrive: 1 is WAIT_RAISED. */
#define LAST 2

static int
arrive_call(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    engine_arguments *a = arg;
    int rc = e->gop_barrier_arrive(a->segment, a->offset, owner_thread(), a->acts, &a->waiter,
                                   &a->index, how, deadline);
    return rc == 1 ? LAST : rc;
}

static int
wait_call(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    engine_arguments *a = arg;
    return e->gop_barrier_wait(a->segment, a->offset, a->waiter, &a->index, how, deadline);
}

static int
reset_call(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    const engine_arguments *a = arg;
    return e->gop_barrier_reset(a->segment, a->offset, how, deadline);
}

static int
abort_call(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    const engine_arguments *a = arg;
    return e->gop_barrier_abort(a->segment, a->offset, how, deadline);
}

/* What wait() returns for rc, which is not WAIT_RAISED. */
static PyObject *
result(const engine_arguments *a, int rc)
{
    if (rc == -ECANCELED) {
        PyErr_SetNone(broken_barrier_error);
        return NULL;
    }
    return rc < 0 ? raise_errno(rc, "wait") : PyLong_FromUnsignedLong(a->index);
}

/* Runs the action. The barrier breaks if it raises. */
static PyObject *
act(const barrier *self, engine_arguments *a)
{
    PyObject *done = PyObject_CallNoArgs(self->action);
    Py_XDECREF(done);
    const gop_engine *e = engine_if_loaded();
    if (e == NULL) {
        /* The action has forked, and this is the child. */
        return done == NULL ? NULL : result(a, -ESTALE);
    }
    int rc;
    Py_BEGIN_ALLOW_THREADS
    rc = e->gop_barrier_finish(a->segment, a->offset, a->waiter, done != NULL);
    Py_END_ALLOW_THREADS
    return done == NULL ? NULL : result(a, rc);
}

static PyObject *
wait_for_others(engine_arguments *a, int64_t deadline)
{
    for (;;) {
        int rc = engine_wait(wait_call, a, deadline);
        if (rc == 0 || rc == -ECANCELED) {
            return result(a, rc);
        }
        const gop_engine *e = engine_if_loaded();
        if (e == NULL) {
            /* A signal handler forked, and the parent is the one who waits. */
            return rc == WAIT_RAISED ? NULL : result(a, -ESTALE);
        }
        if (rc != -EAGAIN) {
            Py_BEGIN_ALLOW_THREADS
            e->gop_barrier_withdraw(a->segment, a->offset, a->waiter);
            Py_END_ALLOW_THREADS
            return rc == WAIT_RAISED ? NULL : result(a, rc);
        }
        Py_BEGIN_ALLOW_THREADS
        rc = e->gop_barrier_time_out(a->segment, a->offset, a->waiter, &a->index);
        Py_END_ALLOW_THREADS
        if (rc != -EBUSY) {
            return result(a, rc);
        }
        /* All have arrived, so this is no longer what the time limit is for. */
        deadline = GOP_FOREVER;
    }
}

PyDoc_STRVAR(wait_doc, "wait($self, /, timeout=None)\n--\n\n"
                       "Wait until all parties do; return a number that no other gets.\n\n"
                       "Raise BrokenBarrierError if the barrier is broken or reset, and break\n"
                       "it if the others do not come within timeout seconds.");

static parameters wait_parameters = {.method = "wait", .names = {"timeout"}};

static PyObject *
barrier_wait(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    barrier *self = (barrier *)op;
    if (self->shared == NULL) {
        return raise_uninitialized(op);
    }
    PyObject *values[PARAMETERS_MAX];
    int64_t deadline;
    if (arguments_bind(&wait_parameters, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    bool given = values[0] != NULL && values[0] != Py_None;
    if (deadline_from(given ? values[0] : self->timeout, &deadline) < 0) {
        return NULL;
    }
    engine_arguments a = arguments_of(self);
    int rc = engine_block(arrive_call, &a, GOP_FOREVER);
    if (rc == WAIT_RAISED) {
        return NULL;
    }
    if (rc == 0) {
        return wait_for_others(&a, deadline);
    }
    return rc == LAST && a.acts ? act(self, &a) : result(&a, rc);
}

static PyObject *
change(barrier *self, blocking_call call)
{
    if (self->shared == NULL) {
        return raise_uninitialized((PyObject *)self);
    }
    engine_arguments a = arguments_of(self);
    int rc = engine_block(call, &a, GOP_FOREVER);
    if (rc != 0) {
        return rc == WAIT_RAISED ? NULL : raise_errno(rc, "barrier");
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(reset_doc, "reset($self, /)\n--\n\n"
                        "Make the barrier new. Who waits gets BrokenBarrierError.");

static PyObject *
barrier_reset(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return change((barrier *)op, reset_call);
}

PyDoc_STRVAR(abort_doc, "abort($self, /)\n--\n\n"
                        "Break the barrier: who waits, and who comes, gets BrokenBarrierError.");

static PyObject *
barrier_abort(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    return change((barrier *)op, abort_call);
}

/* ---- attributes and handles ---- */

static PyObject *
get_parties(PyObject *op, void *Py_UNUSED(closure))
{
    barrier *self = (barrier *)op;
    return self->shared == NULL ? raise_uninitialized(op)
                                : PyLong_FromUnsignedLong(self->shared->parties);
}

static PyObject *
get_n_waiting(PyObject *op, void *Py_UNUSED(closure))
{
    barrier *self = (barrier *)op;
    if (self->shared == NULL) {
        return raise_uninitialized(op);
    }
    const gop_engine *e = engine();
    if (e == NULL) {
        return NULL;
    }
    int n;
    Py_BEGIN_ALLOW_THREADS
    n = e->gop_barrier_waiting(slot_segment(&self->slot), self->slot.offset);
    Py_END_ALLOW_THREADS
    return n < 0 ? raise_errno(n, "n_waiting") : PyLong_FromLong(n);
}

static PyObject *
get_broken(PyObject *op, void *Py_UNUSED(closure))
{
    barrier *self = (barrier *)op;
    return self->shared == NULL ? raise_uninitialized(op)
                                : PyBool_FromLong(gop_barrier_is_broken(self->shared));
}

static PyObject *
get_action(PyObject *op, void *Py_UNUSED(closure))
{
    barrier *self = (barrier *)op;
    return self->shared == NULL ? raise_uninitialized(op) : Py_NewRef(self->action);
}

static PyObject *
get_timeout(PyObject *op, void *Py_UNUSED(closure))
{
    barrier *self = (barrier *)op;
    return self->shared == NULL ? raise_uninitialized(op) : Py_NewRef(self->timeout);
}

PyDoc_STRVAR(handle_doc, "_handle($self, /)\n--\n\n"
                         "Return (descriptor, offset), the first arguments for _attach().");

static PyObject *
barrier_handle(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    barrier *self = (barrier *)op;
    return self->shared == NULL ? raise_uninitialized(op) : slot_handle(&self->slot);
}

PyDoc_STRVAR(attach_doc, "_attach($type, fd, offset, action, timeout, /)\n--\n\n"
                         "Make an object for an existing barrier. It owns fd from then on.");

static PyObject *
barrier_attach(PyObject *type, PyObject *args)
{
    int fd;
    unsigned long long offset;
    PyObject *action, *timeout;
    if (!PyArg_ParseTuple(args, "iKOO:_attach", &fd, &offset, &action, &timeout)) {
        return NULL;
    }
    barrier *self = (barrier *)((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0);
    if (self == NULL) {
        return NULL;
    }
    if (slot_attach(&self->slot, fd, offset, GOP_SLOT_BARRIER) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->shared = slot_memory(&self->slot);
    self->action = Py_NewRef(action);
    self->timeout = Py_NewRef(timeout);
    return (PyObject *)self;
}

static PyMethodDef barrier_methods[] = {
    {"wait", (PyCFunction)(void (*)(void))barrier_wait, METH_FASTCALL | METH_KEYWORDS, wait_doc},
    {"reset", barrier_reset, METH_NOARGS, reset_doc},
    {"abort", barrier_abort, METH_NOARGS, abort_doc},
    {"_handle", barrier_handle, METH_NOARGS, handle_doc},
    {"_attach", barrier_attach, METH_VARARGS | METH_CLASS, attach_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef barrier_getset[] = {
    {"parties", get_parties, NULL, "How many have to wait.", NULL},
    {"n_waiting", get_n_waiting, NULL, "How many wait.", NULL},
    {"broken", get_broken, NULL, "Whether the barrier is broken.", NULL},
    {"_action", get_action, NULL, "What the last to arrive calls, or None.", NULL},
    {"_timeout", get_timeout, NULL, "How long wait() waits by default.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(barrier_doc, "Barrier(parties, action=None, timeout=None)\n--\n\n"
                          "A barrier in shared memory.");

static PyType_Slot barrier_slots[] = {
    {Py_tp_doc, (void *)barrier_doc},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, barrier_init},
    {Py_tp_traverse, barrier_traverse},
    {Py_tp_clear, barrier_clear},
    {Py_tp_dealloc, barrier_dealloc},
    {Py_tp_methods, barrier_methods},
    {Py_tp_getset, barrier_getset},
    {0, NULL},
};

static PyType_Spec barrier_spec = {
    .name = "goprocessing._engine.Barrier",
    .basicsize = sizeof(barrier),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = barrier_slots,
};

int
barrier_exec(PyObject *module)
{
    PyObject *standard = PyImport_ImportModule("threading");
    if (standard == NULL) {
        return -1;
    }
    Py_XSETREF(broken_barrier_error, PyObject_GetAttrString(standard, "BrokenBarrierError"));
    Py_DECREF(standard);
    if (broken_barrier_error == NULL) {
        return -1;
    }
    PyTypeObject *type = module_add_type(module, &barrier_spec, NULL);
    Py_XDECREF(type);
    return type == NULL ? -1 : 0;
}
