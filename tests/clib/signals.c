/* A program that awaits a signal that all its threads block, and has a handler for one
 * that the library handles too: signals LIBRARY */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>

#include "program.h"

static __typeof__(gop_queue_create) *create;
static __typeof__(gop_queue_get) *get;

static volatile sig_atomic_t handled;

static void
handle(int number)
{
    handled = number;
}

static void
load(const char *library)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    CHECK(handle);
    CHECK(*(void **)&create = dlsym(handle, "gop_queue_create"));
    CHECK(*(void **)&get = dlsym(handle, "gop_queue_get"));
}

int
main(int argc, char **argv)
{
    CHECK(argc == 2);
    alarm(TIME_LIMIT);
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
    CHECK(sigaction(SIGPIPE, &action, NULL) == 0);
    sigset_t awaited;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGUSR1);
    CHECK(sigprocmask(SIG_BLOCK, &awaited, NULL) == 0);

    load(argv[1]);
    gop_queue queue;
    char item[8];
    uint64_t length;
    DO(create(&queue, 0));
    /* Now the engine has all its threads. */
    CHECK(get(&queue, item, sizeof(item), &length, GOP_SLEEP, 1) == -ETIMEDOUT);

    CHECK(kill(getpid(), SIGUSR1) == 0);
    int number;
    CHECK(sigwait(&awaited, &number) == 0 && number == SIGUSR1);
    CHECK(raise(SIGPIPE) == 0 && handled == SIGPIPE);
    gop_queue_close(&queue);
    return 0;
}
