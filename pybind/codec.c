#include "codec.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "pickler.h"

/*
 * Opcodes of the pickle language (Lib/pickletools.py). STOP ends each pickle.
 * No PROTO goes before them: it is optional, and unpicklers accept every opcode
 * they know at any protocol.
 */
enum {
    OP_STOP = '.',
    OP_NONE = 'N',
    OP_TRUE = 0x88,
    OP_FALSE = 0x89,
    OP_BININT = 'J',         /* 4 bytes, signed, little-endian */
    OP_BININT1 = 'K',        /* 1 byte, unsigned */
    OP_BININT2 = 'M',        /* 2 bytes, unsigned, little-endian */
    OP_LONG1 = 0x8a,         /* length in 1 byte; two's complement, little-endian */
    OP_BINFLOAT = 'G',       /* 8 bytes, big-endian */
    OP_SHORT_BINBYTES = 'C', /* length in 1 byte */
    OP_BINBYTES = 'B',       /* length in 4 bytes */
    OP_BINBYTES8 = 0x8e,     /* length in 8 bytes */
    OP_SHORT_BINUNICODE = 0x8c,
    OP_BINUNICODE = 'X',
    OP_BINUNICODE8 = 0x8d,
};

/* Opcode and length of 8 bytes before a payload, STOP after it. */
#define HEADER_MAX 9
#define TRAILER 1

static void
store_le(char *p, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        p[i] = (char)(value >> (8 * i));
    }
}

static uint64_t
load_le(const char *p, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) {
        value |= (uint64_t)(unsigned char)p[i] << (8 * i);
    }
    return value;
}

/* Makes the first len of item->bytes the whole pickle. */
static int
finish_short(codec_item *item, size_t len)
{
    item->item.parts[0] = (gop_part){.data = item->bytes, .len = len};
    return 0;
}

static int
encode_opcode(codec_item *item, int opcode)
{
    item->bytes[0] = (char)opcode;
    item->bytes[1] = OP_STOP;
    return finish_short(item, 2);
}

static int
encode_number(codec_item *item, int opcode, uint64_t value, int bytes)
{
    char *p = item->bytes;
    *p++ = (char)opcode;
    if (opcode == OP_LONG1) {
        *p++ = (char)bytes;
    }
    store_le(p, value, bytes);
    p += bytes;
    *p++ = OP_STOP;
    return finish_short(item, (size_t)(p - item->bytes));
}

static int
encode_long(codec_item *item, long long value)
{
    if (value >= 0 && value <= UINT8_MAX) {
        return encode_number(item, OP_BININT1, (uint64_t)value, 1);
    }
    if (value >= 0 && value <= UINT16_MAX) {
        return encode_number(item, OP_BININT2, (uint64_t)value, 2);
    }
    if (value >= INT32_MIN && value <= INT32_MAX) {
        return encode_number(item, OP_BININT, (uint64_t)value, 4);
    }
    return encode_number(item, OP_LONG1, (uint64_t)value, 8);
}

static int
encode_float(codec_item *item, double value)
{
    char *p = item->bytes;
    p[0] = OP_BINFLOAT;
    if (PyFloat_Pack8(value, p + 1, 0) < 0) {
        return -1;
    }
    p[9] = OP_STOP;
    return finish_short(item, 10);
}

/* The opcodes for lengths of 1, 4 and 8 bytes. */
typedef struct {
    unsigned char op1, op4, op8;
} sized_opcodes;

static const sized_opcodes op_bytes = {OP_SHORT_BINBYTES, OP_BINBYTES, OP_BINBYTES8};
static const sized_opcodes op_unicode = {OP_SHORT_BINUNICODE, OP_BINUNICODE, OP_BINUNICODE8};

/* source has the payload, and stays as long as the item. */
static int
encode_sized(codec_item *item, sized_opcodes ops, const char *payload, Py_ssize_t size,
             PyObject *source)
{
    char *p = item->bytes;
    if (size <= UINT8_MAX) {
        *p++ = (char)ops.op1;
        *p++ = (char)size;
    }
    else if ((uint64_t)size <= INT32_MAX) {
        *p++ = (char)ops.op4;
        store_le(p, (uint64_t)size, 4);
        p += 4;
    }
    else {
        *p++ = (char)ops.op8;
        store_le(p, (uint64_t)size, 8);
        p += 8;
    }
    if ((size_t)size <= sizeof(item->bytes) - HEADER_MAX - TRAILER) {
        memcpy(p, payload, (size_t)size);
        p += size;
        *p++ = OP_STOP;
        return finish_short(item, (size_t)(p - item->bytes));
    }
    *p = OP_STOP;
    gop_part *parts = item->item.parts;
    parts[0] = (gop_part){.data = item->bytes, .len = (uint64_t)(p - item->bytes)};
    parts[1] = (gop_part){.data = payload, .len = (uint64_t)size};
    parts[2] = (gop_part){.data = p, .len = TRAILER};
    item->source = Py_NewRef(source);
    return 0;
}

static int
encode_str(codec_item *item, PyObject *obj)
{
    Py_ssize_t size;
    const char *utf8 = PyUnicode_AsUTF8AndSize(obj, &size);
    if (utf8 != NULL) {
        return encode_sized(item, op_unicode, utf8, size, obj);
    }
    if (!PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
        return -1;
    }
    /* Lone surrogates: as the pickle module does. */
    PyErr_Clear();
    PyObject *encoded = PyUnicode_AsEncodedString(obj, "utf-8", "surrogatepass");
    if (encoded == NULL) {
        return -1;
    }
    int result = encode_sized(item, op_unicode, PyBytes_AS_STRING(encoded),
                              PyBytes_GET_SIZE(encoded), encoded);
    Py_DECREF(encoded);
    return result;
}

/* Makes the buffers of a list part of the item. Views keep them also if their owners
 * release the PickleBuffers meanwhile. */
static int
add_buffers(codec_item *item, PyObject *buffers)
{
    Py_ssize_t n = PyList_GET_SIZE(buffers);
    item->views = PyMem_New(Py_buffer, n);
    item->parts = PyMem_New(gop_part, n);
    if (item->views == NULL || item->parts == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    item->item.buffers = item->parts;
    for (Py_ssize_t i = 0; i < n; i++) {
        Py_buffer *view = &item->views[i];
        if (PyObject_GetBuffer(PyList_GET_ITEM(buffers, i), view, PyBUF_FULL_RO) < 0) {
            return -1;
        }
        item->parts[i] = (gop_part){.data = view->buf, .len = (uint64_t)view->len};
        item->item.nbuffers++;
    }
    return 0;
}

/* Pickles obj, with buffers out of band in a list that may be NULL. */
static int
encode_pickle(codec_item *item, PyObject *obj, PyObject *buffers)
{
    PyObject *pickle = pickler_dumps(obj, buffers);
    if (pickle == NULL) {
        return -1;
    }
    int result = PyObject_GetBuffer(pickle, &item->view, PyBUF_SIMPLE);
    Py_DECREF(pickle);
    if (result < 0) {
        return -1;
    }
    item->item.parts[0] = (gop_part){.data = item->view.buf, .len = (uint64_t)item->view.len};
    if (buffers != NULL && PyList_GET_SIZE(buffers) > 0 && add_buffers(item, buffers) < 0) {
        codec_release(item);
        return -1;
    }
    return 0;
}

static int
encode_object(codec_item *item, PyObject *obj, bool in_band)
{
    if (in_band) {
        return encode_pickle(item, obj, NULL);
    }
    PyObject *buffers = PyList_New(0);
    if (buffers == NULL) {
        return -1;
    }
    int result = encode_pickle(item, obj, buffers);
    Py_DECREF(buffers);
    return result;
}

static void
begin(codec_item *item)
{
    item->item = (gop_item){0};
    item->source = item->view.obj = NULL;
    item->views = NULL;
    item->parts = NULL;
}

static int
encode(PyObject *obj, codec_item *item, bool in_band)
{
    begin(item);
    PyTypeObject *type = Py_TYPE(obj);
    if (type == &PyLong_Type) {
        int overflow;
        long long value = PyLong_AsLongLongAndOverflow(obj, &overflow);
        if (!overflow) {
            return encode_long(item, value);
        }
    }
    else if (type == &PyUnicode_Type) {
        return encode_str(item, obj);
    }
    else if (type == &PyBytes_Type) {
        return encode_sized(item, op_bytes, PyBytes_AS_STRING(obj), PyBytes_GET_SIZE(obj), obj);
    }
    else if (type == &PyFloat_Type) {
        return encode_float(item, PyFloat_AS_DOUBLE(obj));
    }
    else if (obj == Py_None) {
        return encode_opcode(item, OP_NONE);
    }
    else if (type == &PyBool_Type) {
        return encode_opcode(item, obj == Py_True ? OP_TRUE : OP_FALSE);
    }
    return encode_object(item, obj, in_band);
}

int
codec_encode(PyObject *obj, codec_item *item)
{
    return encode(obj, item, false);
}

int
codec_encode_in_band(PyObject *obj, codec_item *item)
{
    return encode(obj, item, true);
}

int
codec_encode_bytes(PyObject *obj, codec_item *item)
{
    begin(item);
    if (PyObject_GetBuffer(obj, &item->view, PyBUF_CONTIG_RO) < 0) {
        return -1;
    }
    item->item.parts[0] = (gop_part){.data = item->view.buf, .len = (uint64_t)item->view.len};
    return 0;
}

void
codec_release(codec_item *item)
{
    Py_CLEAR(item->source);
    for (uint64_t i = 0; i < item->item.nbuffers; i++) {
        PyBuffer_Release(&item->views[i]);
    }
    PyMem_Free(item->views);
    PyMem_Free(item->parts);
    if (item->view.obj != NULL) {
        PyBuffer_Release(&item->view);
    }
}

/*
 * The payload of a pickle that is one bytes or str: its offset in *offset and
 * its size as the result, or -1 when the pickle has not exactly that form.
 */
static Py_ssize_t
sized_payload(const char *data, size_t len, sized_opcodes ops, size_t *offset)
{
    unsigned char opcode = (unsigned char)data[0];
    int bytes = opcode == ops.op1 ? 1 : opcode == ops.op4 ? 4 : opcode == ops.op8 ? 8 : 0;
    size_t header = 1 + (size_t)bytes;
    if (bytes == 0 || len < header + TRAILER || data[len - 1] != OP_STOP) {
        return -1;
    }
    size_t size = len - header - TRAILER;
    if (load_le(data + 1, bytes) != size) {
        return -1;
    }
    *offset = header;
    return (Py_ssize_t)size;
}

/* The object of a pickle of one of the types above; NULL without an exception
 * when the pickle has another form. */
static PyObject *
decode_known(const char *data, size_t len)
{
    if (len < 2 || data[len - 1] != OP_STOP) {
        return NULL;
    }
    const char *arg = data + 1;
    size_t arglen = len - 2;
    size_t offset;
    Py_ssize_t size;
    switch ((unsigned char)data[0]) {
    case OP_BININT1:
        return arglen == 1 ? PyLong_FromLong((long)load_le(arg, 1)) : NULL;
    case OP_BININT2:
        return arglen == 2 ? PyLong_FromLong((long)load_le(arg, 2)) : NULL;
    case OP_BININT:
        return arglen == 4 ? PyLong_FromLong((int32_t)load_le(arg, 4)) : NULL;
    case OP_LONG1:
        return arglen == 9 && arg[0] == 8 ? PyLong_FromLongLong((int64_t)load_le(arg + 1, 8))
                                          : NULL;
    case OP_BINFLOAT:
        return arglen == 8 ? PyFloat_FromDouble(PyFloat_Unpack8(arg, 0)) : NULL;
    case OP_SHORT_BINUNICODE:
    case OP_BINUNICODE:
    case OP_BINUNICODE8:
        size = sized_payload(data, len, op_unicode, &offset);
        return size >= 0 ? PyUnicode_DecodeUTF8(data + offset, size, "surrogatepass") : NULL;
    case OP_SHORT_BINBYTES:
    case OP_BINBYTES:
    case OP_BINBYTES8:
        size = sized_payload(data, len, op_bytes, &offset);
        return size >= 0 ? PyBytes_FromStringAndSize(data + offset, size) : NULL;
    case OP_NONE:
        return arglen == 0 ? Py_NewRef(Py_None) : NULL;
    case OP_TRUE:
        return arglen == 0 ? Py_NewRef(Py_True) : NULL;
    case OP_FALSE:
        return arglen == 0 ? Py_NewRef(Py_False) : NULL;
    default:
        return NULL;
    }
}

PyObject *
codec_decode(const char *data, size_t len)
{
    PyObject *obj = decode_known(data, len);
    if (obj != NULL || PyErr_Occurred()) {
        return obj;
    }
    /* A copy: unpickling runs Python code, which could get hold of the buffer. */
    PyObject *pickle = PyBytes_FromStringAndSize(data, (Py_ssize_t)len);
    if (pickle == NULL) {
        return NULL;
    }
    obj = pickler_loads(pickle, NULL);
    Py_DECREF(pickle);
    return obj;
}

PyObject *
codec_decode_owned(PyObject *pickle)
{
    char *data = PyBytes_AS_STRING(pickle);
    size_t len = (size_t)PyBytes_GET_SIZE(pickle);
    size_t offset;
    Py_ssize_t size = len ? sized_payload(data, len, op_bytes, &offset) : -1;
    if (size >= 0) {
        /* The object becomes its own payload, so that no second block of that
         * size is needed. */
        memmove(data, data + offset, (size_t)size);
        _PyBytes_Resize(&pickle, size);
        return pickle;
    }
    PyObject *obj = decode_known(data, len);
    if (obj == NULL && !PyErr_Occurred()) {
        obj = pickler_loads(pickle, NULL);
    }
    Py_DECREF(pickle);
    return obj;
}

/* Fresh memory costs much more than the copy into it, and less in huge pages; numpy asks
 * for them from the same size on. */
#define HUGE (4 * 1024 * 1024)
#define HUGE_PAGE ((uintptr_t)2 * 1024 * 1024)

PyObject *
codec_new_bytes(Py_ssize_t size)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, size);
    if (bytes != NULL && size >= HUGE) {
        uintptr_t start = (uintptr_t)PyBytes_AS_STRING(bytes);
        uintptr_t end = (start + (uintptr_t)size) & ~(HUGE_PAGE - 1);
        start = (start + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
        (void)madvise((void *)start, end - start, MADV_HUGEPAGE);
    }
    return bytes;
}

PyObject *
codec_decode_view(PyObject *view)
{
    const Py_buffer *buffer = PyMemoryView_GET_BUFFER(view);
    const char *data = buffer->buf;
    size_t len = (size_t)buffer->len;
    size_t offset;
    Py_ssize_t size = len ? sized_payload(data, len, op_bytes, &offset) : -1;
    if (size >= 0) {
        PyObject *bytes = codec_new_bytes(size);
        if (bytes != NULL) {
            Py_BEGIN_ALLOW_THREADS
            memcpy(PyBytes_AS_STRING(bytes), data + offset, (size_t)size);
            Py_END_ALLOW_THREADS
        }
        return bytes;
    }
    PyObject *obj = decode_known(data, len);
    return obj != NULL || PyErr_Occurred() ? obj : pickler_loads(view, NULL);
}
