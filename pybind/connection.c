/* Connection: one end of a pipe. */
#include "connection.h"

#include "arguments.h"
#include "codec.h"
#include "extent.h"

static parameters poll_parameters = {.method = "poll", .names = {"timeout"}};

int
connection_check_open(connection_object *self)
{
    if (!self->open) {
        PyErr_SetString(PyExc_OSError, "handle is closed");
        return -1;
    }
    return 0;
}

static int
check_mode(connection_object *self, uint32_t mode, const char *error)
{
    if (connection_check_open(self) < 0) {
        return -1;
    }
    if (!(self->conn.modes & mode)) {
        PyErr_SetString(PyExc_OSError, error);
        return -1;
    }
    return 0;
}

int
connection_check_readable(connection_object *self)
{
    return check_mode(self, GOP_READABLE, "connection is write-only");
}

int
connection_check_writable(connection_object *self)
{
    return check_mode(self, GOP_WRITABLE, "connection is read-only");
}

/* ---- use and release ---- */

static void
release(connection_object *self)
{
    if (self->conn.sock >= 0) {
        gop_conn_hang_up(&self->conn);
        if (!extent_in_use(&self->conn.seg)) {
            gop_segment_close(&self->conn.seg);
        }
    }
}

/* Keeps the connection from being released until leave, which takes what this
 * returns. */
static uint64_t
enter(connection_object *self)
{
    if (self->generation != engine_process.generation) {
        /* The threads that were in calls did not survive the fork. */
        self->generation = engine_process.generation;
        self->users = 0;
    }
    self->users++;
    return self->generation;
}

static void
release_if_unused(connection_object *self)
{
    if (!self->open && (self->users == 0 || self->generation != engine_process.generation)) {
        release(self);
    }
}

static void
leave(connection_object *self, uint64_t generation)
{
    /* A signal handler may have forked during the call, and this be the child,
     * where users has been counting anew. */
    if (self->generation == generation) {
        self->users--;
    }
    release_if_unused(self);
}

void
connection_close(connection_object *self)
{
    self->open = false;
    release_if_unused(self);
}

/*
 * The calls of the engine see a connection that was released only if a signal
 * handler forked during the call, and this is the child, and it closed it there.
 */

static int
call_send(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    record_source *source = arg;
    gop_conn *conn = source->target;
    if (conn->sock < 0) {
        return -EBADF;
    }
    const gop_part *data = source->item.parts;
    return record_is_simple(source) ? e->gop_conn_send(conn, data->data, data->len, how, deadline)
                                    : e->gop_conn_send_item(conn, &source->item, how, deadline);
}

/* What a call that receives says without asking the engine: 0 if nothing.
 * Whether an empty pipe is at its end only the kernel knows: who waits anyway asks
 * it when spinning was in vain. */
static int
look(const gop_conn *conn, int how)
{
    if (conn->sock < 0) {
        return -EBADF;
    }
    return how == GOP_TRY && gop_conn_len(conn) == 0 ? -EAGAIN : 0;
}

static int
call_recv(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    record_sink *sink = arg;
    gop_conn *conn = sink->origin;
    int rc = look(conn, how);
    return rc < 0
               ? rc
               : e->gop_conn_recv(conn, sink->buf, sink->cap, &sink->received.len, how, deadline);
}

static int
call_receive(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    record_sink *sink = arg;
    gop_conn *conn = sink->origin;
    int rc = look(conn, how);
    return rc < 0 ? rc
                  : e->gop_conn_receive(conn, sink->buf, sink->cap, &sink->received, how, deadline);
}

static int
call_watch(const gop_engine *e, void *arg, int how, int64_t Py_UNUSED(deadline))
{
    gop_conn *conn = arg;
    return conn->sock < 0 ? -EBADF : e->gop_conn_watch(conn, how);
}

static int
call_poll(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    gop_conn *conn = arg;
    return conn->sock < 0 ? -EBADF : e->gop_conn_poll(conn, how, deadline);
}

int
connection_block(connection_object *self, blocking_call call, void *arg, int64_t deadline)
{
    uint64_t use = enter(self);
    int rc = engine_block(call, arg, deadline);
    leave(self, use);
    return rc;
}

/* ---- messages ---- */

PyObject *
connection_write(connection_object *self, const gop_item *item)
{
    /* Again: making the message may have run Python code. */
    if (connection_check_open(self) < 0) {
        return NULL;
    }
    record_source source = {.target = &self->conn, .item = *item};
    uint64_t use = enter(self);
    int rc = record_write(call_send, &source, GOP_FOREVER);
    leave(self, use);
    if (rc == WAIT_RAISED) {
        return NULL;
    }
    if (rc < 0) {
        return raise_errno(rc, "Connection.send()");
    }
    Py_RETURN_NONE;
}

/* What connection_read and recv make of the result of record_read. */
static int
read_result(int rc)
{
    if (rc == -EPIPE) {
        PyErr_SetNone(PyExc_EOFError);
        return WAIT_RAISED;
    }
    if (rc < 0 && rc != -EMSGSIZE && rc != -EBADMSG) {
        raise_errno(rc, "Connection.recv()");
        return WAIT_RAISED;
    }
    return rc;
}

static int
read_record(connection_object *self, blocking_call call, record_sink *sink, uint64_t limit,
            PyObject **bytes)
{
    if (connection_check_open(self) < 0) {
        return WAIT_RAISED;
    }
    sink->origin = &self->conn;
    uint64_t use = enter(self);
    int rc = record_read(call, sink, limit, GOP_FOREVER, bytes);
    leave(self, use);
    return read_result(rc);
}

int
connection_read(connection_object *self, record_sink *sink, uint64_t limit, PyObject **bytes)
{
    return read_record(self, call_recv, sink, limit, bytes);
}

typedef PyObject *(*record_result)(PyObject *origin, gop_segment *segment,
                                   const gop_received *received, const char *buf, PyObject *bytes);

static PyObject *
receive(connection_object *self, record_result result)
{
    char buf[RECORD_INLINE];
    record_sink sink = {.buf = buf, .cap = sizeof(buf)};
    PyObject *bytes;
    /* Used until the result is made: close() in another thread, or by what the
     * pickle runs, must not unmap its extents. */
    uint64_t use = enter(self);
    PyObject *obj = NULL;
    if (read_record(self, call_receive, &sink, UINT64_MAX, &bytes) == 0) {
        obj = result((PyObject *)self, &self->conn.seg, &sink.received, buf, bytes);
    }
    leave(self, use);
    return obj;
}

PyObject *
connection_receive(connection_object *self)
{
    return receive(self, record_decode);
}

PyDoc_STRVAR(send_doc,
"send($self, obj)\n--\n\n"
"Send obj, which is pickled, to the other end.");

static PyObject *
connection_send(connection_object *self, PyObject *obj)
{
    if (connection_check_writable(self) < 0) {
        return NULL;
    }
    codec_item item;
    if (codec_encode(obj, &item) < 0) {
        return NULL;
    }
    PyObject *result = connection_write(self, &item.item);
    codec_release(&item);
    return result;
}

PyDoc_STRVAR(recv_doc,
"recv($self)\n--\n\n"
"Return the next object that the other end sent, waiting for it if need be.\n"
"Raise EOFError if there is nothing left and the other end is closed.");

static PyObject *
connection_recv(connection_object *self, PyObject *Py_UNUSED(ignored))
{
    if (connection_check_readable(self) < 0) {
        return NULL;
    }
    return connection_receive(self);
}

PyDoc_STRVAR(recv_parts_doc,
"_recv_parts($self)\n--\n\n"
"Receive a message as the arguments of loads().");

static PyObject *
connection_recv_parts(connection_object *self, PyObject *Py_UNUSED(ignored))
{
    if (connection_check_readable(self) < 0) {
        return NULL;
    }
    return receive(self, record_parts);
}

PyDoc_STRVAR(poll_doc,
"poll($self, timeout=0.0)\n--\n\n"
"Return whether there is a message, or the end of file, to be received,\n"
"waiting for it at most timeout seconds, without limit if that is None.");

static PyObject *
connection_poll(connection_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (connection_check_readable(self) < 0) {
        return NULL;
    }
    PyObject *values[PARAMETERS_MAX];
    int64_t deadline = DEADLINE_NOW;
    if (arguments_bind(&poll_parameters, args, nargs, kwnames, values) < 0 ||
        (values[0] != NULL && deadline_from(values[0], &deadline) < 0) ||
        connection_check_open(self) < 0)
    {
        return NULL;
    }
    int rc = connection_block(self, call_poll, &self->conn, deadline);
    switch (rc) {
    case 0:
        Py_RETURN_TRUE;
    case -EAGAIN:
        Py_RETURN_FALSE;
    case WAIT_RAISED:
        return NULL;
    default:
        return raise_errno(rc, "Connection.poll()");
    }
}

/* ---- state ---- */

PyDoc_STRVAR(fileno_doc,
"fileno($self)\n--\n\n"
"Return a descriptor that is readable when a message can be received.");

static PyObject *
connection_fileno(connection_object *self, PyObject *Py_UNUSED(ignored))
{
    if (connection_check_open(self) < 0) {
        return NULL;
    }
    if (!gop_conn_is_watched(&self->conn)) {
        int rc = connection_block(self, call_watch, &self->conn, DEADLINE_NOW);
        if (rc < 0) {
            raise_errno(rc, "Connection.fileno()");
        }
        /* Again: a signal handler may have run Python code. */
        if (rc != 0 || connection_check_open(self) < 0) {
            return NULL;
        }
    }
    return PyLong_FromLong(self->conn.sock);
}

PyDoc_STRVAR(descriptors_doc,
"_descriptors($self)\n--\n\n"
"Return the arguments with which _attach() makes this connection elsewhere:\n"
"the descriptors of its memory and its socket, its side and its modes.");

static PyObject *
connection_descriptors(connection_object *self, PyObject *Py_UNUSED(ignored))
{
    if (connection_check_open(self) < 0) {
        return NULL;
    }
    const gop_conn *c = &self->conn;
    return Py_BuildValue("iiII", c->seg.fd, c->sock, c->side, c->modes);
}

static PyObject *
connection_get_handle(connection_object *self, void *Py_UNUSED(closure))
{
    if (!self->open) {
        Py_RETURN_NONE;
    }
    return connection_fileno((connection_object *)self, NULL);
}

static PyObject *
connection_get_closed(connection_object *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(!self->open);
}

static PyObject *
connection_get_readable(connection_object *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->conn.modes & GOP_READABLE);
}

static PyObject *
connection_get_writable(connection_object *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->conn.modes & GOP_WRITABLE);
}

static PyObject *
connection_get_received(connection_object *self, void *Py_UNUSED(closure))
{
    if (connection_check_readable(self) < 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(gop_conn_received(&self->conn));
}

/* ---- life ---- */

connection_object *
connection_alloc(PyTypeObject *type)
{
    connection_object *self = (connection_object *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->conn.seg.fd = -1;
        self->conn.sock = -1;
    }
    return self;
}

static PyObject *
connection_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    return (PyObject *)connection_alloc(type);
}

PyDoc_STRVAR(attach_doc,
"_attach($type, memory, socket, side, modes)\n--\n\n"
"Make a connection of what _descriptors() returned, and own the descriptors.");

static PyObject *
connection_attach(PyTypeObject *type, PyObject *args)
{
    int memory, sock;
    unsigned int side, modes;
    if (!PyArg_ParseTuple(args, "iiII:_attach", &memory, &sock, &side, &modes)) {
        return NULL;
    }
    const gop_engine *e = engine();
    if (e == NULL) {
        return NULL;
    }
    connection_object *self = connection_alloc(type);
    if (self == NULL) {
        return NULL;
    }
    int rc = e->gop_conn_open(&self->conn, memory, sock, side, modes);
    if (rc < 0) {
        Py_DECREF(self);
        return raise_errno(rc, "cannot attach a connection");
    }
    self->open = true;
    return (PyObject *)self;
}

PyDoc_STRVAR(close_doc,
"close($self)\n--\n\n"
"Close this process's end.");

static PyObject *
connection_close_method(connection_object *self, PyObject *Py_UNUSED(ignored))
{
    connection_close(self);
    Py_RETURN_NONE;
}

static PyObject *
connection_enter_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    return Py_NewRef(self);
}

static PyObject *
connection_exit_method(connection_object *self, PyObject *const *Py_UNUSED(args),
                       Py_ssize_t Py_UNUSED(nargs))
{
    connection_close(self);
    Py_RETURN_NONE;
}

static void
connection_dealloc(connection_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    release(self);
    gop_segment_close(&self->conn.seg);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef connection_methods[] = {
    {"send", (PyCFunction)connection_send, METH_O, send_doc},
    {"recv", (PyCFunction)connection_recv, METH_NOARGS, recv_doc},
    {"send_bytes", (PyCFunction)(void (*)(void))connection_send_bytes,
     METH_FASTCALL | METH_KEYWORDS, connection_send_bytes_doc},
    {"recv_bytes", (PyCFunction)(void (*)(void))connection_recv_bytes,
     METH_FASTCALL | METH_KEYWORDS, connection_recv_bytes_doc},
    {"recv_bytes_into", (PyCFunction)(void (*)(void))connection_recv_bytes_into,
     METH_FASTCALL | METH_KEYWORDS, connection_recv_bytes_into_doc},
    {"poll", (PyCFunction)(void (*)(void))connection_poll, METH_FASTCALL | METH_KEYWORDS, poll_doc},
    {"_recv_parts", (PyCFunction)connection_recv_parts, METH_NOARGS, recv_parts_doc},
    {"_recv_handle", (PyCFunction)connection_recv_handle, METH_NOARGS, connection_recv_handle_doc},
    {"_sent_handle", (PyCFunction)connection_sent_handle, METH_NOARGS, connection_sent_handle_doc},
    {"fileno", (PyCFunction)connection_fileno, METH_NOARGS, fileno_doc},
    {"close", (PyCFunction)connection_close_method, METH_NOARGS, close_doc},
    {"__enter__", (PyCFunction)connection_enter_method, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))connection_exit_method, METH_FASTCALL, NULL},
    {"_descriptors", (PyCFunction)connection_descriptors, METH_NOARGS, descriptors_doc},
    {"_attach", (PyCFunction)connection_attach, METH_VARARGS | METH_CLASS, attach_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef connection_getset[] = {
    {"closed", (getter)connection_get_closed, NULL, "True if the connection is closed", NULL},
    {"readable", (getter)connection_get_readable, NULL, "True if the connection is readable", NULL},
    {"writable", (getter)connection_get_writable, NULL, "True if the connection is writable", NULL},
    {"_handle", (getter)connection_get_handle, NULL, NULL, NULL},
    {"_received", (getter)connection_get_received, NULL,
     "How many messages this end has received, in all processes", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(connection_doc,
"One end of a pipe. Made by pipe().");

static PyType_Slot connection_slots[] = {
    {Py_tp_doc, (void *)connection_doc}, {Py_tp_new, connection_new},
    {Py_tp_dealloc, connection_dealloc}, {Py_tp_methods, connection_methods},
    {Py_tp_getset, connection_getset},   {0, NULL},
};

static PyType_Spec connection_spec = {
    .name = "goprocessing._engine.Connection",
    .basicsize = sizeof(connection_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = connection_slots,
};

int
connection_exec(PyObject *module)
{
    PyTypeObject *type = module_add_type(module, &connection_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    int result = connection_bytes_exec() < 0 ? -1 : pipe_exec(module, type);
    Py_DECREF(type);
    return result;
}
