/* The methods of Connection for the handles that pass through its socket. */
#include "connection.h"

const char connection_recv_handle_doc[] =
    "_recv_handle($self)\n--\n\n"
    "Receive the descriptor that the other end sent with reduction.send_handle().";

typedef struct handle_sink {
    gop_conn *conn;
    int32_t handle;
} handle_sink;

static int
call_recv_handle(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    handle_sink *sink = arg;
    return sink->conn->sock < 0 ? -EBADF
                                : e->gop_conn_recv_handle(sink->conn, &sink->handle, how, deadline);
}

PyObject *
connection_recv_handle(connection_object *self, PyObject *Py_UNUSED(ignored))
{
    if (connection_check_open(self) < 0) {
        return NULL;
    }
    handle_sink sink = {.conn = &self->conn};
    int rc = connection_block(self, call_recv_handle, &sink, GOP_FOREVER);
    switch (rc) {
    case 0:
        return PyLong_FromLong(sink.handle);
    case -EPIPE:
        PyErr_SetNone(PyExc_EOFError);
        return NULL;
    case -EBADMSG:
        PyErr_SetString(PyExc_RuntimeError, "received 0 items of ancdata");
        return NULL;
    case WAIT_RAISED:
        return NULL;
    default:
        return raise_errno(rc, "recv_handle()");
    }
}

const char connection_sent_handle_doc[] =
    "_sent_handle($self)\n--\n\n"
    "Make sure that the other end's descriptor remains readable as long as messages\n"
    "wait. To be called after a descriptor was sent through it.";

static int
call_sent_handle(const gop_engine *e, void *arg, int Py_UNUSED(how), int64_t Py_UNUSED(deadline))
{
    gop_conn *conn = arg;
    return conn->sock < 0 ? -EBADF : e->gop_conn_sent_handle(conn);
}

PyObject *
connection_sent_handle(connection_object *self, PyObject *Py_UNUSED(ignored))
{
    if (connection_check_open(self) < 0) {
        return NULL;
    }
    int rc = connection_block(self, call_sent_handle, &self->conn, DEADLINE_NOW);
    /* The other end is gone: the handle was sent all the same. */
    if (rc == 0 || rc == -EPIPE) {
        Py_RETURN_NONE;
    }
    return rc == WAIT_RAISED ? NULL : raise_errno(rc, "send_handle()");
}
