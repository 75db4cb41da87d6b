"""The two ends of a queue as connections.

Programs use them of the standard library's queues, although they are private:
to wait for several queues and processes at once (`connection.wait`), for an event
loop (`add_reader`), or to wrap them in something of their own.
"""

from __future__ import annotations

import weakref

from . import _engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

    from _typeshed import ReadableBuffer

__all__: tuple[str, ...] = ()


class _QueueEnd:
    """What both ends have in common: a view without state of its own."""

    __slots__ = ("__weakref__", "_queue")

    readable: ClassVar[bool] = False
    writable: ClassVar[bool] = False

    def __init__(self, queue: _engine.Queue[Any]) -> None:
        self._queue = queue

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._queue is self._queue

    def __hash__(self) -> int:
        return hash((type(self), id(self._queue)))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._queue,)

    @property
    def closed(self) -> bool:
        """True if the end is closed"""
        raise NotImplementedError

    def _open(self) -> _engine.Queue[Any]:
        if self.closed:
            raise OSError("handle is closed")
        return self._queue


class Reader(_QueueEnd):
    """The end that `get` takes items from"""

    __slots__ = ()

    readable = True

    @property
    def closed(self) -> bool:
        """True if the end is closed"""
        return not self._queue._readable

    def close(self) -> None:
        """Refuses `get` from now on, in this process"""
        self._queue._close_reader()

    def fileno(self) -> int:
        """Returns a descriptor that is readable as long as `get` would not wait

        But what returns to a queue that redelivers is heard of only when some process
        looks: one that waits in `get`, `join`, `poll` or `connection.wait`, or calls
        `poll` now and then.
        """
        return self._open()._watch()

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Returns whether `get` would not wait, after waiting for that"""
        return self._open()._poll(timeout)

    # Not by way of the queue's methods: a subclass may have defined those by these.

    def recv(self) -> Any:
        """Gets an item"""
        return _engine.Queue.get(self._open())

    def recv_bytes(self) -> bytes:
        """Gets an item as its pickle, or what else the queue's codec has made of it"""
        return _engine.Queue.get_bytes(self._open())


class Writer(_QueueEnd):
    """The end that `put` adds items at"""

    __slots__ = ()

    writable = True

    @property
    def closed(self) -> bool:
        """True if the end is closed"""
        return not self._queue._writable

    def close(self) -> None:
        """Refuses `put` from now on, in this process"""
        self._queue._close_writer()

    def send(self, obj: Any) -> None:
        """Puts an item"""
        _engine.Queue.put(self._open(), obj)

    def send_bytes(self, buf: ReadableBuffer) -> None:
        """Puts an item that was pickled already, or what else the queue's codec does"""
        _engine.Queue.put_bytes(self._open(), buf)


class End:
    """An attribute of a queue: one of its ends.

    It is the same object as long as somebody has it. The queue does not, or it
    could only be freed by the garbage collector. An instance may have an attribute
    of its own instead.
    """

    def __init__(self, cls: type[_QueueEnd]) -> None:
        self._cls = cls
        self._ends: weakref.WeakKeyDictionary[Any, weakref.ref[_QueueEnd]] = (
            weakref.WeakKeyDictionary()
        )

    def __get__(self, queue: _engine.Queue[Any] | None, owner: type) -> Any:
        if queue is None:
            return self
        known = self._ends.get(queue)
        end = None if known is None else known()
        if end is None:
            end = self._cls(queue)
            self._ends[queue] = weakref.ref(end)
        return end
