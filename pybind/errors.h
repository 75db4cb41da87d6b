/* The exception that is set, as an object. */
#ifndef GOPROCESSING_PYBIND_ERRORS_H
#define GOPROCESSING_PYBIND_ERRORS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Clears the exception and returns it. */
PyObject *error_take(void);

/* Sets an exception that was taken; takes over the reference. */
void error_restore(PyObject *exception);

/* Takes the exception into *kept, which is NULL if there is none yet. Of two the first is
 * kept, unless only the second is to end the program. */
void error_keep(PyObject **kept);

/* Gives the exception that is set an attribute. */
void error_set_attribute(const char *name, PyObject *value);

#endif
