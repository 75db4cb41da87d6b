/*
 * Loads the engine, once per process.
 *
 * A Go runtime does not survive fork(): only the calling thread lives on in the
 * child, so its garbage collector and scheduler hang. The child handler below
 * marks the table stale, and the next use loads the library again from another
 * inode (image.c), which starts a sound runtime beside the dead one. Nothing may
 * call into the dead one any more: no destructor (they compare generations), no
 * thread exit (gop_engine_abandon), no signal handler (signals.c).
 */
#define _GNU_SOURCE
#include "loader.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "engine.h"
#include "image.h"
#include "owner.h"
#include "resources.h"
#include "signals.h"

engine_state engine_process;

/* Held while loading, and across fork(): a thread may fork without the GIL. */
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

static char *library;

/* dlopen() has loaded a copy in this process; in an ancestor of it. */
static bool opened;
static bool opened_before_fork;

static void
before_fork(void)
{
    pthread_mutex_lock(&loading);
    __atomic_fetch_add(&engine_process.forks, 1, __ATOMIC_RELAXED);
    if (engine_process.live) {
        image_prepare_fork();
    }
}

static void
after_fork_in_parent(void)
{
    pthread_mutex_unlock(&loading);
}

static void
after_fork_in_child(void)
{
    if (engine_process.live) {
        engine_process.live = false;
        engine_process.table.gop_engine_abandon();
    }
    if (opened) {
        opened = false;
        opened_before_fork = true;
        signals_restore();
    }
    engine_process.generation++;
    owner_forget();
    pthread_mutex_unlock(&loading);
}

/* The table's members are function pointers, all of one size. */
static int
fill_table(gop_engine *table, void *handle, failure *f)
{
#define GOP_LOOK_UP(name)                                          \
    if ((*(void **)&table->name = dlsym(handle, #name)) == NULL) { \
        failure_add(f, "dlsym", dlerror());                        \
        return -1;                                                 \
    }
    GOP_FUNCTIONS(GOP_LOOK_UP)
#undef GOP_LOOK_UP
    return 0;
}

static void *
open_library(failure *f)
{
    if (opened_before_fork) {
        return image_load_copy(f);
    }
    if (image_map(library, f) < 0) {
        return NULL;
    }
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        failure_add(f, "dlopen", dlerror());
    }
    return handle;
}

static int
start(void *handle, failure *f)
{
    gop_engine table;
    if (fill_table(&table, handle, f) < 0) {
        return -1;
    }
    int abi = table.gop_abi();
    if (abi != GOP_ABI) {
        char text[80];
        snprintf(text, sizeof(text), "has interface %d, this extension needs %d", abi, GOP_ABI);
        failure_add(f, library, text);
        return -1;
    }
    engine_process.table = table;
    engine_process.live = true;
    return 0;
}

/* 0, what resources_check() says, or -1 with the reason in f. */
static int
load(failure *f)
{
    int rc = resources_check();
    if (rc < 0) {
        return rc;
    }
    signals_before_load();
    void *handle = open_library(f);
    if (handle == NULL) {
        return -1;
    }
    opened = true;
    rc = start(handle, f);
    signals_after_load();
    return rc;
}

const gop_engine *
engine_load(void)
{
    failure f = {0};
    sigset_t all, mask;
    /* The engine's threads inherit the mask: they take no signal meant for
     * Python, nor one that a thread of the program awaits in sigwait(), but for
     * SIGCHLD, SIGPROF, SIGURG and SIGRTMIN, which the runtime unblocks
     * (runtime.sigtable, _SigUnblock). And no handler written in C can fork while
     * the mutex is held. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &mask);
    pthread_mutex_lock(&loading);
    int rc = engine_process.live ? 0 : load(&f);
    pthread_mutex_unlock(&loading);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    if (rc == -ENOMEM || rc == -EAGAIN) {
        raise_errno(rc, rc == -ENOMEM ? "the engine needs 2 GiB of address space (RLIMIT_AS)"
                                      : "the engine needs threads (RLIMIT_NPROC)");
        return NULL;
    }
    if (rc < 0) {
        PyErr_Format(PyExc_ImportError, "the goprocessing engine cannot be loaded%s: %s",
                     opened_before_fork ? " in this forked process" : "", f.text);
        return NULL;
    }
    return &engine_process.table;
}

int
loader_exec(PyObject *module)
{
    if (library == NULL) {
        Dl_info info;
        if (dladdr((void *)&loader_exec, &info) == 0 || info.dli_fname == NULL) {
            PyErr_SetString(PyExc_ImportError, "goprocessing: dladdr found no file");
            return -1;
        }
        const char *slash = strrchr(info.dli_fname, '/');
        size_t length = slash != NULL ? (size_t)(slash - info.dli_fname) + 1 : 0;
        char *directory = strndup(length ? info.dli_fname : "./", length ? length : 2);
        /* Absolute: the program may change its directory before the first use. */
        char *absolute = directory != NULL ? realpath(directory, NULL) : NULL;
        free(directory);
        if (absolute == NULL) {
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        if (asprintf(&library, "%s/libgoprocessing.so", absolute) < 0) {
            library = NULL;
        }
        free(absolute);
        if (library == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        int error = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
        if (error != 0) {
            free(library);
            library = NULL;
            raise_errno(-error, "pthread_atfork");
            return -1;
        }
    }
    PyObject *path = PyUnicode_DecodeFSDefault(library);
    int rc = path == NULL ? -1 : PyModule_AddObjectRef(module, "libpath", path);
    Py_XDECREF(path);
    return rc;
}
