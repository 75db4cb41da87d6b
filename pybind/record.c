#include "record.h"

#include <string.h>

#include "codec.h"
#include "extent.h"
#include "pickler.h"

/* Records of this size are copied with the GIL released: that takes longer than
 * giving it up and taking it again. */
#define RECORD_LARGE (64 * 1024)

int
record_run(blocking_call call, void *arg, uint64_t size, int64_t deadline)
{
    return size < RECORD_LARGE ? engine_block(call, arg, deadline)
                               : engine_wait(call, arg, deadline);
}

int
record_write(blocking_call call, record_source *source, int64_t deadline)
{
    uint64_t size = 0;
    for (int i = 0; i < 3; i++) {
        size += source->item.parts[i].len;
    }
    for (uint64_t i = 0; i < source->item.nbuffers; i++) {
        size += source->item.buffers[i].len;
    }
    return record_run(call, source, size, deadline);
}

int
record_read(blocking_call call, record_sink *sink, uint64_t limit, int64_t deadline,
            PyObject **bytes)
{
    char *buf = sink->buf;
    uint64_t cap = sink->cap < limit ? sink->cap : limit;
    *bytes = NULL;
    sink->cap = cap < RECORD_LARGE ? cap : RECORD_LARGE;
    int rc = engine_block(call, sink, deadline);
    /* More than once when another consumer takes the record while there is no
     * room for it: the next one has another length. */
    while (rc == -EMSGSIZE && sink->received.len <= limit) {
        if (sink->received.len <= cap) {
            sink->buf = buf;
            sink->cap = cap;
        }
        else {
            PyObject *room = NULL;
            if (sink->received.len <= PY_SSIZE_T_MAX) {
                room = codec_new_bytes((Py_ssize_t)sink->received.len);
            }
            else {
                PyErr_NoMemory();
            }
            Py_XSETREF(*bytes, room);
            if (room == NULL) {
                return WAIT_RAISED;
            }
            sink->buf = PyBytes_AS_STRING(room);
            sink->cap = sink->received.len;
        }
        rc = record_run(call, sink, sink->cap, deadline);
    }
    if (rc != 0 || sink->buf == buf) {
        Py_CLEAR(*bytes);
    }
    else if (sink->received.len <= cap) {
        memcpy(buf, sink->buf, sink->received.len);
        Py_CLEAR(*bytes);
    }
    else if (sink->received.len < sink->cap &&
             _PyBytes_Resize(bytes, (Py_ssize_t)sink->received.len) < 0)
    {
        return WAIT_RAISED;
    }
    return rc;
}

/* ---- records with extents ---- */

static gop_ref
ref_at(const char *buf, uint64_t i)
{
    gop_ref ref;
    memcpy(&ref, buf + i * sizeof(ref), sizeof(ref));
    return ref;
}

/* A list of views of the extents at buf. */
static PyObject *
view_extents(const extent_origin *origin, const char *buf, uint32_t refs)
{
    PyObject *views = PyList_New(refs);
    uint32_t i = 0;
    for (; views != NULL && i < refs; i++) {
        PyObject *view = extent_view(origin, ref_at(buf, i));
        if (view != NULL) {
            PyList_SET_ITEM(views, i, view);
        }
        else {
            Py_CLEAR(views);
        }
    }
    for (; i < refs; i++) {
        extent_release(origin->segment, ref_at(buf, i));
    }
    return views;
}

/* The pickle of a record with extents, and views of those that are its buffers; NULL
 * if the pickle itself is one. */
static int
unpack(const extent_origin *origin, const gop_received *received, const char *buf,
       PyObject **pickle, PyObject **views)
{
    *views = NULL;
    if (received->whole) {
        *pickle = extent_view(origin, ref_at(buf, 0));
        return *pickle == NULL ? -1 : 0;
    }
    size_t before = received->refs * sizeof(gop_ref);
    *views = view_extents(origin, buf, received->refs);
    if (*views == NULL) {
        return -1;
    }
    *pickle = PyBytes_FromStringAndSize(buf + before, (Py_ssize_t)(received->len - before));
    if (*pickle == NULL) {
        Py_CLEAR(*views);
        return -1;
    }
    return 0;
}

static PyObject *
decode_with_extents(const extent_origin *origin, const gop_received *received, const char *buf)
{
    PyObject *pickle, *views;
    if (unpack(origin, received, buf, &pickle, &views) < 0) {
        return NULL;
    }
    PyObject *obj = views == NULL ? codec_decode_view(pickle) : pickler_loads(pickle, views);
    Py_DECREF(pickle);
    Py_XDECREF(views);
    return obj;
}

PyObject *
record_decode(PyObject *origin, gop_segment *segment, const gop_received *received, const char *buf,
              PyObject *bytes)
{
    if (received->refs == 0) {
        return bytes != NULL ? codec_decode_owned(bytes) : codec_decode(buf, received->len);
    }
    extent_origin from = {.object = origin, .segment = segment};
    PyObject *obj =
        decode_with_extents(&from, received, bytes != NULL ? PyBytes_AS_STRING(bytes) : buf);
    Py_XDECREF(bytes);
    return obj;
}

PyObject *
record_parts(PyObject *origin, gop_segment *segment, const gop_received *received, const char *buf,
             PyObject *bytes)
{
    extent_origin from = {.object = origin, .segment = segment};
    PyObject *pickle = NULL, *views = NULL;
    if (bytes != NULL) {
        buf = PyBytes_AS_STRING(bytes);
    }
    if (received->refs == 0) {
        pickle = bytes != NULL ? Py_NewRef(bytes)
                               : PyBytes_FromStringAndSize(buf, (Py_ssize_t)received->len);
    }
    else {
        (void)unpack(&from, received, buf, &pickle, &views);
    }
    Py_XDECREF(bytes);
    if (pickle == NULL) {
        return NULL;
    }
    return Py_BuildValue("NN", pickle, views != NULL ? views : Py_NewRef(Py_None));
}

PyObject *
record_pickle(PyObject *obj)
{
    if (obj == NULL) {
        return NULL;
    }
    PyObject *pickle = pickler_dumps(obj, NULL);
    Py_DECREF(obj);
    PyObject *bytes = pickle != NULL ? PyBytes_FromObject(pickle) : NULL;
    Py_XDECREF(pickle);
    return bytes;
}

PyObject *
record_bytes(PyObject *origin, gop_segment *segment, const gop_received *received, const char *buf,
             PyObject *bytes)
{
    if (received->refs > 0 && !received->whole) {
        return record_pickle(record_decode(origin, segment, received, buf, bytes));
    }
    if (received->refs == 0 && bytes != NULL) {
        return bytes;
    }
    if (received->refs == 0) {
        return PyBytes_FromStringAndSize(buf, (Py_ssize_t)received->len);
    }
    extent_origin from = {.object = origin, .segment = segment};
    PyObject *view = extent_view(&from, ref_at(bytes != NULL ? PyBytes_AS_STRING(bytes) : buf, 0));
    Py_XDECREF(bytes);
    PyObject *copy = view != NULL ? PyBytes_FromObject(view) : NULL;
    Py_XDECREF(view);
    return copy;
}
