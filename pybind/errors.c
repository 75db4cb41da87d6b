#include "errors.h"

#include <string.h>

#include "engine.h"

/* Where libc would say that the structure needs cleaning, and the like. */
static const char *
reason(int rc)
{
    switch (rc) {
    case -EUCLEAN:
        return "corrupt segment";
    case -EPROTO:
        return "segment made by another version of goprocessing";
    default:
        return strerror(-rc);
    }
}

PyObject *
raise_errno_of_name(int rc, PyObject *name)
{
    const char *why = rc == -EINVAL ? "not the name of an object of this kind" : reason(rc);
    PyObject *args =
        Py_BuildValue("isN", -rc, why, PyUnicode_DecodeFSDefault(PyBytes_AS_STRING(name)));
    if (args != NULL) {
        PyErr_SetObject(PyExc_OSError, args);
        Py_DECREF(args);
    }
    return NULL;
}

PyObject *
raise_errno(int rc, const char *what)
{
    const char *why = reason(rc);
    PyObject *text = PyUnicode_FromFormat("%s: %s", what, why);
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

PyObject *
error_take(void)
{
#if PY_VERSION_HEX >= 0x030c0000
    return PyErr_GetRaisedException();
#else
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_DECREF(type);
    return value;
#endif
}

void
error_restore(PyObject *exception)
{
#if PY_VERSION_HEX >= 0x030c0000
    PyErr_SetRaisedException(exception);
#else
    PyErr_Restore(Py_NewRef(Py_TYPE(exception)), exception, PyException_GetTraceback(exception));
#endif
}

void
error_keep(PyObject **kept)
{
    PyObject *exception = error_take();
    if (*kept == NULL || (PyErr_GivenExceptionMatches(*kept, PyExc_Exception) &&
                          !PyErr_GivenExceptionMatches(exception, PyExc_Exception)))
    {
        Py_XSETREF(*kept, exception);
    }
    else {
        Py_DECREF(exception);
    }
}

void
error_set_attribute(const char *name, PyObject *value)
{
    PyObject *exception = error_take();
    if (PyObject_SetAttrString(exception, name, value) < 0) {
        PyErr_WriteUnraisable(exception);
    }
    error_restore(exception);
}
