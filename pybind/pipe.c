/* pipe(): two connections; open_pipe(): one, by name. */
#include "arguments.h"
#include "connection.h"

static parameters pipe_parameters = {.method = "pipe", .required = 1, .names = {"cls", "duplex"}};

static PyTypeObject *connection_type;

/* The type that an argument is. NULL with TypeError set. */
static PyTypeObject *
subtype_from(PyObject *cls, const char *function)
{
    if (!PyType_Check(cls) || !PyType_IsSubtype((PyTypeObject *)cls, connection_type)) {
        PyErr_Format(PyExc_TypeError, "%s() argument 'cls' must be a subclass of Connection",
                     function);
        return NULL;
    }
    return (PyTypeObject *)cls;
}

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
    PyTypeObject *type = subtype_from(values[0], "pipe");
    if (type == NULL) {
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

typedef struct opening {
    gop_conn *conn;
    const char *name;
    uint32_t modes;
} opening;

static int
call_open(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    const opening *o = arg;
    return e->gop_pipe_open_named(o->conn, o->name, o->modes, how, deadline);
}

/* A connection to whoever opens the pipe of that name. */
static PyObject *
open_end(PyTypeObject *type, PyObject *name, uint32_t modes, int64_t deadline)
{
    connection_object *self = connection_alloc(type);
    if (self == NULL) {
        return NULL;
    }
    opening o = {.conn = &self->conn, .name = PyBytes_AS_STRING(name), .modes = modes};
    int rc = engine_block(call_open, &o, deadline);
    if (rc == 0) {
        self->open = true;
        return (PyObject *)self;
    }
    Py_DECREF(self);
    return rc == WAIT_RAISED ? NULL : raise_errno_of_name(rc == -EAGAIN ? -ETIMEDOUT : rc, name);
}

PyDoc_STRVAR(open_pipe_doc,
"open_pipe($module, cls, name, readable, writable, timeout, /)\n--\n\n"
"Wait for another process that opens the pipe of that name, and return the end of\n"
"this one, an instance of cls.");

static PyObject *
open_pipe(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *cls, *name, *timeout;
    int readable, writable;
    if (!PyArg_ParseTuple(args, "OO&ppO:open_pipe", &cls, PyUnicode_FSConverter, &name, &readable,
                          &writable, &timeout))
    {
        return NULL;
    }
    uint32_t modes = (readable ? GOP_READABLE : 0) | (writable ? GOP_WRITABLE : 0);
    PyTypeObject *type = subtype_from(cls, "open_pipe");
    int64_t deadline;
    PyObject *end = NULL;
    if (type != NULL && deadline_from(timeout, &deadline) == 0) {
        end = open_end(type, name, modes, deadline);
    }
    Py_DECREF(name);
    return end;
}

static PyMethodDef pipe_functions[] = {
    {"open_pipe", open_pipe, METH_VARARGS, open_pipe_doc},
    {"pipe", (PyCFunction)(void (*)(void))pipe_function, METH_FASTCALL | METH_KEYWORDS, pipe_doc},
    {NULL, NULL, 0, NULL},
};

int
pipe_exec(PyObject *module, PyTypeObject *type)
{
    Py_XSETREF(connection_type, (PyTypeObject *)Py_NewRef(type));
    return PyModule_AddFunctions(module, pipe_functions);
}
