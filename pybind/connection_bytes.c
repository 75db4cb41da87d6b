/* The methods of Connection that send and receive bytes. A message with buffers is
 * received as the pickle of its object. */
#include "connection.h"

#include <string.h>

#include "arguments.h"

static parameters send_bytes_parameters = {
    .method = "send_bytes", .required = 1, .names = {"buf", "offset", "size"}};
static parameters recv_bytes_parameters = {.method = "recv_bytes", .names = {"maxlength"}};
static parameters recv_bytes_into_parameters = {
    .method = "recv_bytes_into", .required = 1, .names = {"buf", "offset"}};

static PyObject *buffer_too_short; /* multiprocessing.BufferTooShort */

const char connection_send_bytes_doc[] =
    "send_bytes($self, buf, offset=0, size=None)\n--\n\n"
    "Send size bytes of a bytes-like object, from offset, as one message.";

/* A number of bytes, where one beyond the range of Py_ssize_t is as good as its
 * end. -1 can be the number: check PyErr_Occurred. */
static Py_ssize_t
byte_count(PyObject *arg)
{
    return PyNumber_AsSsize_t(arg, NULL);
}

/* The part of the buffer that send_bytes sends. 0, or -1 with ValueError set. */
static int
slice_from(Py_ssize_t len, PyObject *offset_arg, PyObject *size_arg, Py_ssize_t *offset,
           Py_ssize_t *size)
{
    *offset = offset_arg ? byte_count(offset_arg) : 0;
    if (*offset < 0) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "offset is negative");
        }
        return -1;
    }
    if (len < *offset) {
        PyErr_SetString(PyExc_ValueError, "buffer length < offset");
        return -1;
    }
    *size = len - *offset;
    if (size_arg == NULL || size_arg == Py_None) {
        return 0;
    }
    Py_ssize_t wanted = byte_count(size_arg);
    if (wanted < 0) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "size is negative");
        }
        return -1;
    }
    if (wanted > *size) {
        PyErr_SetString(PyExc_ValueError, "buffer length < offset + size");
        return -1;
    }
    *size = wanted;
    return 0;
}

PyObject *
connection_send_bytes(connection_object *self, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames)
{
    PyObject *values[PARAMETERS_MAX];
    if (arguments_bind(&send_bytes_parameters, args, nargs, kwnames, values) < 0 ||
        connection_check_writable(self) < 0)
    {
        return NULL;
    }
    Py_buffer view;
    if (PyObject_GetBuffer(values[0], &view, PyBUF_CONTIG_RO) < 0) {
        return NULL;
    }
    PyObject *result = NULL;
    Py_ssize_t offset, size;
    if (slice_from(view.len, values[1], values[2], &offset, &size) == 0) {
        gop_item item = {.parts = {{.data = (char *)view.buf + offset, .len = (uint64_t)size}}};
        result = connection_write(self, &item);
    }
    PyBuffer_Release(&view);
    return result;
}

const char connection_recv_bytes_doc[] =
    "recv_bytes($self, maxlength=None)\n--\n\n"
    "Return the next message as bytes. A message longer than maxlength raises\n"
    "OSError, and the connection cannot be read any more.";

PyObject *
connection_recv_bytes(connection_object *self, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames)
{
    PyObject *values[PARAMETERS_MAX];
    if (arguments_bind(&recv_bytes_parameters, args, nargs, kwnames, values) < 0 ||
        connection_check_readable(self) < 0)
    {
        return NULL;
    }
    uint64_t limit = UINT64_MAX;
    if (values[0] != NULL && values[0] != Py_None) {
        Py_ssize_t maxlength = byte_count(values[0]);
        if (maxlength < 0) {
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_ValueError, "negative maxlength");
            }
            return NULL;
        }
        limit = (uint64_t)maxlength;
    }
    char buf[RECORD_INLINE];
    record_sink sink = {.buf = buf, .cap = sizeof(buf)};
    PyObject *bytes;
    int rc = connection_read(self, &sink, limit, &bytes);
    if (rc == 0) {
        return bytes ? bytes : PyBytes_FromStringAndSize(buf, (Py_ssize_t)sink.received.len);
    }
    if (rc == -EBADMSG) {
        bytes = record_pickle(connection_receive(self));
        if (bytes == NULL || (uint64_t)PyBytes_GET_SIZE(bytes) <= limit) {
            return bytes;
        }
        Py_DECREF(bytes);
        rc = -EMSGSIZE;
    }
    if (rc == -EMSGSIZE) {
        /* What follows cannot be made sense of, in the standard library at least. */
        if (self->conn.modes & GOP_WRITABLE) {
            self->conn.modes &= ~(uint32_t)GOP_READABLE;
        }
        else {
            connection_close(self);
        }
        PyErr_SetString(PyExc_OSError, "bad message length");
    }
    return NULL;
}

const char connection_recv_bytes_into_doc[] =
    "recv_bytes_into($self, buf, offset=0)\n--\n\n"
    "Receive the next message into a writable bytes-like object, from offset, and\n"
    "return its length. Raise BufferTooShort, with the message, if it is too long.";

/* buf as a writable view. 0, or -1 with an exception set: TypeError if it is
 * read-only. */
static int
writable_view(PyObject *buf, Py_buffer *view)
{
    if (PyObject_GetBuffer(buf, view, PyBUF_CONTIG) == 0) {
        return 0;
    }
    if (!PyErr_ExceptionMatches(PyExc_BufferError)) {
        return -1;
    }
    PyErr_Clear();
    if (PyObject_GetBuffer(buf, view, PyBUF_CONTIG_RO) == 0) {
        PyBuffer_Release(view);
        PyErr_Format(PyExc_TypeError,
                     "recv_bytes_into() argument must be read-write bytes-like object, not %.100s",
                     Py_TYPE(buf)->tp_name);
    }
    return -1;
}

static PyObject *
recv_into(connection_object *self, const Py_buffer *view, PyObject *offset_arg)
{
    Py_ssize_t offset = offset_arg ? byte_count(offset_arg) : 0;
    if (offset < 0 || offset > view->len) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, offset < 0 ? "negative offset" : "offset too large");
        }
        return NULL;
    }
    record_sink sink = {.buf = (char *)view->buf + offset, .cap = (uint64_t)(view->len - offset)};
    uint64_t room = sink.cap;
    PyObject *bytes;
    int rc = connection_read(self, &sink, UINT64_MAX, &bytes);
    if (rc == -EBADMSG) {
        bytes = record_pickle(connection_receive(self));
        if (bytes == NULL) {
            return NULL;
        }
        sink.received.len = (uint64_t)PyBytes_GET_SIZE(bytes);
        if (sink.received.len <= room) {
            memcpy((char *)view->buf + offset, PyBytes_AS_STRING(bytes), sink.received.len);
            Py_CLEAR(bytes);
        }
    }
    else if (rc != 0) {
        return NULL;
    }
    if (bytes != NULL) {
        PyErr_SetObject(buffer_too_short, bytes);
        Py_DECREF(bytes);
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(sink.received.len);
}

PyObject *
connection_recv_bytes_into(connection_object *self, PyObject *const *args, Py_ssize_t nargs,
                           PyObject *kwnames)
{
    PyObject *values[PARAMETERS_MAX];
    if (arguments_bind(&recv_bytes_into_parameters, args, nargs, kwnames, values) < 0 ||
        connection_check_readable(self) < 0)
    {
        return NULL;
    }
    Py_buffer view;
    if (writable_view(values[0], &view) < 0) {
        return NULL;
    }
    PyObject *result = recv_into(self, &view, values[1]);
    PyBuffer_Release(&view);
    return result;
}

int
connection_bytes_exec(void)
{
    PyObject *standard = PyImport_ImportModule("multiprocessing.context");
    if (standard == NULL) {
        return -1;
    }
    Py_XSETREF(buffer_too_short, PyObject_GetAttrString(standard, "BufferTooShort"));
    Py_DECREF(standard);
    return buffer_too_short == NULL ? -1 : 0;
}
