"""Connections between processes."""

from __future__ import annotations

import time
from multiprocessing import connection
from multiprocessing.connection import Client as Client
from multiprocessing.connection import Connection as Connection
from multiprocessing.connection import Listener as Listener
from multiprocessing.connection import wait as _wait

from . import _engine
from .queue_ends import Reader
from .reduction import dup_fds, received

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable
    from typing import Any

    from .reduction import PickledFd

    _Waitable = connection._ConnectionBase[Any, Any] | Reader | socket.socket | int

__all__ = ["Client", "Listener", "Pipe", "wait"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(connection, name)


def _rebuild(
    cls: type[_engine.Connection], pickled: PickledFd, side: int, modes: int
) -> _engine.Connection:
    with received(pickled) as (memory, sock):
        return cls._attach(memory, sock, side, modes)


class PipeEnd(_engine.Connection, Connection):
    """One end of a pipe"""

    def __reduce__(self) -> tuple[Any, ...]:
        memory, sock, side, modes = self._descriptors()
        pickled = dup_fds(memory, sock)
        return _rebuild, (type(self), pickled, side, modes), self.__dict__ or None

    # What the standard library's __del__ calls. Bound here, because modules may
    # be empty by then.
    _close = _engine.Connection.close


def Pipe(duplex: bool = True) -> tuple[PipeEnd, PipeEnd]:
    """Returns two connected connections; unless duplex, the first only receives"""
    return _engine.pipe(PipeEnd, duplex)


_LOOK = 1.0  # seconds


def _wait_and_look(objects: list[Any], timeout: float | None) -> list[Any]:
    """Waits, and looks whether items return to the queues among the objects

    The kernel says nothing when somebody dies who had taken an item.
    """
    looks = [
        obj.poll
        for obj in objects
        if isinstance(obj, Reader) and isinstance(obj._queue, _engine.JoinableQueue)
    ]
    if not looks:
        return _wait(objects, timeout)
    deadline = float("inf") if timeout is None else time.monotonic() + timeout
    while True:
        left = deadline - time.monotonic()
        ready = _wait(objects, max(0.0, min(left, _LOOK)))
        if ready or left <= _LOOK:
            return ready
        for look in looks:
            look()


def wait(object_list: Iterable[_Waitable], timeout: float | None = None) -> list[_Waitable]:
    """Returns those of the objects that are readable, waiting for the first of them"""
    objects: list[Any] = list(object_list)
    # A message can wait although the kernel does not say so: see core/handle.go.
    waiting = [
        obj
        for obj in objects
        if isinstance(obj, _engine.Connection) and not obj.closed and obj.readable and obj.poll()
    ]
    if not waiting:
        return _wait_and_look(objects, timeout)
    ready = {id(obj) for obj in [*waiting, *_wait(objects, 0)]}
    return [obj for obj in objects if id(obj) in ready]
