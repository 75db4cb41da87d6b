/* Arguments of methods that are called by the vectorcall protocol. */
#ifndef GOPROCESSING_PYBIND_ARGUMENTS_H
#define GOPROCESSING_PYBIND_ARGUMENTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define PARAMETERS_MAX 4

/* The parameters of one method, each by position or by name. */
typedef struct parameters {
    const char *method;
    Py_ssize_t required; /* the first ones have no default */
    const char *names[PARAMETERS_MAX + 1];
    PyObject *interned[PARAMETERS_MAX]; /* names as str, made when first needed */
} parameters;

/* Binds a call's arguments to values[0..PARAMETERS_MAX), NULL for each that was
 * not given. 0, or -1 with TypeError set. The references are borrowed. */
int arguments_bind(parameters *p, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                   PyObject *values[PARAMETERS_MAX]);

#endif
