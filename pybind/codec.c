#include "codec.h"

#include <string.h>

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

static int
encode_opcode(codec_item *item, int opcode)
{
    item->in.bytes[0] = (char)opcode;
    item->in.bytes[1] = OP_STOP;
    item->data = item->in.bytes;
    item->len = 2;
    item->storage = CODEC_INLINE;
    return 0;
}

static int
encode_number(codec_item *item, int opcode, uint64_t value, int bytes)
{
    char *p = item->in.bytes;
    *p++ = (char)opcode;
    if (opcode == OP_LONG1) {
        *p++ = (char)bytes;
    }
    store_le(p, value, bytes);
    p += bytes;
    *p++ = OP_STOP;
    item->data = item->in.bytes;
    item->len = p - item->in.bytes;
    item->storage = CODEC_INLINE;
    return 0;
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
    char *p = item->in.bytes;
    p[0] = OP_BINFLOAT;
    if (PyFloat_Pack8(value, p + 1, 0) < 0) {
        return -1;
    }
    p[9] = OP_STOP;
    item->data = p;
    item->len = 10;
    item->storage = CODEC_INLINE;
    return 0;
}

/* The opcodes for lengths of 1, 4 and 8 bytes. */
typedef struct {
    unsigned char op1, op4, op8;
} sized_opcodes;

static const sized_opcodes op_bytes = {OP_SHORT_BINBYTES, OP_BINBYTES, OP_BINBYTES8};
static const sized_opcodes op_unicode = {OP_SHORT_BINUNICODE, OP_BINUNICODE, OP_BINUNICODE8};

static int
encode_sized(codec_item *item, sized_opcodes ops, const char *payload, Py_ssize_t size)
{
    char *start = item->in.bytes;
    item->storage = CODEC_INLINE;
    if ((size_t)size > sizeof(item->in.bytes) - HEADER_MAX - TRAILER) {
        /* No overflow: the payload is in memory, so its size is far from the limit. */
        start = PyMem_Malloc((size_t)size + HEADER_MAX + TRAILER);
        if (start == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        item->storage = CODEC_HEAP;
        item->in.heap = start;
    }
    char *p = start;
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
    memcpy(p, payload, (size_t)size);
    p += size;
    *p++ = OP_STOP;
    item->data = start;
    item->len = p - start;
    return 0;
}

static int
encode_str(codec_item *item, PyObject *obj)
{
    Py_ssize_t size;
    const char *utf8 = PyUnicode_AsUTF8AndSize(obj, &size);
    if (utf8 != NULL) {
        return encode_sized(item, op_unicode, utf8, size);
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
    int result =
        encode_sized(item, op_unicode, PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded));
    Py_DECREF(encoded);
    return result;
}

static int
encode_object(codec_item *item, PyObject *obj)
{
    PyObject *pickle = pickler_dumps(obj, NULL);
    if (pickle == NULL) {
        return -1;
    }
    int result = PyObject_GetBuffer(pickle, &item->in.view, PyBUF_SIMPLE);
    Py_DECREF(pickle);
    if (result < 0) {
        return -1;
    }
    item->data = item->in.view.buf;
    item->len = item->in.view.len;
    item->storage = CODEC_VIEW;
    return 0;
}

int
codec_encode(PyObject *obj, codec_item *item)
{
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
        return encode_sized(item, op_bytes, PyBytes_AS_STRING(obj), PyBytes_GET_SIZE(obj));
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
    return encode_object(item, obj);
}

void
codec_release(codec_item *item)
{
    switch (item->storage) {
    case CODEC_INLINE:
        break;
    case CODEC_HEAP:
        PyMem_Free(item->in.heap);
        break;
    case CODEC_VIEW:
        PyBuffer_Release(&item->in.view);
        break;
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
