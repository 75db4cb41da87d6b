#include "pickler.h"

#include <stdbool.h>

#include "engine.h"

/*
 * A pickler that has made a longer pickle than this is not used again: its memo
 * and its buffer have grown, and would be cleared and allocated at that size
 * for each of the small objects to come.
 */
#define REUSABLE (16 * 1024)

static PyObject *pickler_type; /* _pickle.Pickler */
static PyObject *pickle_loads; /* _pickle.loads */
static PyObject *reduction;    /* multiprocessing.reduction's globals */
static PyObject *name_dump;
static PyObject *name_dumps;
static PyObject *name_loads;
static PyObject *name_clear_memo;
static PyObject *buffers_keyword; /* ("buffers",) */

/* ---- ForkingPickler, and what programs put in its place ---- */

/*
 * multiprocessing.reduction.ForkingPickler as it was imported. The rest was read
 * from the class while its tp_version_tag was `version`; any change to the class
 * gives it another one, or 0.
 */
static struct {
    PyObject *type;
    unsigned int version;
    PyObject *loads;
    /* Both NULL unless the class pickles as CPython wrote it. */
    PyObject *extra_reducers;
    PyObject *dispatch_table; /* copyreg's */
} standard;

/*
 * The names by which the standard library's modules know the class. Programs
 * assign to them, to ForkingPickler.dumps, or to both.
 */
static struct {
    const char *module_name;
    const char *class_name;
    PyObject *module; /* the two names, interned */
    PyObject *name;
    PyObject *globals; /* NULL: not imported yet */
} places[] = {
    {.module_name = "multiprocessing.queues", .class_name = "_ForkingPickler"},
    {.module_name = "multiprocessing.connection", .class_name = "_ForkingPickler"},
    {.module_name = "multiprocessing.reduction", .class_name = "ForkingPickler"},
};

#define PLACES (sizeof(places) / sizeof(places[0]))

/* What a place holds, borrowed; NULL: nothing, or with an exception set. */
static PyObject *
class_in(size_t place)
{
    if (places[place].globals == NULL) {
        PyObject *module = PyDict_GetItemWithError(PyImport_GetModuleDict(), places[place].module);
        if (module == NULL || !PyModule_Check(module)) {
            return NULL;
        }
        places[place].globals = Py_NewRef(PyModule_GetDict(module));
    }
    return PyDict_GetItemWithError(places[place].globals, places[place].name);
}

/* A new reference, or NULL: without an exception if there is no such attribute. */
static PyObject *
optional_attribute(PyObject *obj, const char *name)
{
    PyObject *value = PyObject_GetAttrString(obj, name);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
    }
    return value;
}

/* The same for an attribute that is exactly a dict; there is none otherwise. */
static PyObject *
dict_attribute(PyObject *obj, const char *name)
{
    PyObject *value = optional_attribute(obj, name);
    if (value != NULL && !PyDict_CheckExact(value)) {
        Py_CLEAR(value);
    }
    return value;
}

/* Whether it is a function, or a method of one, that multiprocessing.reduction
 * defines. Names would not tell: functools.wraps copies them. */
static bool
is_of_reduction(PyObject *callable)
{
    if (PyMethod_Check(callable)) {
        callable = PyMethod_GET_FUNCTION(callable);
    }
    return PyFunction_Check(callable) && PyFunction_GET_GLOBALS(callable) == reduction;
}

/* Whether nothing in the class makes its pickler another than CPython's. 1, 0,
 * or -1 with an exception set. */
static int
is_unchanged(PyObject *type)
{
    static const char *const functions[] = {"__init__", "dumps"};
    static const char *const hooks[] = {"dump", "persistent_id", "reducer_override"};

    if (!PyType_Check(type) || (PyObject *)((PyTypeObject *)type)->tp_base != pickler_type) {
        return 0;
    }
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        PyObject *function = optional_attribute(type, functions[i]);
        bool original = function != NULL && is_of_reduction(function);
        Py_XDECREF(function);
        if (!original) {
            return PyErr_Occurred() ? -1 : 0;
        }
    }
    PyObject *dict = PyObject_GetAttrString(type, "__dict__");
    if (dict == NULL) {
        return -1;
    }
    int unchanged = 1;
    for (size_t i = 0; i < sizeof(hooks) / sizeof(hooks[0]); i++) {
        if (PyMapping_HasKeyString(dict, hooks[i])) {
            unchanged = 0;
        }
    }
    Py_DECREF(dict);
    return unchanged;
}

/* 0, which is no version, for what is not a class. */
static unsigned int
version_of(PyObject *type)
{
    return PyType_Check(type) ? ((PyTypeObject *)type)->tp_version_tag : 0;
}

/* On failure an exception is set, and version is 0. */
static void
read_standard(void)
{
    PyObject *type = standard.type;
    standard.version = 0;
    Py_CLEAR(standard.extra_reducers);
    Py_CLEAR(standard.dispatch_table);
    Py_XSETREF(standard.loads, PyObject_GetAttr(type, name_loads));
    int unchanged = standard.loads == NULL ? -1 : is_unchanged(type);
    if (unchanged > 0) {
        standard.extra_reducers = dict_attribute(type, "_extra_reducers");
        standard.dispatch_table = dict_attribute(type, "_copyreg_dispatch_table");
        if (standard.extra_reducers == NULL || standard.dispatch_table == NULL) {
            Py_CLEAR(standard.extra_reducers);
            Py_CLEAR(standard.dispatch_table);
        }
    }
    if (!PyErr_Occurred()) {
        standard.version = version_of(type);
    }
}

/*
 * The method `name` of the class that counts, as a new reference: the first
 * class with such a method in a place where ForkingPickler was. NULL without an
 * exception if that is ForkingPickler; `standard` is up to date then.
 */
static PyObject *
replaced_method(PyObject *name)
{
    for (size_t i = 0; i < PLACES; i++) {
        PyObject *type = class_in(i);
        if (type != NULL && type != standard.type) {
            Py_INCREF(type);
            PyObject *method = PyObject_GetAttr(type, name);
            Py_DECREF(type);
            if (method != NULL || !PyErr_ExceptionMatches(PyExc_AttributeError)) {
                return method;
            }
            PyErr_Clear();
        }
        else if (type == NULL && PyErr_Occurred()) {
            return NULL;
        }
    }
    if (standard.version == 0 || standard.version != version_of(standard.type)) {
        read_standard();
    }
    return NULL;
}

/* ---- what a _pickle.Pickler works with ---- */

/* Its file, its dispatch table and its buffer callback. */
typedef struct pickler_host {
    PyObject_HEAD
    PyObject *written;        /* NULL, bytes, or a list of bytes */
    PyObject *extra_reducers; /* those of `standard` when the call began */
    PyObject *dispatch_table;
    PyObject *buffers; /* the caller's list, or NULL */
} pickler_host;

static PyTypeObject *host_type;

static PyObject *
host_write(pickler_host *self, PyObject *data)
{
    /* Large payloads come as they are, possibly views of what may change. */
    PyObject *bytes = PyBytes_CheckExact(data) ? Py_NewRef(data) : PyBytes_FromObject(data);
    if (bytes == NULL) {
        return NULL;
    }
    if (self->written == NULL) {
        self->written = bytes;
        Py_RETURN_NONE;
    }
    if (!PyList_CheckExact(self->written)) {
        PyObject *list = PyList_New(1);
        if (list == NULL) {
            Py_DECREF(bytes);
            return NULL;
        }
        PyList_SET_ITEM(list, 0, self->written);
        self->written = list;
    }
    int result = PyList_Append(self->written, bytes);
    Py_DECREF(bytes);
    if (result < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* What was written, as a new reference to one bytes object. */
static PyObject *
host_take_written(pickler_host *self)
{
    PyObject *written = self->written;
    self->written = NULL;
    if (written == NULL || PyBytes_CheckExact(written)) {
        return written;
    }
    PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
    PyObject *joined = empty ? PyObject_CallMethod(empty, "join", "O", written) : NULL;
    Py_XDECREF(empty);
    Py_DECREF(written);
    return joined;
}

/* The reducer for a type: that of ForkingPickler, or else that of copyreg. */
static PyObject *
host_subscript(pickler_host *self, PyObject *type)
{
    PyObject *reduce = PyDict_GetItemWithError(self->extra_reducers, type);
    if (reduce == NULL && !PyErr_Occurred()) {
        reduce = PyDict_GetItemWithError(self->dispatch_table, type);
    }
    if (reduce == NULL && !PyErr_Occurred()) {
        PyErr_SetObject(PyExc_KeyError, type);
    }
    return Py_XNewRef(reduce);
}

/* Called with each PickleBuffer, which is contiguous: returns whether it is to be
 * part of the pickle. */
static PyObject *
host_call(pickler_host *self, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    PyObject *buffer;
    if (!PyArg_ParseTuple(args, "O:buffer_callback", &buffer)) {
        return NULL;
    }
    const Py_buffer *view = PyPickleBuffer_GetBuffer(buffer);
    if (view == NULL) {
        return NULL;
    }
    if (view->len < PICKLER_OUT_OF_BAND) {
        Py_RETURN_TRUE;
    }
    if (PyList_Append(self->buffers, buffer) < 0) {
        return NULL;
    }
    Py_RETURN_FALSE;
}

/* Ends a call: what it was for is forgotten. */
static void
host_clear(pickler_host *self)
{
    Py_CLEAR(self->written);
    Py_CLEAR(self->extra_reducers);
    Py_CLEAR(self->dispatch_table);
    Py_CLEAR(self->buffers);
}

static void
host_dealloc(pickler_host *self)
{
    PyTypeObject *type = Py_TYPE(self);
    host_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef host_methods[] = {
    {"write", (PyCFunction)host_write, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot host_slots[] = {
    {Py_tp_methods, host_methods},
    {Py_tp_call, host_call},
    {Py_mp_subscript, host_subscript},
    {Py_tp_dealloc, host_dealloc},
    {0, NULL},
};

static PyType_Spec host_spec = {
    .name = "goprocessing._engine._PicklerHost",
    .basicsize = sizeof(pickler_host),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = host_slots,
};

/* ---- picklers ---- */

typedef struct pickler {
    PyObject *pickler; /* a _pickle.Pickler */
    pickler_host *host;
} pickler;

/*
 * One at rest for each kind, in band and out of band. It is taken away to be
 * used: pickling runs Python code, which may pickle, let another thread run, or
 * fork.
 */
static pickler spare[2];

static void
pickler_free(pickler *self)
{
    Py_XDECREF(self->pickler);
    Py_XDECREF(self->host);
}

static int
pickler_make(pickler *self, bool out_of_band)
{
    self->pickler = NULL;
    self->host = (pickler_host *)host_type->tp_alloc(host_type, 0);
    if (self->host == NULL) {
        return -1;
    }
    PyObject *host = (PyObject *)self->host;
    self->pickler = out_of_band
                        ? PyObject_CallFunction(pickler_type, "OiOO", host, 5, Py_True, host)
                        : PyObject_CallFunction(pickler_type, "OO", host, Py_None);
    if (self->pickler == NULL || PyObject_SetAttrString(self->pickler, "dispatch_table", host) < 0)
    {
        pickler_free(self);
        return -1;
    }
    return 0;
}

static int
pickler_take(pickler *self, PyObject *buffers)
{
    bool out_of_band = buffers != NULL;
    if (spare[out_of_band].pickler != NULL) {
        *self = spare[out_of_band];
        spare[out_of_band] = (pickler){NULL, NULL};
    }
    else if (pickler_make(self, out_of_band) < 0) {
        return -1;
    }
    self->host->extra_reducers = Py_NewRef(standard.extra_reducers);
    self->host->dispatch_table = Py_NewRef(standard.dispatch_table);
    self->host->buffers = Py_XNewRef(buffers);
    return 0;
}

/* Keeps the pickler, with nothing of the object that it has pickled, or frees it. */
static void
pickler_give_back(pickler *self)
{
    pickler *place = &spare[self->host->buffers != NULL];
    host_clear(self->host);
    PyObject *cleared = PyObject_CallMethodNoArgs(self->pickler, name_clear_memo);
    if (cleared == NULL) {
        PyErr_WriteUnraisable(self->pickler);
    }
    Py_XDECREF(cleared);
    /* To clear the memo may have run finalizers, which may have pickled. */
    if (cleared == NULL || place->pickler != NULL) {
        pickler_free(self);
    }
    else {
        *place = *self;
    }
}

PyObject *
pickler_dumps(PyObject *obj, PyObject *buffers)
{
    PyObject *dumps = replaced_method(name_dumps);
    if (dumps != NULL) {
        PyObject *pickle = PyObject_CallOneArg(dumps, obj);
        Py_DECREF(dumps);
        return pickle;
    }
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (standard.extra_reducers == NULL) {
        return PyObject_CallMethodOneArg(standard.type, name_dumps, obj);
    }
    pickler self;
    if (pickler_take(&self, buffers) < 0) {
        return NULL;
    }
    PyObject *pickle = NULL;
    PyObject *done = PyObject_CallMethodOneArg(self.pickler, name_dump, obj);
    if (done != NULL) {
        Py_DECREF(done);
        pickle = host_take_written(self.host);
    }
    if (pickle == NULL || PyBytes_GET_SIZE(pickle) > REUSABLE) {
        pickler_free(&self);
    }
    else {
        pickler_give_back(&self);
    }
    return pickle;
}

PyObject *
pickler_loads(PyObject *pickle, PyObject *buffers)
{
    if (buffers != NULL) {
        /* Made above, not by a program's own pickler. */
        PyObject *args[] = {pickle, buffers};
        return PyObject_Vectorcall(pickle_loads, args, 1, buffers_keyword);
    }
    PyObject *loads = replaced_method(name_loads);
    if (loads == NULL) {
        if (PyErr_Occurred()) {
            return NULL;
        }
        loads = Py_NewRef(standard.loads);
    }
    PyObject *obj = PyObject_CallOneArg(loads, pickle);
    Py_DECREF(loads);
    return obj;
}

int
pickler_exec(PyObject *module)
{
    PyObject *accelerator = PyImport_ImportModule("_pickle");
    if (accelerator == NULL) {
        return -1;
    }
    Py_XSETREF(pickler_type, PyObject_GetAttrString(accelerator, "Pickler"));
    Py_XSETREF(pickle_loads, pickler_type ? PyObject_GetAttrString(accelerator, "loads") : NULL);
    Py_DECREF(accelerator);
    if (pickle_loads == NULL) {
        return -1;
    }
    PyObject *original = PyImport_ImportModule("multiprocessing.reduction");
    if (original == NULL) {
        return -1;
    }
    Py_XSETREF(reduction, Py_NewRef(PyModule_GetDict(original)));
    Py_XSETREF(standard.type, PyObject_GetAttrString(original, "ForkingPickler"));
    Py_DECREF(original);
    if (standard.type == NULL) {
        return -1;
    }
    for (size_t i = 0; i < PLACES; i++) {
        Py_XSETREF(places[i].module, PyUnicode_InternFromString(places[i].module_name));
        Py_XSETREF(places[i].name, PyUnicode_InternFromString(places[i].class_name));
        if (places[i].module == NULL || places[i].name == NULL) {
            return -1;
        }
    }
    Py_XSETREF(name_dump, PyUnicode_InternFromString("dump"));
    Py_XSETREF(name_dumps, PyUnicode_InternFromString("dumps"));
    Py_XSETREF(name_loads, PyUnicode_InternFromString("loads"));
    Py_XSETREF(name_clear_memo, PyUnicode_InternFromString("clear_memo"));
    Py_XSETREF(buffers_keyword, Py_BuildValue("(s)", "buffers"));
    if (name_dump == NULL || name_dumps == NULL || name_loads == NULL || name_clear_memo == NULL ||
        buffers_keyword == NULL)
    {
        return -1;
    }
    Py_XSETREF(host_type, (PyTypeObject *)PyType_FromModuleAndSpec(module, &host_spec, NULL));
    return host_type == NULL ? -1 : 0;
}
