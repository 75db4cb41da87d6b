/* The part of the module that loads the engine. */
#ifndef GOPROCESSING_LOADER_H
#define GOPROCESSING_LOADER_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Finds the library, registers the fork handlers (once per process), and adds
 * `libpath` to the module. */
int loader_exec(PyObject *module);

#endif
