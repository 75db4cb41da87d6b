/*
 * What the extension must know of the Go runtime's threads, of which the runtime
 * itself says nothing. The definitions of pthread_create and pthread_key_create
 * below are hidden, so they stand in for libc's in this library only: runtime/cgo
 * is linked into it and calls them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "goprocessing.h"

#define HIDDEN __attribute__((visibility("hidden")))
#define EXPORTED __attribute__((visibility("default")))

static int threads;

typedef struct start {
    void *(*routine)(void *);
    void *arg;
} start;

static void *
run_thread(void *arg)
{
    start s = *(start *)arg;
    free(arg);
    pthread_setname_np(pthread_self(), "goprocessing");
    void *result = s.routine(s.arg);
    __atomic_fetch_sub(&threads, 1, __ATOMIC_RELAXED);
    return result;
}

/* RTLD_DEFAULT, not RTLD_NEXT: the library is opened with RTLD_LOCAL, and libc,
 * or a sanitizer before it, is in the global scope. */
HIDDEN int
pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*routine)(void *), void *arg)
{
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&create = dlsym(RTLD_DEFAULT, "pthread_create");
    if (!create) return ENOSYS;
    start *s = malloc(sizeof *s);
    if (!s) return EAGAIN;
    s->routine = routine;
    s->arg = arg;
    __atomic_fetch_add(&threads, 1, __ATOMIC_RELAXED);
    int error = create(thread, attr, run_thread, s);
    if (error) {
        __atomic_fetch_sub(&threads, 1, __ATOMIC_RELAXED);
        free(s);
    }
    return error;
}

/* runtime/cgo/gcc_libinit.c makes one key, for its destructor: at the end of a
 * thread that called Go, that destructor enters the runtime. */
static pthread_key_t runtime_key;
static bool runtime_key_made;

HIDDEN int
pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    int (*create)(pthread_key_t *, void (*)(void *));
    *(void **)&create = dlsym(RTLD_DEFAULT, "pthread_key_create");
    if (!create) return ENOSYS;
    int error = create(key, destructor);
    if (!error && !runtime_key_made) {
        runtime_key = *key;
        runtime_key_made = true;
    }
    return error;
}

EXPORTED int
gop_engine_threads(void)
{
    return __atomic_load_n(&threads, __ATOMIC_RELAXED);
}

EXPORTED void
gop_engine_abandon(void)
{
    if (runtime_key_made) {
        pthread_key_delete(runtime_key);
        runtime_key_made = false;
    }
}
