/*
 * Items of queues and messages of connections as pickles.
 *
 * Every record is a pickle that any unpickler reads. Those of None, bool,
 * float, str, bytes and int of 64 bits (exact types) are so short that the
 * opcodes are written and recognised here; all others are pickler.c's work.
 */
#ifndef GOPROCESSING_PYBIND_CODEC_H
#define GOPROCESSING_PYBIND_CODEC_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../capi/goprocessing.h"

/* What was made by codec_encode and the like, valid until codec_release, and not to be moved. */
typedef struct codec_item {
    gop_item item;
    char bytes[512];  /* short pickles, and what is around a payload in the second part */
    PyObject *source; /* what has the payload, or the pickle; or NULL */
    Py_buffer view;   /* of the pickle or the bytes; view.obj may be NULL */
    Py_buffer *views; /* of the buffers, of which there are item.nbuffers */
    gop_part *parts;  /* the same for the engine */
} codec_item;

/* Pickles obj. 0, or -1 with the pickler's exception set and nothing to release. */
int codec_encode(PyObject *obj, codec_item *item);

/* The same without buffers: all of it is in the parts. */
int codec_encode_in_band(PyObject *obj, codec_item *item);

/* The bytes of a bytes-like object instead of a pickle. 0, or -1 with TypeError or
 * BufferError set and nothing to release. */
int codec_encode_bytes(PyObject *obj, codec_item *item);

void codec_release(codec_item *item);

/* The object that a pickle of len bytes stands for; data is not kept. */
PyObject *codec_decode(const char *data, size_t len);

/* The same for a pickle in a bytes object that nobody else refers to; takes
 * over the reference. */
PyObject *codec_decode_owned(PyObject *pickle);

/* The same for a large pickle in a memoryview. */
PyObject *codec_decode_view(PyObject *view);

/* A bytes object of that size, to be filled at once. */
PyObject *codec_new_bytes(Py_ssize_t size);

#endif
