/* Extents of received items, as objects with a buffer. */
#ifndef GOPROCESSING_PYBIND_EXTENT_H
#define GOPROCESSING_PYBIND_EXTENT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "engine.h"

/* Where extents come from: an object that keeps its segment mapped for as long as
 * there are views. */
typedef struct extent_origin {
    PyObject *object;
    gop_segment *segment;
} extent_origin;

/* A writable memoryview of an extent that this process received, which is released
 * with it. NULL with an exception set if that fails; the extent is released then. */
PyObject *extent_view(const extent_origin *origin, gop_ref ref);

/* Releases an extent that has no view. */
void extent_release(gop_segment *segment, gop_ref ref);

/* Whether there are views of extents of that segment. */
bool extent_in_use(const gop_segment *segment);

#endif
