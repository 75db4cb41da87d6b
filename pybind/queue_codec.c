/*
 * Queues whose items are not pickles, for programs in other languages.
 *
 * A codec has two attributes: `encode` makes a bytes-like object of an object, and
 * `decode` makes an object of bytes; None stands for what does nothing.
 */
#include "errors.h"
#include "queue.h"

int
queue_set_codec(queue_object *self, PyObject *codec)
{
    if (codec == NULL || codec == Py_None) {
        return 0;
    }
    PyObject *encode = PyObject_GetAttrString(codec, "encode");
    PyObject *decode = encode != NULL ? PyObject_GetAttrString(codec, "decode") : NULL;
    if (decode == NULL) {
        Py_XDECREF(encode);
        return -1;
    }
    self->codec = Py_NewRef(codec);
    self->encode = encode;
    self->decode = decode;
    return 0;
}

int
queue_encode(queue_object *self, PyObject *obj, codec_item *item)
{
    if (self->encode == Py_None) {
        return codec_encode_bytes(obj, item);
    }
    PyObject *encoded = PyObject_CallOneArg(self->encode, obj);
    if (encoded == NULL) {
        return -1;
    }
    int result = codec_encode_bytes(encoded, item);
    Py_DECREF(encoded);
    return result;
}

PyObject *
queue_decode(queue_object *self, PyObject *bytes, PyObject *undecoded)
{
    if (self->decode == Py_None) {
        return bytes;
    }
    PyObject *obj = PyObject_CallOneArg(self->decode, bytes);
    if (obj == NULL) {
        PyObject *exception = error_take();
        if (PyList_Append(undecoded, bytes) < 0) {
            PyErr_WriteUnraisable(bytes);
        }
        error_restore(exception);
    }
    Py_DECREF(bytes);
    return obj;
}

PyObject *
queue_decoded(PyObject *objs, PyObject *undecoded, PyObject *failure)
{
    if (failure != NULL) {
        error_restore(failure);
        error_set_attribute("items", objs);
        if (PyList_GET_SIZE(undecoded) > 0) {
            error_set_attribute("undecoded", undecoded);
        }
        Py_CLEAR(objs);
    }
    Py_DECREF(undecoded);
    return objs;
}

PyObject *
queue_receive_encoded(queue_object *self, int64_t deadline)
{
    PyObject *undecoded = PyList_New(0);
    PyObject *bytes = undecoded != NULL ? queue_receive_bytes(self, deadline) : NULL;
    PyObject *obj = NULL;
    if (bytes != NULL) {
        obj = queue_decode(self, bytes, undecoded);
        if (obj == NULL) {
            error_set_attribute("undecoded", undecoded);
        }
    }
    Py_XDECREF(undecoded);
    return obj;
}
