/* The exception that is set, as an object. */
#ifndef GOPROCESSING_PYBIND_ERRORS_H
#define GOPROCESSING_PYBIND_ERRORS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Clears the exception and returns it. */
PyObject *error_take(void);

/* Sets an exception that was taken; takes over the reference. */
void error_restore(PyObject *exception);

/* Gives the exception that is set an attribute. */
void error_set_attribute(const char *name, PyObject *value);

#endif
