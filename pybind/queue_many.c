/* put_many and get_many: many items in one pass through the queue. */
#include "queue.h"

#include <string.h>

#include "arguments.h"
#include "errors.h"

static parameters put_many_parameters = {
    .method = "put_many", .required = 1, .names = {"objs", "block", "timeout"}};
static parameters get_many_parameters = {.method = "get_many",
                                         .names = {"max_items", "block", "timeout"}};

/* A batch to put, as gop_queue_put_many has it: the arg of a blocking_call. */
typedef struct batch_source {
    gop_queue *queue;
    char *data;
    uint64_t len, room;
    uint64_t put, done; /* items and bytes that are in the queue */
} batch_source;

/* Adds the record of an item. 0, or -1 with MemoryError set. */
static int
batch_add(batch_source *batch, const codec_item *item)
{
    uint64_t len = 0;
    for (int i = 0; i < 3; i++) {
        len += item->item.parts[i].len;
    }
    uint64_t size = sizeof(uint64_t) + ((len + 7) & ~(uint64_t)7);
    if (size > batch->room - batch->len) {
        uint64_t room = (batch->len + size) * 2;
        char *data = PyMem_Realloc(batch->data, room);
        if (data == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        batch->data = data;
        batch->room = room;
    }
    char *p = batch->data + batch->len;
    batch->len += size;
    memcpy(p, &len, sizeof(len));
    p += sizeof(len);
    for (int i = 0; i < 3; i++) {
        const gop_part *part = &item->item.parts[i];
        if (part->len > 0) {
            memcpy(p, part->data, part->len);
            p += part->len;
        }
    }
    memset(p, 0, (size_t)(batch->data + batch->len - p));
    return 0;
}

/* Encodes the objects of a list into a batch. Those that the class's own
 * _on_queue_feeder_error has dealt with are taken out of the list. */
static int
batch_fill(batch_source *batch, queue_object *self, PyObject *objs)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(objs);) {
        PyObject *obj = Py_NewRef(PyList_GET_ITEM(objs, i));
        codec_item item;
        int result =
            self->codec == NULL ? codec_encode_in_band(obj, &item) : queue_encode(self, obj, &item);
        if (result == 0) {
            result = batch_add(batch, &item);
            codec_release(&item);
            i++;
        }
        else {
            PyObject *handled = queue_pickling_failed(self, obj);
            Py_XDECREF(handled);
            result = handled != NULL ? PyList_SetSlice(objs, i, i + 1, NULL) : -1;
        }
        Py_DECREF(obj);
        if (result < 0) {
            return -1;
        }
    }
    return 0;
}

static int
call_put_many(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    batch_source *batch = arg;
    return e->gop_queue_put_many(batch->queue, batch->data + batch->done, batch->len - batch->done,
                                 &batch->put, &batch->done, how, deadline);
}

/* Gives the exception that is set those objects of a list that were not put. */
static void
tell_remaining(PyObject *objs, uint64_t put)
{
    PyObject *exception = error_take();
    PyObject *remaining = PyList_GetSlice(objs, (Py_ssize_t)put, PyList_GET_SIZE(objs));
    if (remaining == NULL) {
        PyErr_WriteUnraisable(exception);
        error_restore(exception);
        return;
    }
    error_restore(exception);
    error_set_attribute("remaining", remaining);
    Py_DECREF(remaining);
}

static PyObject *
put_list(queue_object *self, PyObject *objs, int64_t deadline)
{
    batch_source batch = {.queue = &self->queue};
    if (batch_fill(&batch, self, objs) < 0) {
        PyMem_Free(batch.data);
        return NULL;
    }
    int rc = record_run(call_put_many, &batch, batch.len, deadline);
    PyMem_Free(batch.data);
    if (batch.put > 0) {
        self->put_into = true;
    }
    if (rc == 0) {
        Py_RETURN_NONE;
    }
    queue_put_failed(rc);
    tell_remaining(objs, batch.put);
    return NULL;
}

const char queue_put_many_doc[] =
    "put_many($self, objs, block=True, timeout=None)\n--\n\n"
    "Put the objects of an iterable into the queue, in their order, several times\n"
    "faster than with a put() for each. All are pickled before the first is put; if\n"
    "the queue is full, wait for free slots, and when that takes longer than timeout\n"
    "seconds, or block is false, raise queue.Full. Every exception that ends the call\n"
    "while it puts has a list of the objects that were not put in its attribute\n"
    "`remaining`: Full, ShutDown, OSError, what a signal handler raises.";

PyObject *
queue_put_many(queue_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[PARAMETERS_MAX];
    int64_t deadline;
    if (arguments_bind(&put_many_parameters, args, nargs, kwnames, values) < 0 ||
        deadline_from_block(values[1], values[2], &deadline) < 0)
    {
        return NULL;
    }
    /* A list of our own: pickling runs Python code. */
    PyObject *objs = PySequence_List(values[0]);
    if (objs == NULL) {
        return NULL;
    }
    PyObject *result = self->writable ? put_list(self, objs, deadline) : queue_raise_not_open(self);
    Py_DECREF(objs);
    return result;
}

/* ---- get_many ---- */

/* How many bytes get_many takes at once. */
#define BATCH_BYTES (64 * 1024)

typedef struct batch_sink {
    gop_queue *queue;
    char *data;
    uint64_t most;
    uint64_t count, len;
} batch_sink;

static int
call_get_many(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    batch_sink *batch = arg;
    return e->gop_queue_get_many(batch->queue, batch->data, BATCH_BYTES, batch->most, &batch->count,
                                 &batch->len, how, deadline);
}

/* The object of the record at *p, which is moved to the next one. */
static PyObject *
decode_next(queue_object *self, const char **p, PyObject *undecoded)
{
    uint64_t len;
    memcpy(&len, *p, sizeof(len));
    const char *data = *p + sizeof(len);
    *p = data + ((len + 7) & ~(uint64_t)7);
    if (self->codec == NULL) {
        return codec_decode(data, len);
    }
    PyObject *bytes = PyBytes_FromStringAndSize(data, (Py_ssize_t)len);
    return bytes != NULL ? queue_decode(self, bytes, undecoded) : NULL;
}

/* The objects of a batch. If one cannot be unpickled the others go with its exception. */
static PyObject *
decode_batch(queue_object *self, const batch_sink *batch)
{
    PyObject *objs = PyList_New(0);
    PyObject *undecoded = PyList_New(0);
    if (objs == NULL || undecoded == NULL) {
        Py_XDECREF(objs);
        Py_XDECREF(undecoded);
        return NULL;
    }
    PyObject *failure = NULL;
    const char *p = batch->data;
    for (uint64_t i = 0; i < batch->count; i++) {
        PyObject *obj = decode_next(self, &p, undecoded);
        if (obj == NULL) {
            error_keep(&failure);
            continue;
        }
        int result = PyList_Append(objs, obj);
        Py_DECREF(obj);
        if (result < 0) {
            error_keep(&failure);
        }
    }
    return queue_decoded(objs, undecoded, failure);
}

/* A list of the next object, which is large. What fails has the attribute that it has in
 * decode_batch, too. */
static PyObject *
get_one(queue_object *self, int64_t deadline)
{
    PyObject *objs = PyList_New(0);
    PyObject *obj = objs != NULL ? queue_receive(self, deadline) : NULL;
    if (obj == NULL && objs != NULL) {
        error_set_attribute("items", objs);
    }
    if (obj == NULL || PyList_Append(objs, obj) < 0) {
        Py_CLEAR(objs);
    }
    Py_XDECREF(obj);
    return objs;
}

static PyObject *
get_list(queue_object *self, uint64_t most, int64_t deadline)
{
    batch_sink batch = {.queue = &self->queue, .data = PyMem_Malloc(BATCH_BYTES), .most = most};
    if (batch.data == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *objs;
    int rc = engine_block(call_get_many, &batch, deadline);
    switch (rc) {
    case 0:
        objs = decode_batch(self, &batch);
        break;
    case -EMSGSIZE:
    case -EBADMSG:
        objs = get_one(self, deadline);
        break;
    default:
        objs = queue_get_failed(rc);
    }
    PyMem_Free(batch.data);
    return objs;
}

/* The largest number of items to get. 0, or -1 with an exception set. */
static int
most_from(PyObject *arg, uint64_t *most)
{
    *most = UINT64_MAX;
    if (arg == NULL || arg == Py_None) {
        return 0;
    }
    Py_ssize_t value = PyNumber_AsSsize_t(arg, NULL);
    if (value == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (value < 1) {
        PyErr_SetString(PyExc_ValueError, "max_items must be positive");
        return -1;
    }
    *most = (uint64_t)value;
    return 0;
}

const char queue_get_many_doc[] =
    "get_many($self, max_items=None, block=True, timeout=None)\n--\n\n"
    "Remove the oldest items from the queue and return them as a list: at least one,\n"
    "which is waited for as get() does, at most max_items, and as many of those that\n"
    "are there as one pass through the queue takes (64 KiB of pickles). If one of\n"
    "them cannot be unpickled, the exception has the others in its attribute `items`,\n"
    "and what a codec cannot decode as bytes in its attribute `undecoded`.";

PyObject *
queue_get_many(queue_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[PARAMETERS_MAX];
    uint64_t most;
    int64_t deadline;
    if (arguments_bind(&get_many_parameters, args, nargs, kwnames, values) < 0 ||
        most_from(values[0], &most) < 0 || deadline_from_block(values[1], values[2], &deadline) < 0)
    {
        return NULL;
    }
    return self->readable ? get_list(self, most, deadline) : queue_raise_not_open(self);
}
