/* The parts of Connection that its files share. */
#ifndef GOPROCESSING_PYBIND_CONNECTION_H
#define GOPROCESSING_PYBIND_CONNECTION_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "engine.h"
#include "record.h"

/*
 * close() may be called while other threads are blocked in calls: they stay
 * blocked, as with the standard library, so memory and socket stay until the
 * last of them is out. All members change with the GIL held only.
 */
typedef struct connection_object {
    PyObject_HEAD
    gop_conn conn;       /* conn.sock < 0: released, or never made */
    bool open;           /* close() was not called */
    uint32_t users;      /* calls of the engine under way */
    uint64_t generation; /* of the process whose calls users counts */
} connection_object;

/* A closed connection; NULL with an exception set. */
connection_object *connection_alloc(PyTypeObject *type);

/* 0, or -1 with the standard library's OSError set. */
int connection_check_open(connection_object *self);
int connection_check_readable(connection_object *self); /* and open */
int connection_check_writable(connection_object *self); /* and open */

/* Closes the connection, as close() does. */
void connection_close(connection_object *self);

/* engine_block with an arg that leads to self->conn, which stays meanwhile. */
int connection_block(connection_object *self, blocking_call call, void *arg, int64_t deadline);

/* Sends one message. Returns None or NULL. */
PyObject *connection_write(connection_object *self, const gop_item *item);

/* Receives the object of the next message. NULL with an exception set, EOFError at
 * the end. */
PyObject *connection_receive(connection_object *self);

/* Receives one message as bytes, as record_read without a deadline. 0; -EMSGSIZE;
 * -EBADMSG: it has buffers, and was not taken; or WAIT_RAISED with an exception
 * set, EOFError at the end. */
int connection_read(connection_object *self, record_sink *sink, uint64_t limit, PyObject **bytes);

/* connection_bytes.c */
extern const char connection_send_bytes_doc[];
extern const char connection_recv_bytes_doc[];
extern const char connection_recv_bytes_into_doc[];
PyObject *connection_send_bytes(connection_object *self, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *kwnames);
PyObject *connection_recv_bytes(connection_object *self, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *kwnames);
PyObject *connection_recv_bytes_into(connection_object *self, PyObject *const *args,
                                     Py_ssize_t nargs, PyObject *kwnames);

/* connection_handle.c */
extern const char connection_recv_handle_doc[];
extern const char connection_sent_handle_doc[];
PyObject *connection_recv_handle(connection_object *self, PyObject *ignored);
PyObject *connection_sent_handle(connection_object *self, PyObject *ignored);

/* Imports what connection_bytes.c needs. 0, or -1 with an exception set. */
int connection_bytes_exec(void);

/* pipe.c: adds pipe() to the module. 0, or -1 with an exception set. */
int pipe_exec(PyObject *module, PyTypeObject *type);

#endif
