/*
 * Pickling as multiprocessing.reduction.ForkingPickler does it, with the
 * reducers registered there and in copyreg, and with the same bytes as result,
 * but without a pickler, a file and a copy of the two tables for each object.
 *
 * A class that the program has put in ForkingPickler's place, or methods of its
 * own in the class, are called instead.
 */
#ifndef GOPROCESSING_PYBIND_PICKLER_H
#define GOPROCESSING_PYBIND_PICKLER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Contiguous buffers of this size go out of band, if anything does. */
#define PICKLER_OUT_OF_BAND (64 * 1024)

/*
 * The pickle of obj: a bytes object, or what the program's own pickler returns.
 * With a list in `buffers` it is of protocol 5, and the large PickleBuffers that
 * are not part of it are appended to the list; NULL: there are none. NULL on
 * failure, with the pickler's exception set.
 */
PyObject *pickler_dumps(PyObject *obj, PyObject *buffers);

/* The object that a pickle in any object with a buffer stands for. `buffers` has
 * what was out of band, or is NULL. */
PyObject *pickler_loads(PyObject *pickle, PyObject *buffers);

#endif
