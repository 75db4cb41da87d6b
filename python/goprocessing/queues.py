"""Queues between processes.

`put` has done its work when it returns: no thread feeds the queue afterwards,
so there is nothing to join, and nothing is lost when the process exits.
"""

from __future__ import annotations

import types
from multiprocessing import queues

from . import _engine
from ._engine import ShutDown as ShutDown
from .queue_ends import End, Reader, Writer
from .reduction import dup_fds, received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from typing import Any, TypeVar

    from ._codecs import Codec, CodecName
    from .connection import PipeEnd
    from .reduction import PickledFd
    from .synchronize import Lock

    _T = TypeVar("_T")
else:
    _T = None

__all__ = ["JoinableQueue", "Queue", "ShutDown", "SimpleQueue"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(queues, name)


def _codec(name: CodecName | None) -> Codec | None:
    if name is None:
        return None
    from ._codecs import find

    return find(name)


def _rebuild(
    cls: type[_engine.Queue[Any]], pickled: PickledFd, codec: Codec | None
) -> _engine.Queue[Any]:
    with received(pickled) as (memory, *bell):
        return cls._attach(memory, bell[0] if bell else -1, codec)


# Programs ask isinstance(q, multiprocessing.queues.Queue). That class cannot be
# subscripted at run time before 3.12.
if TYPE_CHECKING:

    class _Queue(_engine.Queue[_T], queues.Queue[_T]): ...

else:

    class _Queue(_engine.Queue, queues.Queue):
        __class_getitem__ = classmethod(types.GenericAlias)


class Queue(_Queue[_T]):
    """A first in, first out queue of pickled objects; unbounded if maxsize <= 0

    `codec` says what the objects are in the queue instead: "bytes" takes bytes-like
    objects as they are and returns bytes; "json" and "msgpack" encode them so that
    programs in other languages can read them. It belongs to the object: the same
    for all who use the queue is for the program to see to.
    """

    if TYPE_CHECKING:
        _reader: Reader
        _writer: Writer
    else:
        _reader = End(Reader)
        _writer = End(Writer)

    def __init__(
        self,
        maxsize: int = 0,
        *,
        codec: CodecName | None = None,
        ctx: BaseContext | None = None,
    ) -> None:
        _engine.Queue.__init__(self, maxsize, codec=_codec(codec))

    def __reduce__(self) -> tuple[Any, ...]:
        fds = [fd for fd in (self._fileno(), self._bell) if fd >= 0]
        return _rebuild, (type(self), dup_fds(*fds), self._codec), self.__getstate__()

    # The attributes that a subclass added. A subclass that was written for the
    # standard library's queue nests this state in its own.
    def __getstate__(self) -> Any:
        return self.__dict__.copy()

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state)

    def join_thread(self) -> None:
        """Returns at once: there is no thread to join"""
        assert self._closed, f"Queue {self!r} not closed"

    def cancel_join_thread(self) -> None:
        """Does nothing: there is no thread to join"""

    def _terminate_broken(self) -> None:
        self.close()


if TYPE_CHECKING:

    class _JoinableQueue(_engine.JoinableQueue[_T], Queue[_T], queues.JoinableQueue[_T]): ...

else:

    class _JoinableQueue(_engine.JoinableQueue, Queue, queues.JoinableQueue):
        pass


class JoinableQueue(_JoinableQueue[_T]):
    """A queue whose `join` waits until every item put was marked by `task_done`

    The queue keeps what was got until it is marked, unless that is more than some
    64 MiB and `redeliver` is false. If the process that got it dies before, it returns
    to the front of the queue when `redeliver` is true; else `abandoned` returns it.
    """

    def __init__(
        self,
        maxsize: int = 0,
        *,
        redeliver: bool = False,
        codec: CodecName | None = None,
        ctx: BaseContext | None = None,
    ) -> None:
        _engine.JoinableQueue.__init__(self, maxsize, redeliver=redeliver, codec=_codec(codec))


class SimpleQueue(queues.SimpleQueue[_T]):
    """A pipe that any number of processes put into and get from"""

    def __init__(self, *, ctx: BaseContext | None = None) -> None:
        from .connection import Pipe
        from .synchronize import Lock, _InheritedLock

        self._reader, self._writer = Pipe(duplex=False)
        # A process that is killed while it waits in get() has the lock; and a message
        # is received whole, or not at all.
        self._rlock = _InheritedLock()
        # put() needs none: a message is sent whole.
        self._wlock = Lock()
        self._poll = self._reader.poll

    def __getstate__(self) -> tuple[PipeEnd, PipeEnd, Lock, Lock]:  # type: ignore[override]
        return self._reader, self._writer, self._rlock, self._wlock

    def put(self, obj: _T) -> None:
        self._writer.send(obj)

    def get(self) -> _T:
        # `Pool` takes the lock to have what is in the queue for itself.
        with self._rlock:
            parts = self._reader._recv_parts()
        item: _T = _engine.loads(*parts)
        return item
