/* JoinableQueue: a queue whose items are counted until they are done. */
#include "queue.h"

#include "errors.h"
#include "record.h"

static int
call_task_done(const gop_engine *e, void *arg, int how, int64_t Py_UNUSED(deadline))
{
    return e->gop_queue_task_done(arg, how);
}

PyDoc_STRVAR(task_done_doc,
"task_done($self)\n--\n\n"
"Say that the work on one item that was got from the queue is done: the first one\n"
"that this process got, or, if it has none, that any process did.");

static PyObject *
task_done(queue_object *self, PyObject *Py_UNUSED(ignored))
{
    if (queue_check(self) < 0) {
        return NULL;
    }
    int rc = engine_block(call_task_done, &self->queue, DEADLINE_NOW);
    if (rc == WAIT_RAISED) {
        return NULL;
    }
    if (rc == -ERANGE) {
        PyErr_SetString(PyExc_ValueError, "task_done() called too many times");
        return NULL;
    }
    if (rc < 0) {
        return raise_errno(rc, "Queue.task_done()");
    }
    Py_RETURN_NONE;
}

static int
call_join(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    return e->gop_queue_join(arg, how, deadline);
}

PyDoc_STRVAR(join_doc,
"join($self)\n--\n\n"
"Wait until task_done() was called for every item put into the queue.");

static PyObject *
join(queue_object *self, PyObject *Py_UNUSED(ignored))
{
    if (queue_check(self) < 0) {
        return NULL;
    }
    int rc = engine_block(call_join, &self->queue, GOP_FOREVER);
    if (rc == WAIT_RAISED) {
        return NULL;
    }
    if (rc < 0) {
        return raise_errno(rc, "Queue.join()");
    }
    Py_RETURN_NONE;
}

static int
call_abandoned(const gop_engine *e, void *arg, int how, int64_t Py_UNUSED(deadline))
{
    record_sink *sink = arg;
    return e->gop_queue_abandoned(sink->origin, sink->buf, sink->cap, &sink->received, how);
}

/* Takes an item and appends it to objs, or its bytes to undecoded. 1, 0 when there is
 * none; -1 with an exception set, and *taken false if no item was taken. */
static int
take_abandoned(queue_object *self, PyObject *objs, PyObject *undecoded, bool *taken)
{
    char buf[RECORD_INLINE];
    record_sink sink = {.origin = &self->queue, .buf = buf, .cap = sizeof(buf)};
    PyObject *bytes;
    int rc = record_read(call_abandoned, &sink, UINT64_MAX, DEADLINE_NOW, &bytes);
    *taken = rc == 0;
    if (rc == -EAGAIN) {
        return 0;
    }
    if (rc != 0) {
        if (rc != WAIT_RAISED) {
            raise_errno(rc, "Queue.abandoned()");
        }
        return -1;
    }
    PyObject *obj;
    if (self->codec == NULL) {
        obj = record_decode((PyObject *)self, &self->queue.seg, &sink.received, buf, bytes);
    }
    else {
        bytes = record_bytes((PyObject *)self, &self->queue.seg, &sink.received, buf, bytes);
        obj = bytes != NULL ? queue_decode(self, bytes, undecoded) : NULL;
    }
    int result = obj == NULL ? -1 : PyList_Append(objs, obj);
    Py_XDECREF(obj);
    return result < 0 ? -1 : 1;
}

PyDoc_STRVAR(abandoned_doc,
"abandoned($self)\n--\n\n"
"Return the items that processes had got when they died, and not marked by\n"
"task_done(), unless the queue redelivers those. It is for this process now to mark\n"
"them. Of what was never marked and is more than some 64 MiB only the latest is known.\n"
"If one cannot be unpickled the others are in the attribute `items` of the exception,\n"
"and what a codec cannot decode is as bytes in its attribute `undecoded`.");

static PyObject *
abandoned(queue_object *self, PyObject *Py_UNUSED(ignored))
{
    if (queue_check(self) < 0) {
        return NULL;
    }
    PyObject *objs = PyList_New(0);
    PyObject *undecoded = PyList_New(0);
    if (objs == NULL || undecoded == NULL) {
        Py_XDECREF(objs);
        Py_XDECREF(undecoded);
        return NULL;
    }
    PyObject *failure = NULL;
    bool taken;
    int result;
    do {
        result = take_abandoned(self, objs, undecoded, &taken);
        if (result < 0) {
            error_keep(&failure);
        }
    } while (taken);
    return queue_decoded(objs, undecoded, failure);
}

static int
joinable_queue_init(queue_object *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"maxsize", "redeliver", "codec", NULL};
    PyObject *maxsize = NULL, *codec = NULL;
    int redeliver = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$pO:JoinableQueue", names, &maxsize,
                                     &redeliver, &codec))
    {
        return -1;
    }
    return queue_make(self, maxsize, codec, redeliver ? QUEUE_REDELIVERS : QUEUE_JOINABLE);
}

static PyMethodDef joinable_queue_methods[] = {
    {"task_done", (PyCFunction)task_done, METH_NOARGS, task_done_doc},
    {"join", (PyCFunction)join, METH_NOARGS, join_doc},
    {"abandoned", (PyCFunction)abandoned, METH_NOARGS, abandoned_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(joinable_queue_doc,
"JoinableQueue(maxsize=0, *, redeliver=False, codec=None)\n--\n\n"
"A queue that knows which of its items are still worked on, and by which process. If\n"
"redeliver is true, those of a process that died return to its front.");

static PyType_Slot joinable_queue_slots[] = {
    {Py_tp_doc, (void *)joinable_queue_doc},
    {Py_tp_init, joinable_queue_init},
    {Py_tp_methods, joinable_queue_methods},
    {0, NULL},
};

static PyType_Spec joinable_queue_spec = {
    .name = "goprocessing._engine.JoinableQueue",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = joinable_queue_slots,
};

int
joinable_queue_exec(PyObject *module, PyTypeObject *base)
{
    PyTypeObject *type = module_add_type(module, &joinable_queue_spec, base);
    Py_XDECREF(type);
    return type == NULL ? -1 : 0;
}
