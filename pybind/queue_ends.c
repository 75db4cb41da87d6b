/* What Queue offers to those who treat its two ends as connections. */
#include "queue.h"

#include "arguments.h"

static int
call_poll(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    return e->gop_queue_poll(arg, how, deadline);
}

int
queue_await(queue_object *self, int64_t deadline)
{
    int rc = engine_block(call_poll, &self->queue, deadline);
    switch (rc) {
    case 0:
        return 1;
    case -EAGAIN:
        return 0;
    case WAIT_RAISED:
        return -1;
    default:
        raise_errno(rc, "Queue._poll()");
        return -1;
    }
}

static parameters poll_parameters = {.method = "_poll", .names = {"timeout"}};

const char queue_poll_doc[] =
    "_poll($self, timeout=0.0)\n--\n\n"
    "Return whether get() would not wait, waiting for that at most timeout seconds,\n"
    "without limit if that is None.";

PyObject *
queue_poll(queue_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[PARAMETERS_MAX];
    int64_t deadline = DEADLINE_NOW;
    if (arguments_bind(&poll_parameters, args, nargs, kwnames, values) < 0 ||
        (values[0] != NULL && deadline_from(values[0], &deadline) < 0) || queue_check(self) < 0)
    {
        return NULL;
    }
    int ready = queue_await(self, deadline);
    return ready < 0 ? NULL : PyBool_FromLong(ready);
}

static int
call_watch(const gop_engine *e, void *arg, int how, int64_t Py_UNUSED(deadline))
{
    return e->gop_queue_watch(arg, how);
}

const char queue_watch_doc[] =
    "_watch($self, /)\n--\n\n"
    "Return a descriptor that is readable as long as get() would not wait.";

PyObject *
queue_watch(queue_object *self, PyObject *Py_UNUSED(ignored))
{
    if (queue_check(self) < 0) {
        return NULL;
    }
    int rc = engine_block(call_watch, &self->queue, DEADLINE_NOW);
    if (rc == WAIT_RAISED) {
        return NULL;
    }
    if (rc == -ENOTSUP) {
        return raise_errno(rc, "the queue was opened without the descriptor that tells of items");
    }
    if (rc < 0) {
        return raise_errno(rc, "the queue cannot be watched");
    }
    return PyLong_FromLong(self->queue.bell);
}

const char queue_close_reader_doc[] = "_close_reader($self, /)\n--\n\n"
                                      "Refuse get() from now on, in this process.";

PyObject *
queue_close_reader(queue_object *self, PyObject *Py_UNUSED(ignored))
{
    self->readable = false;
    Py_RETURN_NONE;
}

const char queue_close_writer_doc[] = "_close_writer($self, /)\n--\n\n"
                                      "Refuse put() from now on, in this process.";

PyObject *
queue_close_writer(queue_object *self, PyObject *Py_UNUSED(ignored))
{
    self->writable = false;
    Py_RETURN_NONE;
}
