/*
 * Go handles SIGSEGV, SIGBUS, SIGFPE, SIGPIPE and SIGURG, also in a shared
 * library (os/signal, "Non-Go programs that call Go code"). The child of
 * a fork must not enter those handlers: their runtime has no threads any more.
 */
#define _GNU_SOURCE
#include "signals.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>

static struct {
    struct sigaction before;
    struct sigaction after;
    bool changed;
} dispositions[_NSIG];

static bool
same_handler(const struct sigaction *a, const struct sigaction *b)
{
    /* sa_handler and sa_sigaction are a union on Linux. */
    return a->sa_sigaction == b->sa_sigaction;
}

void
signals_before_load(void)
{
    for (int sig = 1; sig < _NSIG; sig++) {
        dispositions[sig].changed = false;
        memset(&dispositions[sig].before, 0, sizeof(struct sigaction));
        sigaction(sig, NULL, &dispositions[sig].before);
    }
}

void
signals_after_load(void)
{
    /* The engine raises no SIGPIPE, and needs no handler. Python's SIG_IGN would
     * not reach the programs that it executes: execve() resets what is caught. */
    sigaction(SIGPIPE, &dispositions[SIGPIPE].before, NULL);
    for (int sig = 1; sig < _NSIG; sig++) {
        struct sigaction *after = &dispositions[sig].after;
        dispositions[sig].changed =
            sigaction(sig, NULL, after) == 0 && !same_handler(after, &dispositions[sig].before);
    }
}

void
signals_restore(void)
{
    for (int sig = 1; sig < _NSIG; sig++) {
        struct sigaction now;
        if (dispositions[sig].changed && sigaction(sig, NULL, &now) == 0 &&
            same_handler(&now, &dispositions[sig].after))
        {
            sigaction(sig, &dispositions[sig].before, NULL);
        }
    }
}
