/* Queue: put, get and the state of a queue. */
#include "queue.h"

#include "arguments.h"

static PyObject *queue_full;  /* queue.Full */
static PyObject *queue_empty; /* queue.Empty */
static PyObject *queue_shut;  /* queue.ShutDown, or our own before CPython 3.13 */
static PyObject *name_put;
static PyObject *name_get;

static parameters put_parameters = {
    .method = "put", .required = 1, .names = {"obj", "block", "timeout"}};
static parameters get_parameters = {.method = "get", .names = {"block", "timeout"}};

int
queue_check(const queue_object *self)
{
    if (self->queue.seg.window[0] == NULL) {
        raise_uninitialized((PyObject *)self);
        return -1;
    }
    return 0;
}

PyObject *
queue_raise_not_open(queue_object *self)
{
    if (queue_check(self) == 0) {
        PyErr_Format(PyExc_ValueError, "Queue %R is closed", (PyObject *)self);
    }
    return NULL;
}

/* ---- put ---- */

static int
call_put(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    record_source *source = arg;
    const gop_part *data = source->item.parts;
    return record_is_simple(source)
               ? e->gop_queue_put(source->target, data->data, data->len, how, deadline)
               : e->gop_queue_put_item(source->target, &source->item, how, deadline);
}

PyObject *
queue_put_failed(int rc)
{
    switch (rc) {
    case WAIT_RAISED:
        return NULL;
    case -EAGAIN:
        PyErr_SetNone(queue_full);
        return NULL;
    case -ESHUTDOWN:
        PyErr_SetNone(queue_shut);
        return NULL;
    default:
        return raise_errno(rc, "Queue.put()");
    }
}

PyObject *
queue_write(queue_object *self, const gop_item *item, int64_t deadline)
{
    record_source source = {.target = &self->queue, .item = *item};
    int rc = record_write(call_put, &source, deadline);
    if (rc != 0) {
        return queue_put_failed(rc);
    }
    self->put_into = true;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(queue_put_doc,
"put($self, obj, block=True, timeout=None)\n--\n\n"
"Put obj into the queue, which has it when the call returns. If the queue is\n"
"full, wait for a free slot, at most timeout seconds, or not at all if block\n"
"is false, and then raise queue.Full. Raise ShutDown if the queue was shut down.");

static PyObject *
queue_put(queue_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *obj;
    int64_t deadline = GOP_FOREVER;
    if (nargs == 1 && kwnames == NULL) {
        obj = args[0];
    }
    else {
        PyObject *values[PARAMETERS_MAX];
        if (arguments_bind(&put_parameters, args, nargs, kwnames, values) < 0 ||
            deadline_from_block(values[1], values[2], &deadline) < 0)
        {
            return NULL;
        }
        obj = values[0];
    }
    if (!self->writable) {
        return queue_raise_not_open(self);
    }
    codec_item item;
    int encoded = self->codec == NULL ? codec_encode(obj, &item) : queue_encode(self, obj, &item);
    if (encoded < 0) {
        return queue_pickling_failed(self, obj);
    }
    PyObject *result = queue_write(self, &item.item, deadline);
    codec_release(&item);
    return result;
}

PyDoc_STRVAR(queue_put_nowait_doc,
"put_nowait($self, obj)\n--\n\n"
"put(obj, False)");

static PyObject *
queue_put_nowait(queue_object *self, PyObject *obj)
{
    /* Not a call of queue_put: a subclass may have a put() of its own. */
    PyObject *args[] = {(PyObject *)self, obj, Py_False};
    return PyObject_VectorcallMethod(name_put, args, 3, NULL);
}

/* ---- get ---- */

static int
call_receive(const gop_engine *e, void *arg, int how, int64_t deadline)
{
    record_sink *sink = arg;
    return e->gop_queue_receive(sink->origin, sink->buf, sink->cap, &sink->received, how, deadline);
}

PyObject *
queue_get_failed(int rc)
{
    switch (rc) {
    case WAIT_RAISED:
        return NULL;
    case -EAGAIN:
        PyErr_SetNone(queue_empty);
        return NULL;
    case -ESHUTDOWN:
        PyErr_SetNone(queue_shut);
        return NULL;
    default:
        return raise_errno(rc, "Queue.get()");
    }
}

int
queue_take(queue_object *self, record_sink *sink, int64_t deadline, PyObject **bytes)
{
    sink->origin = &self->queue;
    return record_read(call_receive, sink, UINT64_MAX, deadline, bytes);
}

PyObject *
queue_receive(queue_object *self, int64_t deadline)
{
    if (self->codec != NULL) {
        return queue_receive_encoded(self, deadline);
    }
    char buf[RECORD_INLINE];
    record_sink sink = {.buf = buf, .cap = sizeof(buf)};
    PyObject *bytes;
    int rc = queue_take(self, &sink, deadline, &bytes);
    if (rc != 0) {
        return queue_get_failed(rc);
    }
    return record_decode((PyObject *)self, &self->queue.seg, &sink.received, buf, bytes);
}

PyDoc_STRVAR(queue_get_doc,
"get($self, block=True, timeout=None)\n--\n\n"
"Remove the oldest item from the queue and return it. If the queue is empty,\n"
"wait for an item, at most timeout seconds, or not at all if block is false,\n"
"and then raise queue.Empty. Raise ShutDown if the queue is empty and was shut\n"
"down. If the codec cannot decode the item, its bytes are in the attribute\n"
"`undecoded` of the exception, a list.");

static PyObject *
queue_get(queue_object *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    int64_t deadline = GOP_FOREVER;
    if (nargs != 0 || kwnames != NULL) {
        PyObject *values[PARAMETERS_MAX];
        if (arguments_bind(&get_parameters, args, nargs, kwnames, values) < 0 ||
            deadline_from_block(values[0], values[1], &deadline) < 0)
        {
            return NULL;
        }
    }
    if (!self->readable) {
        return queue_raise_not_open(self);
    }
    return queue_receive(self, deadline);
}

PyDoc_STRVAR(queue_get_nowait_doc,
"get_nowait($self)\n--\n\n"
"get(False)");

static PyObject *
queue_get_nowait(queue_object *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *args[] = {(PyObject *)self, Py_False};
    return PyObject_VectorcallMethod(name_get, args, 2, NULL);
}

/* ---- state ---- */

/* Lets the engine see whether items return from processes that died. 0, or -1 with an
 * exception set. */
static int
look(queue_object *self)
{
    if (!gop_queue_redelivers(&self->queue)) {
        return 0;
    }
    const gop_engine *e = engine();
    if (e == NULL) {
        return -1;
    }
    e->gop_queue_look(&self->queue);
    return 0;
}

PyDoc_STRVAR(queue_qsize_doc,
"qsize($self)\n--\n\n"
"Return the number of items in the queue, exact at an instant of the call.");

static PyObject *
queue_qsize(queue_object *self, PyObject *Py_UNUSED(ignored))
{
    if (queue_check(self) < 0 || look(self) < 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(gop_queue_len(&self->queue));
}

PyDoc_STRVAR(queue_empty_doc,
"empty($self)\n--\n\n"
"Return whether the queue has no item.");

static PyObject *
queue_is_empty(queue_object *self, PyObject *Py_UNUSED(ignored))
{
    if (queue_check(self) < 0) {
        return NULL;
    }
    /* As the standard library's queue, whose close() takes effect on the pipe
     * only once put() has started the feeder thread. */
    if (!self->readable && self->put_into) {
        PyErr_SetString(PyExc_OSError, "handle is closed");
        return NULL;
    }
    if (look(self) < 0) {
        return NULL;
    }
    /* Those who watch may be told of an item just before it can be seen: let the
     * engine look. */
    if (gop_queue_len(&self->queue) == 0 && gop_queue_is_watched(&self->queue) &&
        queue_await(self, DEADLINE_NOW) < 0)
    {
        return NULL;
    }
    return PyBool_FromLong(gop_queue_len(&self->queue) == 0);
}

PyDoc_STRVAR(queue_full_doc,
"full($self)\n--\n\n"
"Return whether the queue has maxsize items.");

static PyObject *
queue_is_full(queue_object *self, PyObject *Py_UNUSED(ignored))
{
    if (queue_check(self) < 0 || look(self) < 0) {
        return NULL;
    }
    uint64_t maxsize = gop_queue_maxsize(&self->queue);
    return PyBool_FromLong(maxsize != 0 && gop_queue_len(&self->queue) >= maxsize);
}

PyDoc_STRVAR(queue_close_doc,
"close($self)\n--\n\n"
"Refuse put() and get() from now on, in this process.");

static PyObject *
queue_close(queue_object *self, PyObject *Py_UNUSED(ignored))
{
    self->readable = self->writable = false;
    Py_RETURN_NONE;
}

static PyObject *
queue_get_closed(queue_object *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(!self->readable && !self->writable);
}

static PyObject *
queue_get_readable(queue_object *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->readable);
}

static PyObject *
queue_get_writable(queue_object *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->writable);
}

static PyObject *
queue_get_bell(queue_object *self, void *Py_UNUSED(closure))
{
    return PyLong_FromLong(self->queue.bell);
}

static PyObject *
queue_get_codec(queue_object *self, void *Py_UNUSED(closure))
{
    return Py_NewRef(self->codec != NULL ? self->codec : Py_None);
}

static PyObject *
queue_get_maxsize(queue_object *self, void *Py_UNUSED(closure))
{
    if (queue_check(self) < 0) {
        return NULL;
    }
    uint64_t maxsize = gop_queue_maxsize(&self->queue);
    /* What the standard library has for no limit: its SEM_VALUE_MAX. */
    return PyLong_FromUnsignedLongLong(maxsize ? maxsize : GOP_SEM_MAX);
}

PyDoc_STRVAR(queue_fileno_doc,
"_fileno($self)\n--\n\n"
"Return the descriptor of the queue's memory, for _attach() elsewhere, to which\n"
"that of its bell goes too.");

static PyObject *
queue_fileno(queue_object *self, PyObject *Py_UNUSED(ignored))
{
    if (queue_check(self) < 0) {
        return NULL;
    }
    return PyLong_FromLong(self->queue.seg.fd);
}

/* ---- life ---- */

static queue_object *
queue_alloc(PyTypeObject *type)
{
    queue_object *self = (queue_object *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->queue.seg.fd = -1;
        self->queue.bell = -1;
    }
    return self;
}

static PyObject *
queue_new(PyTypeObject *type, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    return (PyObject *)queue_alloc(type);
}

int
queue_maxsize_from(PyObject *arg, uint64_t *maxsize)
{
    PyObject *index = PyNumber_Index(arg);
    if (index == NULL) {
        return -1;
    }
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(index, &overflow);
    Py_DECREF(index);
    if (value == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (overflow > 0) {
        PyErr_SetString(PyExc_OverflowError, "maxsize is too large");
        return -1;
    }
    *maxsize = value > 0 ? (uint64_t)value : 0;
    return 0;
}

int
queue_make(queue_object *self, PyObject *maxsize, PyObject *codec, queue_kind kind)
{
    uint64_t most = 0;
    if (maxsize != NULL && queue_maxsize_from(maxsize, &most) < 0) {
        return -1;
    }
    /* Other threads may be inside calls on the segment, so it is never replaced. */
    if (self->queue.seg.window[0] != NULL) {
        PyErr_Format(PyExc_RuntimeError, "%s.__init__() was called before", Py_TYPE(self)->tp_name);
        return -1;
    }
    if (queue_set_codec(self, codec) < 0) {
        return -1;
    }
    const gop_engine *e = engine();
    if (e == NULL) {
        return -1;
    }
    int rc = kind == QUEUE_PLAIN
                 ? e->gop_queue_create(&self->queue, most)
                 : e->gop_joinable_queue_create(&self->queue, most, kind == QUEUE_REDELIVERS);
    if (rc < 0) {
        raise_errno(rc, "cannot make a queue");
        return -1;
    }
    self->readable = self->writable = true;
    return 0;
}

static int
queue_init(queue_object *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"maxsize", "codec", NULL};
    PyObject *maxsize = NULL, *codec = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O$O:Queue", names, &maxsize, &codec)) {
        return -1;
    }
    return queue_make(self, maxsize, codec, QUEUE_PLAIN);
}

PyDoc_STRVAR(queue_attach_doc,
"_attach($type, memory, bell=-1, codec=None, /)\n--\n\n"
"Make an object of the queue whose descriptors these are, and own them.");

static PyObject *
queue_attach(PyTypeObject *type, PyObject *args)
{
    PyObject *file, *codec = NULL;
    int bell = -1;
    if (!PyArg_ParseTuple(args, "O|iO:_attach", &file, &bell, &codec)) {
        return NULL;
    }
    int memory = PyObject_AsFileDescriptor(file);
    if (memory < 0) {
        return NULL;
    }
    const gop_engine *e = engine();
    if (e == NULL) {
        return NULL;
    }
    queue_object *self = queue_alloc(type);
    if (self == NULL || queue_set_codec(self, codec) < 0) {
        Py_XDECREF(self);
        return NULL;
    }
    int rc = e->gop_queue_open(&self->queue, memory, bell);
    if (rc < 0) {
        Py_DECREF(self);
        return raise_errno(rc, "cannot attach a queue");
    }
    self->readable = self->writable = true;
    return (PyObject *)self;
}

static void
queue_dealloc(queue_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    gop_queue_close(&self->queue);
    Py_XDECREF(self->codec);
    Py_XDECREF(self->encode);
    Py_XDECREF(self->decode);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef queue_methods[] = {
    {"put", (PyCFunction)(void (*)(void))queue_put, METH_FASTCALL | METH_KEYWORDS, queue_put_doc},
    {"get", (PyCFunction)(void (*)(void))queue_get, METH_FASTCALL | METH_KEYWORDS, queue_get_doc},
    {"put_many", (PyCFunction)(void (*)(void))queue_put_many, METH_FASTCALL | METH_KEYWORDS,
     queue_put_many_doc},
    {"get_many", (PyCFunction)(void (*)(void))queue_get_many, METH_FASTCALL | METH_KEYWORDS,
     queue_get_many_doc},
    {"put_bytes", (PyCFunction)(void (*)(void))queue_put_bytes, METH_FASTCALL | METH_KEYWORDS,
     queue_put_bytes_doc},
    {"get_bytes", (PyCFunction)(void (*)(void))queue_get_bytes, METH_FASTCALL | METH_KEYWORDS,
     queue_get_bytes_doc},
    {"put_nowait", (PyCFunction)queue_put_nowait, METH_O, queue_put_nowait_doc},
    {"get_nowait", (PyCFunction)queue_get_nowait, METH_NOARGS, queue_get_nowait_doc},
    {"qsize", (PyCFunction)queue_qsize, METH_NOARGS, queue_qsize_doc},
    {"empty", (PyCFunction)queue_is_empty, METH_NOARGS, queue_empty_doc},
    {"full", (PyCFunction)queue_is_full, METH_NOARGS, queue_full_doc},
    {"shutdown", (PyCFunction)(void (*)(void))queue_shutdown, METH_FASTCALL | METH_KEYWORDS,
     queue_shutdown_doc},
    {"close", (PyCFunction)queue_close, METH_NOARGS, queue_close_doc},
    {"_fileno", (PyCFunction)queue_fileno, METH_NOARGS, queue_fileno_doc},
    {"_poll", (PyCFunction)(void (*)(void))queue_poll, METH_FASTCALL | METH_KEYWORDS,
     queue_poll_doc},
    {"_watch", (PyCFunction)queue_watch, METH_NOARGS, queue_watch_doc},
    {"_close_reader", (PyCFunction)queue_close_reader, METH_NOARGS, queue_close_reader_doc},
    {"_close_writer", (PyCFunction)queue_close_writer, METH_NOARGS, queue_close_writer_doc},
    {"_attach", (PyCFunction)queue_attach, METH_VARARGS | METH_CLASS, queue_attach_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef queue_getset[] = {
    {"_closed", (getter)queue_get_closed, NULL, NULL, NULL},
    {"_readable", (getter)queue_get_readable, NULL, NULL, NULL},
    {"_writable", (getter)queue_get_writable, NULL, NULL, NULL},
    {"_bell", (getter)queue_get_bell, NULL, NULL, NULL},
    {"_codec", (getter)queue_get_codec, NULL, NULL, NULL},
    {"_maxsize", (getter)queue_get_maxsize, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyDoc_STRVAR(queue_doc,
"Queue(maxsize=0, *, codec=None)\n--\n\n"
"A queue shared by processes, of at most maxsize items if that is positive.");

static PyType_Slot queue_slots[] = {
    {Py_tp_doc, (void *)queue_doc},
    {Py_tp_new, queue_new},
    {Py_tp_init, queue_init},
    {Py_tp_dealloc, queue_dealloc},
    {Py_tp_methods, queue_methods},
    {Py_tp_getset, queue_getset},
    {0, NULL},
};

static PyType_Spec queue_spec = {
    .name = "goprocessing._engine.Queue",
    .basicsize = sizeof(queue_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = queue_slots,
};

/* The standard library's ShutDown, or one like it. */
static PyObject *
shutdown_exception(PyObject *standard)
{
#if PY_VERSION_HEX >= 0x030d0000
    return PyObject_GetAttrString(standard, "ShutDown");
#else
    (void)standard;
    return PyErr_NewExceptionWithDoc("goprocessing.queues.ShutDown",
                                     "Raised when put/get with shut-down queue.", NULL, NULL);
#endif
}

int
queue_exec(PyObject *module)
{
    PyObject *standard = PyImport_ImportModule("queue");
    if (standard == NULL) {
        return -1;
    }
    Py_XSETREF(queue_full, PyObject_GetAttrString(standard, "Full"));
    Py_XSETREF(queue_empty, PyObject_GetAttrString(standard, "Empty"));
    Py_XSETREF(queue_shut, shutdown_exception(standard));
    Py_DECREF(standard);
    Py_XSETREF(name_put, PyUnicode_InternFromString("put"));
    Py_XSETREF(name_get, PyUnicode_InternFromString("get"));
    if (queue_full == NULL || queue_empty == NULL || queue_shut == NULL || name_put == NULL ||
        name_get == NULL || PyModule_AddObjectRef(module, "ShutDown", queue_shut) < 0)
    {
        return -1;
    }
    PyTypeObject *type = module_add_type(module, &queue_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    int result = joinable_queue_exec(module, type);
    Py_DECREF(type);
    return result;
}
