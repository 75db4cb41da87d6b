#include "lock_object.h"

#include "errors.h"
#include "robust.h"

static struct {
    PyObject *semlock, *is_mine, *count, *acquire, *release, *enter, *exit;
} names;

static PyObject *
ask(PyObject *lock, PyObject *method)
{
    PyObject *semlock = PyObject_GetAttr(lock, names.semlock);
    if (semlock == NULL) {
        return NULL;
    }
    PyObject *answer = PyObject_CallMethodNoArgs(semlock, method);
    Py_DECREF(semlock);
    return answer;
}

static int
is_mine(PyObject *lock)
{
    PyObject *answer = ask(lock, names.is_mine);
    if (answer == NULL) {
        return -1;
    }
    int mine = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return mine;
}

int
lock_object_check(PyObject *lock, const char *otherwise)
{
    int mine = is_mine(lock);
    if (mine == 0) {
        PyErr_SetString(PyExc_AssertionError, otherwise);
    }
    return mine > 0 ? 0 : -1;
}

long
lock_object_count(PyObject *lock)
{
    PyObject *answer = ask(lock, names.count);
    if (answer == NULL) {
        return -1;
    }
    long times = PyLong_AsLong(answer);
    Py_DECREF(answer);
    return times;
}

static long
repeat(PyObject *lock, PyObject *method, long times)
{
    for (long done = 0; done < times; done++) {
        PyObject *result = PyObject_CallMethodNoArgs(lock, method);
        if (result == NULL) {
            return done;
        }
        Py_DECREF(result);
    }
    return times;
}

long
lock_object_release(PyObject *lock, long times)
{
    return repeat(lock, names.release, times);
}

int
lock_object_restore(PyObject *lock, long times)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    long done = repeat(lock, names.acquire, times);
    if (done == times) {
        PyErr_Restore(type, value, traceback);
        return 0;
    }
    if (PyErr_ExceptionMatches(robust_owner_died)) {
        PyObject *died = error_take();
        long rest = times - done - 1;
        /* It may be of another lock, from a signal handler. */
        int mine = is_mine(lock);
        if (mine == 0 || (mine > 0 && repeat(lock, names.acquire, rest) == rest)) {
            error_restore(died);
        }
        else {
            Py_DECREF(died);
        }
    }
    if (type != NULL) {
        PyErr_NormalizeException(&type, &value, &traceback);
        if (traceback != NULL) {
            PyException_SetTraceback(value, traceback);
        }
        Py_DECREF(type);
        Py_XDECREF(traceback);
        PyObject *context = value;
        PyErr_Fetch(&type, &value, &traceback);
        PyErr_NormalizeException(&type, &value, &traceback);
        PyException_SetContext(value, context);
        PyErr_Restore(type, value, traceback);
    }
    return -1;
}

PyObject *
lock_object_enter(PyObject *lock)
{
    return PyObject_CallMethodNoArgs(lock, names.enter);
}

PyObject *
lock_object_exit(PyObject *lock, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *method = PyObject_GetAttr(lock, names.exit);
    if (method == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_Vectorcall(method, args, (size_t)nargs, NULL);
    Py_DECREF(method);
    return result;
}

int
lock_object_exec(void)
{
    const struct {
        PyObject **name;
        const char *text;
    } all[] = {
        {&names.semlock, "_semlock"}, {&names.is_mine, "_is_mine"}, {&names.count, "_count"},
        {&names.acquire, "acquire"},  {&names.release, "release"},  {&names.enter, "__enter__"},
        {&names.exit, "__exit__"},
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(all); i++) {
        if (*all[i].name == NULL) {
            *all[i].name = PyUnicode_InternFromString(all[i].text);
            if (*all[i].name == NULL) {
                return -1;
            }
        }
    }
    return 0;
}
