/* Blocking calls: deadlines and signals. */
#include "engine.h"

#include <math.h>
#include <time.h>

#define NANOSECONDS 1000000000

static int64_t
monotonic_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * NANOSECONDS + ts.tv_nsec;
}

int
deadline_from(PyObject *timeout, int64_t *deadline)
{
    if (timeout == NULL || timeout == Py_None) {
        *deadline = GOP_FOREVER;
        return 0;
    }
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred()) {
        if (!PyLong_Check(timeout) || !PyErr_ExceptionMatches(PyExc_OverflowError)) {
            return -1;
        }
        /* An int beyond the range of a double. */
        PyErr_Clear();
        int overflow;
        (void)PyLong_AsLongAndOverflow(timeout, &overflow);
        seconds = overflow < 0 ? -HUGE_VAL : HUGE_VAL;
    }
    if (isnan(seconds)) {
        PyErr_SetString(PyExc_ValueError, "timeout is not a number (NaN)");
        return -1;
    }
    if (seconds <= 0.0) {
        *deadline = DEADLINE_NOW;
        return 0;
    }
    int64_t now = monotonic_now();
    double nanoseconds = ceil(seconds * NANOSECONDS);
    /* Comparing as doubles: GOP_FOREVER - now rounds up to at most 2**63. */
    if (nanoseconds >= (double)(GOP_FOREVER - now) - 1024.0) {
        *deadline = GOP_FOREVER;
    }
    else {
        *deadline = now + (int64_t)nanoseconds;
    }
    return 0;
}

int
deadline_from_block(PyObject *block, PyObject *timeout, int64_t *deadline)
{
    int blocks = block == NULL ? 1 : PyObject_IsTrue(block);
    if (blocks < 0) {
        return -1;
    }
    if (!blocks) {
        *deadline = DEADLINE_NOW;
        return 0;
    }
    return deadline_from(timeout, deadline);
}

int
engine_block(blocking_call call, void *arg, int64_t deadline)
{
    const gop_engine *e = engine();
    if (e == NULL) {
        return WAIT_RAISED;
    }
    int rc = call(e, arg, GOP_TRY, 0);
    if (rc != -EBUSY && (rc != -EAGAIN || deadline == DEADLINE_NOW)) {
        return rc;
    }
    return engine_wait(call, arg, deadline);
}

int
engine_wait(blocking_call call, void *arg, int64_t deadline)
{
    for (int how = deadline == DEADLINE_NOW ? GOP_NOWAIT : GOP_SPIN;;) {
        /* Again each time: the handler of a signal may have forked, and this
         * may be the child. */
        const gop_engine *e = engine();
        if (e == NULL) {
            return WAIT_RAISED;
        }
        int rc;
        Py_BEGIN_ALLOW_THREADS
        rc = call(e, arg, how, deadline);
        Py_END_ALLOW_THREADS
        if (rc == -ETIMEDOUT) {
            return -EAGAIN;
        }
        if (rc == -EAGAIN && how == GOP_SPIN) {
            how = GOP_SLEEP;
        }
        else if (rc != -EINTR) {
            return rc;
        }
        if (PyErr_CheckSignals() < 0) {
            return WAIT_RAISED;
        }
    }
}
