#include "record.h"

#include <string.h>

/* Records of this size are copied with the GIL released: that takes longer than
 * giving it up and taking it again. */
#define RECORD_LARGE (64 * 1024)

static int
run(blocking_call call, void *arg, uint64_t size, int64_t deadline)
{
    return size < RECORD_LARGE ? engine_block(call, arg, deadline)
                               : engine_wait(call, arg, deadline);
}

int
record_write(blocking_call call, record_source *source, int64_t deadline)
{
    return run(call, source, source->len, deadline);
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
    while (rc == -EMSGSIZE && sink->len <= limit) {
        if (sink->len <= cap) {
            sink->buf = buf;
            sink->cap = cap;
        }
        else {
            PyObject *room = NULL;
            if (sink->len <= PY_SSIZE_T_MAX) {
                room = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)sink->len);
            }
            else {
                PyErr_NoMemory();
            }
            Py_XSETREF(*bytes, room);
            if (room == NULL) {
                return WAIT_RAISED;
            }
            sink->buf = PyBytes_AS_STRING(room);
            sink->cap = sink->len;
        }
        rc = run(call, sink, sink->cap, deadline);
    }
    if (rc != 0 || sink->buf == buf) {
        Py_CLEAR(*bytes);
    }
    else if (sink->len <= cap) {
        memcpy(buf, sink->buf, sink->len);
        Py_CLEAR(*bytes);
    }
    else if (sink->len < sink->cap && _PyBytes_Resize(bytes, (Py_ssize_t)sink->len) < 0) {
        return WAIT_RAISED;
    }
    return rc;
}
