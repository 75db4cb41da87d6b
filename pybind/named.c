/*
 * Objects that have names. What is opened goes to _attach() of the class from here, not by way
 * of Python code: there a signal's handler may raise, between the calls or after the last one,
 * when the descriptors are the object's already.
 */
#include "errors.h"

#include <string.h>

#include "queue.h"
#include "robust.h"

/* One call of the engine: the arg of a blocking_call. */
typedef struct name_request {
    const char *name;
    int mode;
    uint32_t kind, value, max;
    uint64_t maxsize;
    queue_kind sort;
    gop_segment segment;
    gop_queue queue;
    uint64_t offset;
} name_request;

/* Runs a call that does not wait, but which a signal may interrupt. 0, or -1 with an
 * exception set. */
static int
run(blocking_call call, name_request *request, PyObject *name)
{
    request->name = PyBytes_AS_STRING(name);
    int rc = engine_wait(call, request, DEADLINE_NOW);
    if (rc < 0) {
        raise_errno_of_name(rc, name);
    }
    return rc == 0 ? 0 : -1;
}

static int
call_open_slot(const gop_engine *e, void *arg, int Py_UNUSED(how), int64_t Py_UNUSED(deadline))
{
    name_request *r = arg;
    return e->gop_arena_open_named(&r->segment, r->name, r->mode, r->kind, r->value, r->max,
                                   &r->offset);
}

/* Whether there can be an object like that; its constructor makes sure, too. 0, or -1 with
 * ValueError set. */
static int
check_attributes(unsigned int kind, long value, long max)
{
    bool has_limit = kind == GOP_SLOT_BARRIER || kind == GOP_SLOT_ROBUST_SEMAPHORE;
    long least = has_limit ? 1 : 0;
    long most = kind == GOP_SLOT_ROBUST_SEMAPHORE ? ROBUST_MAX_PERMITS : GOP_SEM_MAX;
    if (value < 0 || value > most || max < least || max > most) {
        PyErr_Format(PyExc_ValueError, "%s must be from %ld to %ld",
                     kind == GOP_SLOT_BARRIER ? "parties" : "value", least, most);
        return -1;
    }
    return 0;
}

/* cls._attach(first, second, *parts), which owns the descriptors among them unless it fails. */
static PyObject *
attach(PyObject *cls, PyObject *firsts, PyObject *parts)
{
    PyObject *args = firsts != NULL ? PySequence_Concat(firsts, parts) : NULL;
    /* Always the same string: the cache of types' attributes keeps each that it sees. */
    PyObject *name = args != NULL ? PyUnicode_InternFromString("_attach") : NULL;
    PyObject *method = name != NULL ? PyObject_GetAttr(cls, name) : NULL;
    PyObject *obj = method != NULL ? PyObject_CallObject(method, args) : NULL;
    Py_XDECREF(method);
    Py_XDECREF(name);
    Py_XDECREF(args);
    Py_XDECREF(firsts);
    return obj;
}

PyDoc_STRVAR(open_slot_doc,
"open_slot($module, cls, parts, name, mode, kind, value=0, limit=0, /)\n--\n\n"
"Return the object of that name, an instance of cls; parts are what _attach() takes\n"
"besides what _handle() returns.");

static PyObject *
open_slot(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *cls, *parts, *name;
    name_request request = {.segment = {.fd = -1}};
    unsigned int kind;
    long value = 0, max = 0;
    if (!PyArg_ParseTuple(args, "OO!O&iI|ll:open_slot", &cls, &PyTuple_Type, &parts,
                          PyUnicode_FSConverter, &name, &request.mode, &kind, &value, &max))
    {
        return NULL;
    }
    PyObject *obj = NULL;
    if (request.mode == GOP_OPEN || check_attributes(kind, value, max) == 0) {
        request.kind = kind;
        request.value = (uint32_t)value;
        request.max = (uint32_t)max;
        if (run(call_open_slot, &request, name) == 0) {
            PyObject *handle =
                Py_BuildValue("iK", request.segment.fd, (unsigned long long)request.offset);
            obj = attach(cls, handle, parts);
        }
    }
    if (obj != NULL) {
        request.segment.fd = -1; /* the object's */
    }
    gop_segment_close(&request.segment);
    Py_DECREF(name);
    return obj;
}

static int
call_open_queue(const gop_engine *e, void *arg, int Py_UNUSED(how), int64_t Py_UNUSED(deadline))
{
    name_request *r = arg;
    return r->sort == QUEUE_PLAIN
               ? e->gop_queue_open_named(&r->queue, r->name, r->mode, r->maxsize)
               : e->gop_joinable_queue_open_named(&r->queue, r->name, r->mode, r->maxsize,
                                                  r->sort == QUEUE_REDELIVERS);
}

PyDoc_STRVAR(open_queue_doc,
"open_queue($module, cls, parts, name, mode, maxsize, joinable=False, redeliver=False,\n"
"           /)\n--\n\n"
"Return the queue of that name, an instance of cls; parts are what _attach() takes\n"
"besides the descriptors.");

static PyObject *
open_queue(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *cls, *parts, *name, *maxsize;
    name_request request = {.queue = {.seg = {.fd = -1}, .bell = -1}};
    int joinable = 0, redeliver = 0;
    if (!PyArg_ParseTuple(args, "OO!O&iO|pp:open_queue", &cls, &PyTuple_Type, &parts,
                          PyUnicode_FSConverter, &name, &request.mode, &maxsize, &joinable,
                          &redeliver))
    {
        return NULL;
    }
    request.sort = redeliver ? QUEUE_REDELIVERS : joinable ? QUEUE_JOINABLE : QUEUE_PLAIN;
    PyObject *obj = NULL;
    if (queue_maxsize_from(maxsize, &request.maxsize) == 0 &&
        run(call_open_queue, &request, name) == 0)
    {
        PyObject *descriptors = Py_BuildValue("ii", request.queue.seg.fd, request.queue.bell);
        obj = attach(cls, descriptors, parts);
    }
    if (obj != NULL) {
        request.queue.seg.fd = request.queue.bell = -1; /* the object's */
    }
    gop_queue_close(&request.queue);
    Py_DECREF(name);
    return obj;
}

static int
call_unlink(const gop_engine *e, void *arg, int Py_UNUSED(how), int64_t Py_UNUSED(deadline))
{
    return e->gop_unlink(((name_request *)arg)->name);
}

PyDoc_STRVAR(unlink_doc,
"unlink($module, name, /)\n--\n\n"
"Take away the name of an object, which lives on as long as anybody uses it.");

static PyObject *
unlink_name(PyObject *Py_UNUSED(module), PyObject *arg)
{
    PyObject *name;
    if (!PyUnicode_FSConverter(arg, &name)) {
        return NULL;
    }
    name_request request = {0};
    int result = run(call_unlink, &request, name);
    Py_DECREF(name);
    return result == 0 ? Py_NewRef(Py_None) : NULL;
}

static int
call_unlink_file(const gop_engine *e, void *arg, int Py_UNUSED(how), int64_t Py_UNUSED(deadline))
{
    return e->gop_unlink_file(*(int *)arg);
}

PyDoc_STRVAR(unlink_file_doc,
"unlink_file($module, fd, /)\n--\n\n"
"Take away the name of an object by the descriptor of its segment, if it has one yet.");

static PyObject *
unlink_file(PyObject *Py_UNUSED(module), PyObject *arg)
{
    int fd = PyObject_AsFileDescriptor(arg);
    if (fd < 0) {
        return NULL;
    }
    int rc = engine_wait(call_unlink_file, &fd, DEADLINE_NOW);
    if (rc < 0 && rc != WAIT_RAISED) {
        raise_errno(rc, "removing a name");
    }
    return rc == 0 ? Py_NewRef(Py_None) : NULL;
}

typedef struct names_buffer {
    char *data;
    uint64_t cap, len;
} names_buffer;

static int
call_names(const gop_engine *e, void *arg, int Py_UNUSED(how), int64_t Py_UNUSED(deadline))
{
    names_buffer *names = arg;
    return e->gop_names(names->data, names->cap, &names->len);
}

/* The names, each of which ends with a NUL, in order. */
static PyObject *
list_names(const names_buffer *names)
{
    PyObject *list = PyList_New(0);
    const char *end = names->data + names->len;
    for (const char *p = names->data; list != NULL && p < end; p += strlen(p) + 1) {
        PyObject *name = PyUnicode_DecodeFSDefault(p);
        if (name == NULL || PyList_Append(list, name) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(name);
    }
    return list;
}

PyDoc_STRVAR(names_doc, "names($module, /)\n--\n\n"
                        "Return the names of the objects of this user, in order.");

static PyObject *
names_function(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    names_buffer names = {.data = NULL};
    int rc = engine_wait(call_names, &names, DEADLINE_NOW);
    /* More than once when others make objects meanwhile. */
    while (rc == -EMSGSIZE) {
        char *data = PyMem_Realloc(names.data, names.len);
        if (data == NULL) {
            PyErr_NoMemory();
            rc = WAIT_RAISED;
            break;
        }
        names.data = data;
        names.cap = names.len;
        rc = engine_wait(call_names, &names, DEADLINE_NOW);
    }
    PyObject *list = NULL;
    if (rc == 0) {
        list = list_names(&names);
    }
    else if (rc != WAIT_RAISED) {
        raise_errno(rc, "listing names");
    }
    PyMem_Free(names.data);
    return list;
}

static PyMethodDef named_functions[] = {
    {"open_slot", open_slot, METH_VARARGS, open_slot_doc},
    {"open_queue", open_queue, METH_VARARGS, open_queue_doc},
    {"unlink", unlink_name, METH_O, unlink_doc},
    {"unlink_file", unlink_file, METH_O, unlink_file_doc},
    {"names", names_function, METH_NOARGS, names_doc},
    {NULL, NULL, 0, NULL},
};

int
named_exec(PyObject *module)
{
    if (PyModule_AddIntMacro(module, GOP_OPEN) < 0 ||
        PyModule_AddIntMacro(module, GOP_CREATE) < 0 ||
        PyModule_AddIntMacro(module, GOP_OPEN_OR_CREATE) < 0 ||
        PyModule_AddIntMacro(module, GOP_SEM_MAX) < 0 ||
        PyModule_AddIntMacro(module, GOP_SLOT_SEMAPHORE) < 0 ||
        PyModule_AddIntMacro(module, GOP_SLOT_EVENT) < 0 ||
        PyModule_AddIntMacro(module, GOP_SLOT_RLOCK) < 0 ||
        PyModule_AddIntMacro(module, GOP_SLOT_CONDITION) < 0 ||
        PyModule_AddIntMacro(module, GOP_SLOT_BARRIER) < 0 ||
        PyModule_AddIntMacro(module, GOP_SLOT_ROBUST_LOCK) < 0 ||
        PyModule_AddIntMacro(module, GOP_SLOT_ROBUST_RLOCK) < 0 ||
        PyModule_AddIntMacro(module, GOP_SLOT_ROBUST_SEMAPHORE) < 0)
    {
        return -1;
    }
    return PyModule_AddFunctions(module, named_functions);
}
