/* The parser that CPython generates for its own methods is private. */
#include "arguments.h"

static int
intern_names(parameters *p)
{
    for (int i = 0; i < PARAMETERS_MAX && p->names[i] != NULL; i++) {
        if (p->interned[i] == NULL) {
            p->interned[i] = PyUnicode_InternFromString(p->names[i]);
            if (p->interned[i] == NULL) {
                return -1;
            }
        }
    }
    return 0;
}

/* The index of a keyword; PARAMETERS_MAX when there is none. Call sites hold
 * interned strings, so the first loop finds nearly all. */
static int
find(const parameters *p, PyObject *keyword)
{
    for (int i = 0; i < PARAMETERS_MAX && p->names[i] != NULL; i++) {
        if (p->interned[i] == keyword) {
            return i;
        }
    }
    for (int i = 0; i < PARAMETERS_MAX && p->names[i] != NULL; i++) {
        if (PyUnicode_CompareWithASCIIString(keyword, p->names[i]) == 0) {
            return i;
        }
    }
    return PARAMETERS_MAX;
}

int
arguments_bind(parameters *p, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
               PyObject *values[PARAMETERS_MAX])
{
    for (int i = 0; i < PARAMETERS_MAX; i++) {
        values[i] = NULL;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        if (i == PARAMETERS_MAX || p->names[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() takes at most %zd arguments (%zd given)", p->method,
                         i, nargs);
            return -1;
        }
        values[i] = args[i];
    }
    if (kwnames != NULL && intern_names(p) < 0) {
        return -1;
    }
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t k = 0; k < keywords; k++) {
        PyObject *keyword = PyTuple_GET_ITEM(kwnames, k);
        int i = find(p, keyword);
        if (i == PARAMETERS_MAX) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", p->method,
                         keyword);
            return -1;
        }
        if (values[i] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", p->method,
                         keyword);
            return -1;
        }
        values[i] = args[nargs + k];
    }
    for (Py_ssize_t i = 0; i < p->required; i++) {
        if (values[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s' (pos %zd)",
                         p->method, p->names[i], i + 1);
            return -1;
        }
    }
    return 0;
}
