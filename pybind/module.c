/* The extension module goprocessing._engine. */
#include "engine.h"
#include "loader.h"
#include "pickler.h"

PyTypeObject *
module_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, (PyObject *)base);
    if (type != NULL && PyModule_AddType(module, (PyTypeObject *)type) < 0) {
        Py_CLEAR(type);
    }
    return (PyTypeObject *)type;
}

PyDoc_STRVAR(engine_threads_doc, "engine_threads($module, /)\n--\n\n"
                                 "Return how many threads the engine runs in this process.");

static PyObject *
engine_threads(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored))
{
    const gop_engine *e = engine_if_loaded();
    return PyLong_FromLong(e == NULL ? 0 : e->gop_engine_threads());
}

PyDoc_STRVAR(loads_doc, "loads($module, pickle, buffers=None, /)\n--\n\n"
                        "Return what a message that was received in parts stands for.");

static PyObject *
loads(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *pickle, *buffers = Py_None;
    if (!PyArg_ParseTuple(args, "O|O:loads", &pickle, &buffers)) {
        return NULL;
    }
    return pickler_loads(pickle, buffers != Py_None ? buffers : NULL);
}

static PyMethodDef module_methods[] = {
    {"loads", loads, METH_VARARGS, loads_doc},
    {"engine_threads", engine_threads, METH_NOARGS, engine_threads_doc},
    {NULL, NULL, 0, NULL},
};

/* Order: RLocks and robust locks are semaphores; the pickler is what queues and connections use. */
static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, loader_exec},
    {Py_mod_exec, semaphore_exec},
    {Py_mod_exec, rlock_exec},
    {Py_mod_exec, robust_exec},
    {Py_mod_exec, event_exec},
    {Py_mod_exec, condition_exec},
    {Py_mod_exec, barrier_exec},
    {Py_mod_exec, pickler_exec},
    {Py_mod_exec, extent_exec},
    {Py_mod_exec, queue_exec},
    {Py_mod_exec, connection_exec},
    {Py_mod_exec, named_exec},
#ifdef Py_mod_multiple_interpreters
    /* The engine belongs to the process, and the main interpreter's GIL guards
     * the extension's state. */
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

PyDoc_STRVAR(module_doc, "Shared memory objects of goprocessing, bound to its engine.");

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,       .m_name = "goprocessing._engine", .m_doc = module_doc,
    .m_methods = module_methods, .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__engine(void)
{
    return PyModuleDef_Init(&module_definition);
}
