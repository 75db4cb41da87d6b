/* The type Condition: waits in the engine, with a lock that is a Python object. */
#include "arena.h"
#include "arguments.h"
#include "lock_object.h"
#include "owner.h"

typedef struct {
    PyObject_HEAD
    PyObject *lock; /* see lock_object.h; NULL until __init__ or _attach */
    slot slot;
} condition;

static int
condition_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"lock", NULL};
    condition *self = (condition *)op;
    PyObject *lock;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Condition", keywords, &lock)) {
        return -1;
    }
    if (slot_create(&self->slot, GOP_SLOT_CONDITION, 0, 0) < 0) {
        return -1;
    }
    self->lock = Py_NewRef(lock);
    return 0;
}

static int
condition_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((condition *)op)->lock);
    return 0;
}

static int
condition_clear(PyObject *op)
{
    Py_CLEAR(((condition *)op)->lock);
    return 0;
}

static void
condition_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    condition_clear(op);
    slot_release(&((condition *)op)->slot);
    type->tp_free(op);
    Py_DECREF(type);
}

/* ---- waiting ---- */

typedef struct {
    gop_segment *segment;
    uint64_t offset;
    gop_waiter *waiter;
    uint64_t n; /* for notify */
} engine_arguments;

static engine_arguments
arguments_of(const condition *self)
{
    return (engine_arguments){.segment = slot_segment(&self->slot), .offset = self->slot.offset};
}

static int
enter_call(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    engine_arguments *a = arg;
    return e->gop_condition_enter(a->segment, a->offset, owner_thread(), &a->waiter, how, deadline);
}

static int
wait_call(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    const engine_arguments *a = arg;
    return e->gop_condition_wait(a->segment, a->offset, a->waiter, how, deadline);
}

static int
notify_call(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    const engine_arguments *a = arg;
    return e->gop_condition_notify(a->segment, a->offset, a->n, how, deadline);
}

static int
quit(const engine_arguments *a)
{
    const gop_engine *e = engine_if_loaded();
    return e == NULL ? 0 : e->gop_condition_quit(a->segment, a->offset, a->waiter);
}

static int
leave(const engine_arguments *a, bool pass)
{
    const gop_engine *e = engine_if_loaded();
    if (e == NULL) {
        /* A signal handler forked, and the parent is the one who waits. */
        return 0;
    }
    if (!pass) {
        return e->gop_condition_leave(a->segment, a->offset, a->waiter, false);
    }
    /* To pass on takes the table's mutex, in which another may have been stopped. */
    int notified;
    Py_BEGIN_ALLOW_THREADS
    notified = e->gop_condition_leave(a->segment, a->offset, a->waiter, true);
    Py_END_ALLOW_THREADS
    return notified;
}

/* Between enter and leave. A handler that raises ends the wait, but not before the
 * lock is taken again; only if it raises during that, the lock is not. */
static PyObject *
wait_released(const condition *self, const engine_arguments *a, long times, int64_t deadline)
{
    long released = lock_object_release(self->lock, times);
    int rc = released == times ? engine_wait(wait_call, (void *)a, deadline) : WAIT_RAISED;
    if (rc < 0 && rc != -EAGAIN) {
        raise_errno(rc, "wait");
        rc = WAIT_RAISED;
    }
    bool raised = rc == WAIT_RAISED;
    /* Who was notified leaves with the lock: the notification goes on to the next if
     * this process is killed before. Others quit at once, to be passed over. */
    bool left = raised;
    int notified = rc == 0 ? 1 : raised ? leave(a, true) : quit(a);
    if (lock_object_restore(self->lock, released) < 0) {
        raised = true;
    }
    if (!left && notified > 0) {
        notified = leave(a, raised);
    }
    if (raised) {
        return NULL;
    }
    return notified < 0 ? raise_errno(notified, "wait") : PyBool_FromLong(notified);
}

PyDoc_STRVAR(wait_doc, "wait($self, /, timeout=None)\n--\n\n"
                       "Release the lock, wait until notified, and take the lock again.\n\n"
                       "Return False if that did not happen within timeout seconds.");

static parameters wait_parameters = {.method = "wait", .names = {"timeout"}};

static PyObject *
condition_wait(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    condition *self = (condition *)op;
    if (self->lock == NULL) {
        return raise_uninitialized(op);
    }
    PyObject *values[PARAMETERS_MAX];
    int64_t deadline;
    if (arguments_bind(&wait_parameters, args, nargs, kwnames, values) < 0 ||
        deadline_from(values[0], &deadline) < 0 ||
        lock_object_check(self->lock, "must acquire() condition before using wait()") < 0)
    {
        return NULL;
    }
    long times = lock_object_count(self->lock);
    if (times == -1 && PyErr_Occurred()) {
        return NULL;
    }
    engine_arguments a = arguments_of(self);
    int rc = engine_block(enter_call, &a, GOP_FOREVER);
    if (rc != 0) {
        return rc == WAIT_RAISED ? NULL : raise_errno(rc, "wait");
    }
    return wait_released(self, &a, times, deadline);
}

static PyObject *
notify(condition *self, uint64_t n)
{
    if (lock_object_check(self->lock, "lock is not owned") < 0) {
        return NULL;
    }
    engine_arguments a = arguments_of(self);
    a.n = n;
    int rc = engine_block(notify_call, &a, DEADLINE_NOW);
    if (rc != 0) {
        return rc == WAIT_RAISED ? NULL : raise_errno(rc, "notify");
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(notify_doc, "notify($self, /, n=1)\n--\n\n"
                         "Wake n of those who wait, those who have waited longest.");

static parameters notify_parameters = {.method = "notify", .names = {"n"}};

static PyObject *
condition_notify(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    condition *self = (condition *)op;
    if (self->lock == NULL) {
        return raise_uninitialized(op);
    }
    PyObject *values[PARAMETERS_MAX];
    Py_ssize_t n = 1;
    if (arguments_bind(&notify_parameters, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    if (values[0] != NULL) {
        n = PyNumber_AsSsize_t(values[0], NULL); /* the nearest, if out of range */
        if (n == -1 && PyErr_Occurred()) {
            return NULL;
        }
    }
    return notify(self, n > 0 ? (uint64_t)n : 0);
}

PyDoc_STRVAR(notify_all_doc, "notify_all($self, /)\n--\n\nWake all who wait.");

static PyObject *
condition_notify_all(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    condition *self = (condition *)op;
    return self->lock == NULL ? raise_uninitialized(op) : notify(self, UINT64_MAX);
}

PyDoc_STRVAR(waiting_doc, "_waiting($self, /)\n--\n\n"
                          "Return how many wait that were not notified.");

static PyObject *
condition_waiting(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    condition *self = (condition *)op;
    if (self->lock == NULL) {
        return raise_uninitialized(op);
    }
    const gop_engine *e = engine();
    if (e == NULL) {
        return NULL;
    }
    int n;
    Py_BEGIN_ALLOW_THREADS
    n = e->gop_condition_waiting(slot_segment(&self->slot), self->slot.offset);
    Py_END_ALLOW_THREADS
    return n < 0 ? raise_errno(n, "waiters") : PyLong_FromLong(n);
}

/* ---- what is the lock's ---- */

static PyObject *
get_lock(PyObject *op, void *Py_UNUSED(closure))
{
    condition *self = (condition *)op;
    return self->lock == NULL ? raise_uninitialized(op) : Py_NewRef(self->lock);
}

static PyObject *
get_method(PyObject *op, void *name)
{
    condition *self = (condition *)op;
    return self->lock == NULL ? raise_uninitialized(op) : PyObject_GetAttrString(self->lock, name);
}

static PyObject *
condition_enter(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    condition *self = (condition *)op;
    return self->lock == NULL ? raise_uninitialized(op) : lock_object_enter(self->lock);
}

static PyObject *
condition_exit(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    condition *self = (condition *)op;
    return self->lock == NULL ? raise_uninitialized(op) : lock_object_exit(self->lock, args, nargs);
}

PyDoc_STRVAR(handle_doc, "_handle($self, /)\n--\n\n"
                         "Return (descriptor, offset), the first arguments for _attach().");

static PyObject *
condition_handle(PyObject *op, PyObject *Py_UNUSED(ignored))
{
    condition *self = (condition *)op;
    return self->lock == NULL ? raise_uninitialized(op) : slot_handle(&self->slot);
}

PyDoc_STRVAR(attach_doc, "_attach($type, fd, offset, lock, /)\n--\n\n"
                         "Make an object for an existing condition. It owns fd from then on.");

static PyObject *
condition_attach(PyObject *type, PyObject *args)
{
    int fd;
    unsigned long long offset;
    PyObject *lock;
    if (!PyArg_ParseTuple(args, "iKO:_attach", &fd, &offset, &lock)) {
        return NULL;
    }
    condition *self = (condition *)((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, 0);
    if (self == NULL) {
        return NULL;
    }
    if (slot_attach(&self->slot, fd, offset, GOP_SLOT_CONDITION) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    self->lock = Py_NewRef(lock);
    return (PyObject *)self;
}

static PyMethodDef condition_methods[] = {
    {"wait", (PyCFunction)(void (*)(void))condition_wait, METH_FASTCALL | METH_KEYWORDS, wait_doc},
    {"notify", (PyCFunction)(void (*)(void))condition_notify, METH_FASTCALL | METH_KEYWORDS,
     notify_doc},
    {"notify_all", condition_notify_all, METH_NOARGS, notify_all_doc},
    {"__enter__", condition_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))condition_exit, METH_FASTCALL, NULL},
    {"_waiting", condition_waiting, METH_NOARGS, waiting_doc},
    {"_handle", condition_handle, METH_NOARGS, handle_doc},
    {"_attach", condition_attach, METH_VARARGS | METH_CLASS, attach_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef condition_getset[] = {
    {"_lock", get_lock, NULL, "The lock.", NULL},
    {"acquire", get_method, NULL, "The lock's acquire().", "acquire"},
    {"release", get_method, NULL, "The lock's release().", "release"},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(condition_doc, "Condition(lock)\n--\n\n"
                            "A condition variable in shared memory.");

static PyType_Slot condition_slots[] = {
    {Py_tp_doc, (void *)condition_doc},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, condition_init},
    {Py_tp_traverse, condition_traverse},
    {Py_tp_clear, condition_clear},
    {Py_tp_dealloc, condition_dealloc},
    {Py_tp_methods, condition_methods},
    {Py_tp_getset, condition_getset},
    {0, NULL},
};

static PyType_Spec condition_spec = {
    .name = "goprocessing._engine.Condition",
    .basicsize = sizeof(condition),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = condition_slots,
};

int
condition_exec(PyObject *module)
{
    if (lock_object_exec() < 0) {
        return -1;
    }
    PyTypeObject *type = module_add_type(module, &condition_spec, NULL);
    Py_XDECREF(type);
    return type == NULL ? -1 : 0;
}
