/*
 * The engine as the extension's files see it.
 *
 * Nothing here is linked against libgoprocessing.so: a Go runtime does not
 * survive fork(), so each process loads a copy of the library of its own, at
 * first use, and calls it through a table. See loader.c.
 */
#ifndef GOPROCESSING_ENGINE_H
#define GOPROCESSING_ENGINE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

#include "../capi/goprocessing.h"

/* ---- loader.c: the engine that is live in this process ---- */

typedef struct gop_engine {
#define GOP_MEMBER(name) __typeof__(name) *name;
    GOP_FUNCTIONS(GOP_MEMBER)
#undef GOP_MEMBER
} gop_engine;

/* Of this process: `table` is valid while `live`; fork() clears `live` in the
 * child. `generation` counts the forks that lead from the first process to
 * this one: equal generations mean the same process. `forks` counts fork()
 * calls of this process and its ancestors, also those under way. */
typedef struct engine_state {
    gop_engine table;
    bool live;
    uint64_t generation;
    uint64_t forks;
} engine_state;

extern engine_state engine_process;

/* Loads the engine; NULL with an exception set when that fails. */
const gop_engine *engine_load(void);

/*
 * The engine, loaded if need be; NULL with an exception set on failure. Needs
 * the GIL. The pointer must not be kept across anything that may run Python
 * code: a signal handler may fork, and the child needs another engine.
 */
static inline const gop_engine *
engine(void)
{
    return __builtin_expect(engine_process.live, 1) ? &engine_process.table : engine_load();
}

static inline const gop_engine *
engine_if_loaded(void)
{
    return engine_process.live ? &engine_process.table : NULL;
}

/* ---- wait.c: blocking calls ---- */

/* A deadline in the past: try, and do not wait. */
#define DEADLINE_NOW ((int64_t)0)

/*
 * Python's timeout in seconds (NULL or None: no limit; negative: 0) as a
 * deadline. -1 with TypeError or ValueError (NaN) set.
 */
int deadline_from(PyObject *timeout, int64_t *deadline);

/* The same for Python's pair block, timeout; `timeout` is ignored when block
 * is false. NULL stands for an argument that was not given. */
int deadline_from_block(PyObject *block, PyObject *timeout, int64_t *deadline);

/*
 * One engine function that can block, with its arguments in *arg. Runs with or
 * without the GIL: it must not touch Python objects' state. Runs several times;
 * the memory that arg names must stay valid meanwhile.
 */
typedef int (*blocking_call)(const gop_engine *e, void *arg, int how, int64_t deadline);

/* What engine_block and engine_wait return when an exception is set: the engine
 * could not be loaded, or a signal handler raised. */
#define WAIT_RAISED 1

/*
 * Runs call with GOP_TRY and the GIL held, and if it would block, waits until
 * the deadline with the GIL released, running Python's signal handlers.
 * Returns what the call returned: 0 or a negative errno; -EAGAIN also when the
 * deadline has passed; WAIT_RAISED.
 */
int engine_block(blocking_call call, void *arg, int64_t deadline);

/* engine_block without the first try. With DEADLINE_NOW it waits for nothing but
 * others' short critical sections. */
int engine_wait(blocking_call call, void *arg, int64_t deadline);

/* ---- errors.c: each sets an exception and returns NULL ---- */

/* Sets OSError, or its subclass for this errno, from a negative errno:
 * "[Errno 12] what: Cannot allocate memory". */
PyObject *raise_errno(int rc, const char *what);

/* The same for a name, a bytes object, which is the exception's filename. */
PyObject *raise_errno_of_name(int rc, PyObject *name);

/* RuntimeError, for an object whose tp_init did not run. */
PyObject *raise_uninitialized(PyObject *self);

/* ---- parts of the module, run once by its Py_mod_exec slots ---- */

int semaphore_exec(PyObject *module);
int event_exec(PyObject *module);
int rlock_exec(PyObject *module);  /* after semaphore_exec */
int robust_exec(PyObject *module); /* after semaphore_exec */
int condition_exec(PyObject *module);
int barrier_exec(PyObject *module);
int pickler_exec(PyObject *module);
int extent_exec(PyObject *module);
int queue_exec(PyObject *module);      /* Queue, JoinableQueue */
int connection_exec(PyObject *module); /* Connection, pipe */
int named_exec(PyObject *module);

/* Makes a heap type from spec, adds it to the module under its name, and
 * returns a new reference. base may be NULL. */
PyTypeObject *module_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base);

#endif
