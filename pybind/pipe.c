/* pipe(): two connections. */
#include "arguments.h"
#include "connection.h"

static parameters pipe_parameters = {.method = "pipe", .required = 1, .names = {"cls", "duplex"}};

static PyTypeObject *connection_type;

PyDoc_STRVAR(pipe_doc,
"pipe($module, /, cls, duplex=True)\n--\n\n"
"Return the two ends of a new pipe, instances of cls. Unless duplex is true,\n"
"the first can only receive and the second only send.");

static PyObject *
pipe_function(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs,
              PyObject *kwnames)
{
    PyObject *values[PARAMETERS_MAX];
    if (arguments_bind(&pipe_parameters, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    PyTypeObject *type = (PyTypeObject *)values[0];
    if (!PyType_Check(values[0]) || !PyType_IsSubtype(type, connection_type)) {
        PyErr_SetString(PyExc_TypeError, "pipe() argument 'cls' must be a subclass of Connection");
        return NULL;
    }
    int duplex = values[1] == NULL ? 1 : PyObject_IsTrue(values[1]);
    if (duplex < 0) {
        return NULL;
    }
    const gop_engine *e = engine();
    if (e == NULL) {
        return NULL;
    }
    connection_object *a = connection_alloc(type);
    connection_object *b = connection_alloc(type);
    PyObject *ends = NULL;
    if (a != NULL && b != NULL) {
        int rc = e->gop_pipe_create(&a->conn, &b->conn, duplex);
        if (rc < 0) {
            raise_errno(rc, "cannot make a pipe");
        }
        else {
            a->open = b->open = true;
            ends = PyTuple_Pack(2, a, b);
        }
    }
    Py_XDECREF(a);
    Py_XDECREF(b);
    return ends;
}

static PyMethodDef pipe_functions[] = {
    {"pipe", (PyCFunction)(void (*)(void))pipe_function, METH_FASTCALL | METH_KEYWORDS, pipe_doc},
    {NULL, NULL, 0, NULL},
};

int
pipe_exec(PyObject *module, PyTypeObject *type)
{
    Py_XSETREF(connection_type, (PyTypeObject *)Py_NewRef(type));
    return PyModule_AddFunctions(module, pipe_functions);
}
