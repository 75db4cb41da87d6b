#include "engine.h"

#include <string.h>

PyObject *
raise_errno(int rc, const char *what)
{
    PyObject *text = PyUnicode_FromFormat("%s: %s", what, strerror(-rc));
    if (text == NULL) {
        return NULL;
    }
    PyObject *error = PyObject_CallFunction(PyExc_OSError, "iN", -rc, text);
    if (error != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        Py_DECREF(error);
    }
    return NULL;
}

PyObject *
raise_uninitialized(PyObject *self)
{
    PyErr_Format(PyExc_RuntimeError, "%s.__init__() was not called", Py_TYPE(self)->tp_name);
    return NULL;
}
