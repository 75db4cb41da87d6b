/* JoinableQueue: a queue whose items are counted until they are done. */
#include "queue.h"

PyDoc_STRVAR(task_done_doc,
"task_done($self)\n--\n\n"
"Say that the work on one item that was got from the queue is done.");

static PyObject *
task_done(queue_object *self, PyObject *Py_UNUSED(ignored))
{
    if (queue_check(self) < 0) {
        return NULL;
    }
    const gop_engine *e = engine();
    if (e == NULL) {
        return NULL;
    }
    int rc = e->gop_queue_task_done(&self->queue);
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

static PyMethodDef joinable_queue_methods[] = {
    {"task_done", (PyCFunction)task_done, METH_NOARGS, task_done_doc},
    {"join", (PyCFunction)join, METH_NOARGS, join_doc},
    {NULL, NULL, 0, NULL},
};

PyDoc_STRVAR(joinable_queue_doc,
"JoinableQueue(maxsize=0)\n--\n\n"
"A queue that knows how many of its items are still worked on.");

static PyType_Slot joinable_queue_slots[] = {
    {Py_tp_doc, (void *)joinable_queue_doc},
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
