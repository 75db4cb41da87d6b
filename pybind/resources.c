#define _GNU_SOURCE
#include "resources.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* What the Go runtime reserves, 750 MiB, and room for the stacks of some threads and
 * the arenas that malloc() reserves for them, 64 MiB each and at first twice as much. */
#define ADDRESS_SPACE ((rlim_t)2 << 30)

/* How many threads the runtime has after its first wait on a machine with two CPUs. */
#define THREADS 6
#define STACK (256 * 1024)

static bool
has_address_space(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY) {
        return true;
    }
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm != NULL) {
        if (fscanf(statm, "%lu", &pages) != 1) {
            pages = 0;
        }
        fclose(statm);
    }
    rlim_t used = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
    return used + ADDRESS_SPACE <= limit.rlim_cur;
}

static void *
pass(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* With the patience of the Go runtime (_cgo_try_pthread_create): what other processes
 * need for a moment is no lack. */
static int
create_thread(pthread_t *thread, const pthread_attr_t *attr, pthread_mutex_t *gate)
{
    int tries = 0, error;
    while ((error = pthread_create(thread, attr, pass, gate)) == EAGAIN && tries++ < 20) {
        nanosleep(&(struct timespec){.tv_nsec = tries * 1000000L}, NULL);
    }
    return error;
}

/* RLIMIT_NPROC counts all the user's threads, and a control group those of all its
 * processes: that there is room for more can only be tried. */
static bool
has_threads(void)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t threads[THREADS];
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    pthread_mutex_lock(&gate);
    int n = 0, error = 0;
    while (n < THREADS && (error = create_thread(&threads[n], &attr, &gate)) == 0) {
        n++;
    }
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_attr_destroy(&attr);
    return error != EAGAIN;
}

int
resources_check(void)
{
    if (!has_address_space()) {
        return -ENOMEM;
    }
    return has_threads() ? 0 : -EAGAIN;
}
