"""Queues and their ends."""

from __future__ import annotations

import functools
import pickle
import queue
from contextlib import ExitStack, suppress
from typing import Any

import goprocessing
from goprocessing import _engine

from ..forks import exit_code, fork
from ..test_large_items import Array
from .table import CTX, Use, exercise, exercise_each, raising

QUEUES = "Queue", "JoinableQueue"

LARGE = b"x" * 100_000
LARGER = b"x" * 1_000_000


class Unpicklable:
    def __reduce__(self) -> Any:
        raise ZeroDivisionError


class Unloadable:
    def __reduce__(self) -> Any:
        return divmod, (1, 0)


def finish(q: Any) -> None:
    """Marks what was got: a JoinableQueue keeps it until then."""
    if isinstance(q, goprocessing.queues.JoinableQueue):
        with suppress(ValueError):
            while True:
                q.task_done()


@exercise_each(QUEUES, "", "close", "join_thread", "cancel_join_thread")
def make_and_close(make: Any, stack: ExitStack) -> Use:
    def use() -> None:
        q = make()
        q.put(1)
        q.close()
        q.join_thread()
        q.cancel_join_thread()
        raising(ValueError, q.put, 1)
        raising(ValueError, q.get)

    return use


@exercise_each(QUEUES, "")
def make_and_drop(make: Any, stack: ExitStack) -> Use:
    def use() -> None:
        q = make(3)
        q.put("dropped with it")
        q.put(LARGE)

    return use


@exercise_each(QUEUES, "")
def make_wrongly(make: Any, stack: ExitStack) -> Use:
    def use() -> None:
        raising(TypeError, make, "many")
        raising(TypeError, make, 1, 2, 3, 4, 5)
        raising(OverflowError, make, 1 << 100)

    return use


@exercise_each(QUEUES, "put", "get", "qsize", "empty", "full")
def put_and_get(make: Any, stack: ExitStack) -> Use:
    q = make(2)

    def use() -> None:
        q.put(1)
        q.put({"a": [1, 2.5, "text", b"bytes", None]}, timeout=1)
        assert (q.qsize(), q.empty(), q.full()) == (2, False, True)
        q.get()
        q.get(True, 1)
        finish(q)

    return use


@exercise_each(QUEUES, "put_nowait", "get_nowait")
def at_once(make: Any, stack: ExitStack) -> Use:
    q = make(1)

    def use() -> None:
        q.put_nowait(1)
        raising(queue.Full, q.put_nowait, 2)
        raising(queue.Full, q.put_many, [3], False)
        q.get_nowait()
        raising(queue.Empty, q.get_nowait)
        raising(queue.Empty, q.get_many, 1, False)
        finish(q)

    return use


@exercise_each(QUEUES, "put", "get", "put_many", "get_many")
def time_out(make: Any, stack: ExitStack) -> Use:
    q = make(1)

    def use() -> None:
        raising(queue.Empty, q.get, True, 0.0001)
        raising(queue.Empty, q.get_many, 2, True, 0.0001)
        q.put(1)
        raising(queue.Full, q.put, LARGE, True, 0.0001)
        raising(queue.Full, q.put_many, [1, 2], True, 0.0001)
        q.get()
        finish(q)

    return use


@exercise_each(QUEUES, "put_bytes", "get_bytes")
def bytes_as_they_are(make: Any, stack: ExitStack) -> Use:
    q = make(2)

    def use() -> None:
        for data in b"small", LARGE, memoryview(LARGER):
            q.put_bytes(data)
            assert len(q.get_bytes()) == len(data)
        q.put(Array(LARGE))
        q.get_bytes(timeout=1)
        q.put_bytes(b"no pickle")
        raising(pickle.UnpicklingError, q.get)
        raising(queue.Empty, q.get_bytes, False)
        raising(TypeError, q.put_bytes, "text")
        finish(q)

    return use


@exercise_each(QUEUES, "", "put", "get", "put_many", "get_many")
def other_codecs(make: Any, stack: ExitStack) -> Use:
    queues = [make(codec=codec) for codec in ("bytes", "json", "msgpack")]

    def use() -> None:
        for q, item in zip(queues, (LARGE, {"a": [1, None, "text"]}, [LARGE]), strict=True):
            q.put(item)
            q.put_many([item, item])
            raising(TypeError, q.put, Unpicklable())
            raising(TypeError, q.put_many, [item, Unpicklable()])
            assert q.get() == item
            while not q.empty():
                q.get_many()
            finish(q)
        for q in queues[1:]:
            q.put_bytes(b"\xc1")
            raising(ValueError, q.get)
            q.put_bytes(b"\xc1")
            raising(ValueError, q.get_many)
            finish(q)
        make(codec="json")
        raising(ValueError, functools.partial(make, codec="yaml"))

    return use


@exercise_each(QUEUES, "put", "get")
def large_items(make: Any, stack: ExitStack) -> Use:
    q = make()
    kept: list[Any] = []

    def use() -> None:
        for item in LARGE, Array(LARGE), [Array(LARGER), LARGER, "x" * 70_000]:
            q.put(item)
            kept.append(q.get())
        del kept[:-4]
        finish(q)

    stack.callback(kept.clear)
    return use


@exercise_each(QUEUES, "put", "get")
def many_waiting(make: Any, stack: ExitStack) -> Use:
    q = make()

    def use() -> None:
        for n in range(1000):
            q.put(n)
        while not q.empty():
            q.get()
        finish(q)

    return use


@exercise_each(QUEUES, "put_many", "get_many")
def many_at_once(make: Any, stack: ExitStack) -> Use:
    q = make()

    def use() -> None:
        q.put_many(range(50))
        q.put_many(item for item in (1, "two", LARGE, Array(LARGE)))
        q.put_many([])
        while not q.empty():
            q.get_many(7)
        q.put_many("abc")
        q.get_many()
        finish(q)

    return use


@exercise_each(QUEUES, "put", "get", "put_many", "get_many", "put_nowait")
def wrong_items(make: Any, stack: ExitStack) -> Use:
    q = make()

    def use() -> None:
        for item in Unpicklable(), [LARGE, Array(LARGE), Unpicklable()]:
            raising(ZeroDivisionError, q.put, item)
            raising(ZeroDivisionError, q.put_nowait, item)
            raising(ZeroDivisionError, q.put_many, [item])
        raising(ZeroDivisionError, q.put_many, (1 // n for n in (1, 0)))
        raising(TypeError, q.put_many, 1)
        while not q.empty():
            q.get()
        for item in Unloadable(), (Array(LARGE), Unloadable()):
            q.put(item)
            raising(ZeroDivisionError, q.get)
            q.put(item)
            raising(ZeroDivisionError, q.get_many)
        finish(q)

    return use


@exercise_each(QUEUES, "put", "get", "put_many", "get_many")
def wrong_arguments(make: Any, stack: ExitStack) -> Use:
    q = make()

    def use() -> None:
        raising(TypeError, q.put)
        raising(TypeError, q.put, 1, True, "soon")
        raising(TypeError, q.get, True, "soon")
        raising(TypeError, q.get_many, "all")
        raising(ValueError, q.get, True, float("nan"))

    return use


@exercise_each(QUEUES, "shutdown")
def shut_down(make: Any, stack: ExitStack) -> Use:
    def use() -> None:
        for immediate in False, True:
            q = make()
            q.put(1)
            q.shutdown(immediate)
            raising(goprocessing.ShutDown, q.put, 1)

    return use


@exercise("ShutDown")
def shut_down_while_watched(stack: ExitStack) -> Use:
    def use() -> None:
        q = CTX.Queue()
        q._reader.fileno()
        q.shutdown()
        raising(goprocessing.ShutDown, q.get)

    return use


@exercise("JoinableQueue.task_done", "JoinableQueue.join")
def join(stack: ExitStack) -> Use:
    q = CTX.JoinableQueue()

    def use() -> None:
        q.put(1)
        q.get()
        q.task_done()
        q.join()
        raising(ValueError, q.task_done)

    return use


@exercise("JoinableQueue", "JoinableQueue.abandoned")
def got_by_the_dead(stack: ExitStack) -> Use:
    q, again = CTX.JoinableQueue(), CTX.JoinableQueue(redeliver=True)

    def die() -> None:
        q.get()
        again.get()

    def use() -> None:
        for each in q, again:
            each.put(LARGE)
        assert exit_code(fork(die)) == 0
        assert q.abandoned() == [LARGE]
        assert again.get() == LARGE
        for each in q, again:
            each.task_done()
            each.join()

    return use


@exercise("Queue", "JoinableQueue")
def send_queues(stack: ExitStack) -> Use:
    q, sent = CTX.Queue(), (CTX.Queue(), CTX.JoinableQueue(), CTX.SimpleQueue())

    def use() -> None:
        q.put(sent)
        for each in q.get():
            each.put(1)
        for each in sent:
            each.get()

    return use


@exercise(
    "queue_ends.Reader",
    "Reader.closed",
    "Reader.fileno",
    "Reader.poll",
    "Reader.readable",
    "Reader.recv",
    "Reader.recv_bytes",
    "Reader.writable",
    "queue_ends.Writer",
    "Writer.closed",
    "Writer.readable",
    "Writer.send",
    "Writer.send_bytes",
    "Writer.writable",
    "_engine.loads",
)
def ends(stack: ExitStack) -> Use:
    q = CTX.Queue()

    def use() -> None:
        reader, writer = q._reader, q._writer
        assert (reader.closed, reader.readable, reader.writable) == (False, True, False)
        assert (writer.closed, writer.readable, writer.writable) == (False, False, True)
        assert reader.fileno() >= 0
        assert not reader.poll()
        assert not reader.poll(0.0001)
        writer.send(1)
        assert reader.poll(None)
        reader.recv()
        writer.send_bytes(pickle.dumps("two"))
        assert _engine.loads(reader.recv_bytes()) == "two"

    return use


@exercise("Reader.close", "Writer.close")
def close_ends(stack: ExitStack) -> Use:
    def use() -> None:
        q = CTX.Queue()
        q._reader.close()
        q._writer.close()
        raising(OSError, q._reader.recv)
        raising(OSError, q._writer.send, 1)

    return use


@exercise("SimpleQueue", "SimpleQueue.close")
def make_simple_queue(stack: ExitStack) -> Use:
    def use() -> None:
        q = CTX.SimpleQueue()
        q.put(1)
        q.close()
        raising(OSError, q.get)
        CTX.SimpleQueue()

    return use


@exercise("SimpleQueue.put", "SimpleQueue.get", "SimpleQueue.empty")
def simple_queue(stack: ExitStack) -> Use:
    q = CTX.SimpleQueue()

    def use() -> None:
        for item in 1, LARGE, Array(LARGE):
            q.put(item)
            assert not q.empty()
            q.get()
        raising(ZeroDivisionError, q.put, Unpicklable())
        q.put(Unloadable())
        raising(ZeroDivisionError, q.get)

    return use


def echo(to: Any, back: Any) -> None:
    while (item := to.get()) is not None:
        back.put(item)


@exercise("Queue.put", "Queue.get")
def wait_for_another_process(stack: ExitStack) -> Use:
    to, back = CTX.Queue(1), CTX.Queue(1)
    process = CTX.Process(target=echo, args=(to, back))
    process.start()

    def use() -> None:
        for item in 1, Array(LARGE):
            to.put(item)
            back.get()

    def end() -> None:
        to.put(None)
        process.join()
        process.close()

    stack.callback(end)
    return use
