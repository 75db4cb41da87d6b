"""Objects with names."""

from __future__ import annotations

import functools
import os
import threading
from contextlib import ExitStack

from goprocessing import _engine, named

from .table import CTX, Use, exercise, raising

NAME = f"test-leaks-{os.getpid()}"
FEW = 4
"""Each leaves some bytes to the engine's collector, which waits until they are many."""


@exercise(
    "named.names",
    "named.open_barrier",
    "named.open_bounded_semaphore",
    "named.open_condition",
    "named.open_event",
    "named.open_joinable_queue",
    "named.open_lock",
    "named.open_queue",
    "named.open_rlock",
    "named.open_semaphore",
    "named.unlink",
    "_engine.names",
    "_engine.open_queue",
    "_engine.open_slot",
    "_engine.unlink",
    "_engine.unlink_file",
    most=FEW,
)
def open_and_unlink(stack: ExitStack) -> Use:
    lock = CTX.Lock()
    makers = {
        f"{NAME}-{number}": functools.partial(make, f"{NAME}-{number}", *args, **kwargs)
        for number, (make, args, kwargs) in enumerate(
            (
                (named.open_barrier, (2,), {}),
                (named.open_bounded_semaphore, (), {}),
                (named.open_bounded_semaphore, (), {"robust": True}),
                (named.open_condition, (lock,), {}),
                (named.open_event, (), {}),
                (named.open_joinable_queue, (), {"codec": "json"}),
                (named.open_lock, (), {}),
                (named.open_lock, (), {"robust": True}),
                (named.open_queue, (3,), {}),
                (named.open_rlock, (), {}),
                (named.open_semaphore, (), {}),
            )
        )
    }
    for name, make in makers.items():
        make(create=True)
        stack.callback(named.unlink, name)

    def use() -> None:
        named.open_queue(NAME, create=True)
        named.unlink(NAME)
        raising(FileNotFoundError, _engine.unlink, NAME)
        event = named.open_event(NAME, create=True)
        _engine.unlink_file(event._handle()[0])
        _engine.unlink_file(event._handle()[0])
        raising(ValueError, _engine.unlink_file, -1)
        assert {*makers} <= {*named.names()}
        for name, make in makers.items():
            first, second = make(create=False), make()
            del first, second
            raising(FileExistsError, functools.partial(make, create=True))
            raising(OSError, functools.partial(named.open_rlock, name, robust=True))

    return use


@exercise("named.open_pipe", "_engine.open_pipe", most=FEW)
def open_pipes(stack: ExitStack) -> Use:
    def use() -> None:
        other = threading.Thread(target=lambda: named.open_pipe(NAME).close())
        other.start()
        named.open_pipe(NAME).close()
        other.join()
        raising(TimeoutError, functools.partial(named.open_pipe, NAME, timeout=0.0001))

    return use


@exercise("named.open_queue", "named.open_semaphore", most=FEW)
def open_wrongly(stack: ExitStack) -> Use:
    q = named.open_queue(NAME, create=True)
    stack.callback(named.unlink, NAME)

    def use() -> None:
        raising(OSError, named.open_event, NAME)
        raising(OSError, named.open_joinable_queue, NAME)
        raising(ValueError, named.open_semaphore, NAME, -1)
        raising(ValueError, named.open_queue, "a/b")
        raising(TypeError, named.open_queue, 1)
        raising(TypeError, named.open_queue, NAME, "many")
        raising(OSError, named.open_queue, "x" * 300)
        assert q.empty()

    return use
