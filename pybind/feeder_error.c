/* What becomes of an item that cannot be pickled. */
#include "errors.h"
#include "queue.h"

/* The hook that type(self) has instead of the standard library's, as a new
 * reference; NULL without an exception if there is none. */
static PyObject *
own_feeder_error_hook(queue_object *self)
{
    PyObject *module = PyImport_ImportModule("multiprocessing.queues");
    if (module == NULL) {
        return NULL;
    }
    PyObject *type = PyObject_GetAttrString(module, "Queue");
    Py_DECREF(module);
    if (type == NULL) {
        return NULL;
    }
    PyObject *standard = PyObject_GetAttrString(type, "_on_queue_feeder_error");
    Py_DECREF(type);
    if (standard == NULL) {
        return NULL;
    }
    PyObject *hook = PyObject_GetAttrString((PyObject *)Py_TYPE(self), "_on_queue_feeder_error");
    if (hook == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
    }
    if (hook == standard) {
        Py_CLEAR(hook);
    }
    Py_DECREF(standard);
    if (hook != NULL) {
        /* By way of the instance: it may be a method. */
        Py_DECREF(hook);
        hook = PyObject_GetAttrString((PyObject *)self, "_on_queue_feeder_error");
    }
    return hook;
}

PyObject *
queue_pickling_failed(queue_object *self, PyObject *obj)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return NULL;
    }
    PyObject *exception = error_take();
    PyObject *hook = own_feeder_error_hook(self);
    if (hook == NULL) {
        if (PyErr_Occurred()) {
            Py_DECREF(exception);
        }
        else {
            error_restore(exception);
        }
        return NULL;
    }
    /* The hook expects to be called in an except block: it may call
     * traceback.print_exc(). */
    PyObject *handled = PyErr_GetHandledException();
    PyErr_SetHandledException(exception);
    PyObject *args[] = {exception, obj};
    PyObject *result = PyObject_Vectorcall(hook, args, 2, NULL);
    PyErr_SetHandledException(handled);
    Py_XDECREF(handled);
    Py_DECREF(hook);
    Py_DECREF(exception);
    if (result == NULL) {
        return NULL;
    }
    Py_DECREF(result);
    Py_RETURN_NONE;
}
