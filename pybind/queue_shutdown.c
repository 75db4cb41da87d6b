/* shutdown() of Queue. */
#include "queue.h"

#include "arguments.h"

static int
call_shutdown(const gop_engine *e, void *arg, int how, int64_t Py_UNUSED(deadline))
{
    return e->gop_queue_shutdown(arg, 0, how);
}

static int
call_shutdown_immediate(const gop_engine *e, void *arg, int how, int64_t Py_UNUSED(deadline))
{
    return e->gop_queue_shutdown(arg, 1, how);
}

static parameters shutdown_parameters = {.method = "shutdown", .names = {"immediate"}};

const char queue_shutdown_doc[] =
    "shutdown($self, immediate=False)\n--\n\n"
    "Make every put() of every process raise ShutDown, and every get() as soon as the\n"
    "queue is empty. If immediate, remove all items, which then count as done.";

PyObject *
queue_shutdown(queue_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[PARAMETERS_MAX];
    if (arguments_bind(&shutdown_parameters, args, nargs, kwnames, values) < 0 ||
        queue_check(self) < 0)
    {
        return NULL;
    }
    int immediate = values[0] == NULL ? 0 : PyObject_IsTrue(values[0]);
    if (immediate < 0) {
        return NULL;
    }
    int rc = engine_block(immediate ? call_shutdown_immediate : call_shutdown, &self->queue,
                          DEADLINE_NOW);
    if (rc == WAIT_RAISED) {
        return NULL;
    }
    if (rc < 0) {
        return raise_errno(rc, "Queue.shutdown()");
    }
    Py_RETURN_NONE;
}
