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

/* A pickle made by codec_encode, valid until codec_release. */
typedef struct codec_item {
    const char *data;
    Py_ssize_t len;
    enum { CODEC_INLINE, CODEC_HEAP, CODEC_VIEW } storage;
    union {
        char bytes[512];
        char *heap;
        Py_buffer view;
    } in;
} codec_item;

/* Pickles obj. 0, or -1 with the pickler's exception set and nothing to release. */
int codec_encode(PyObject *obj, codec_item *item);

void codec_release(codec_item *item);

/* The object that a pickle of len bytes stands for; data is not kept. */
PyObject *codec_decode(const char *data, size_t len);

/* The same for a pickle in a bytes object that nobody else refers to; takes
 * over the reference. */
PyObject *codec_decode_owned(PyObject *pickle);

#endif
