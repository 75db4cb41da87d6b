"""Connections."""

from __future__ import annotations

import os
from contextlib import ExitStack

import goprocessing
from goprocessing import _engine, connection, reduction

from .queues import LARGE, LARGER, Array, Unloadable, Unpicklable
from .table import CTX, Use, exercise, raising


@exercise("Pipe", "connection.PipeEnd", "_engine.pipe", "PipeEnd.close", "PipeEnd.closed")
def make_pipes(stack: ExitStack) -> Use:
    def use() -> None:
        a, b = CTX.Pipe()
        a.send(1)
        a.close()
        assert a.closed
        assert b.recv() == 1
        raising(EOFError, b.recv)
        raising(OSError, a.send, 1)
        with b:
            pass
        raising(OSError, b.recv)
        a, b = CTX.Pipe(False)
        a.close()
        raising(OSError, b.send, 1)
        b.send_bytes  # noqa: B018
        _engine.pipe(connection.PipeEnd, True)
        raising(TypeError, CTX.Pipe, 1, 2)

    return use


@exercise(
    "PipeEnd.fileno",
    "PipeEnd.poll",
    "PipeEnd.readable",
    "PipeEnd.writable",
    "PipeEnd.recv",
    "PipeEnd.send",
)
def messages(stack: ExitStack) -> Use:
    a, b = CTX.Pipe()

    def use() -> None:
        for item in 1, "two", LARGE, LARGER, Array(LARGE):
            a.send(item)
            assert b.poll()
            b.recv()
        assert not b.poll(0.0001)
        assert (b.readable, b.writable) == (True, True)
        assert b.fileno() >= 0
        raising(TypeError, b.poll, "soon")

    return use


@exercise("PipeEnd.recv", "PipeEnd.send")
def wrong_messages(stack: ExitStack) -> Use:
    b, a = CTX.Pipe(False)

    def use() -> None:
        raising(ZeroDivisionError, a.send, [LARGE, Array(LARGE), Unpicklable()])
        a.send((Array(LARGE), Unloadable()))
        raising(ZeroDivisionError, b.recv)
        raising(OSError, b.send, 1)
        raising(OSError, a.recv)

    return use


@exercise("PipeEnd.recv_bytes", "PipeEnd.recv_bytes_into", "PipeEnd.send_bytes", "BufferTooShort")
def bytes_and_buffers(stack: ExitStack) -> Use:
    a, b = CTX.Pipe()
    buffer = bytearray(len(LARGER))

    def use() -> None:
        for data in b"few", LARGE, LARGER:
            a.send_bytes(data)
            b.recv_bytes()
            a.send_bytes(data, 1, 2)
            assert b.recv_bytes_into(buffer, 1) == 2
            a.send_bytes(data)
            raising(goprocessing.BufferTooShort, b.recv_bytes_into, bytearray(1))
        raising(ValueError, a.send_bytes, b"few", 4)
        raising(TypeError, a.send_bytes, "text")
        raising(TypeError, b.recv_bytes_into, b"constant")

    return use


@exercise("PipeEnd.recv_bytes")
def bytes_that_are_too_long(stack: ExitStack) -> Use:
    def use() -> None:
        a, b = CTX.Pipe()
        a.send_bytes(LARGE)
        raising(OSError, b.recv_bytes, 10)

    return use


@exercise("connection.wait")
def wait(stack: ExitStack) -> Use:
    a, b = CTX.Pipe()
    q = CTX.Queue()

    def use() -> None:
        assert connection.wait([b, q._reader], 0.0001) == []
        q.put(1)
        assert connection.wait([b, q._reader]) == [q._reader]
        a.send(1)
        assert connection.wait([b, q._reader], 1) == [b, q._reader]
        b.recv()
        q.get()

    return use


@exercise("Pipe")
def send_pipes(stack: ExitStack) -> Use:
    q, (a, b) = CTX.Queue(), CTX.Pipe()

    def use() -> None:
        q.put((a, b))
        for end in q.get():
            end.send("whole")
        a.recv()
        b.recv()

    return use


@exercise("reduction.send_handle", "reduction.recv_handle")
def handles(stack: ExitStack) -> Use:
    a, b = CTX.Pipe()

    def use() -> None:
        reduction.send_handle(a, 1, os.getpid())
        os.close(reduction.recv_handle(b))

    return use


@exercise("connection.Listener", "connection.Client")
def listener(stack: ExitStack) -> Use:
    def use() -> None:
        with (
            connection.Listener() as listener,
            connection.Client(listener.address) as client,
            listener.accept() as server,
        ):
            client.send(1)
            server.recv()

    return use
