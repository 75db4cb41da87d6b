/* The methods of Queue that put and get bytes. */
#include "queue.h"

#include "arguments.h"

static parameters put_bytes_parameters = {
    .method = "put_bytes", .required = 1, .names = {"data", "block", "timeout"}};
static parameters get_bytes_parameters = {.method = "get_bytes", .names = {"block", "timeout"}};

const char queue_put_bytes_doc[] =
    "put_bytes($self, data, block=True, timeout=None)\n--\n\n"
    "Put the bytes of a bytes-like object into the queue as they are, for get_bytes(),\n"
    "waiting for room as put() does. To get() they are what the queue's codec has made\n"
    "of an object: a pickle, unless there is another.";

PyObject *
queue_put_bytes(queue_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[PARAMETERS_MAX];
    int64_t deadline;
    if (arguments_bind(&put_bytes_parameters, args, nargs, kwnames, values) < 0 ||
        deadline_from_block(values[1], values[2], &deadline) < 0)
    {
        return NULL;
    }
    if (!self->writable) {
        return queue_raise_not_open(self);
    }
    codec_item item;
    if (codec_encode_bytes(values[0], &item) < 0) {
        return NULL;
    }
    PyObject *result = queue_write(self, &item.item, deadline);
    codec_release(&item);
    return result;
}

static int
call_get(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    record_sink *sink = arg;
    return e->gop_queue_get(sink->origin, sink->buf, sink->cap, &sink->received.len, how, deadline);
}

PyObject *
queue_receive_bytes(queue_object *self, int64_t deadline)
{
    char buf[RECORD_INLINE];
    record_sink sink = {.origin = &self->queue, .buf = buf, .cap = sizeof(buf)};
    PyObject *bytes;
    int rc = record_read(call_get, &sink, UINT64_MAX, deadline, &bytes);
    if (rc == -EBADMSG) {
        /* It has buffers. The next one need not, if another consumer takes this one. */
        sink = (record_sink){.origin = &self->queue, .buf = buf, .cap = sizeof(buf)};
        rc = queue_take(self, &sink, deadline, &bytes);
    }
    if (rc != 0) {
        return queue_get_failed(rc);
    }
    return record_bytes((PyObject *)self, &self->queue.seg, &sink.received, buf, bytes);
}

const char queue_get_bytes_doc[] =
    "get_bytes($self, block=True, timeout=None)\n--\n\n"
    "Remove the oldest item from the queue, waiting for it as get() does, and return its\n"
    "bytes: those of put_bytes(), or what put() has made of an object, its pickle unless\n"
    "the queue has another codec.";

PyObject *
queue_get_bytes(queue_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[PARAMETERS_MAX];
    int64_t deadline;
    if (arguments_bind(&get_bytes_parameters, args, nargs, kwnames, values) < 0 ||
        deadline_from_block(values[0], values[1], &deadline) < 0)
    {
        return NULL;
    }
    return self->readable ? queue_receive_bytes(self, deadline) : queue_raise_not_open(self);
}
