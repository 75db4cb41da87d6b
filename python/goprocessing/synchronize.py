"""Locks, semaphores and events between processes."""

from __future__ import annotations

from multiprocessing import synchronize
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Barrier as Barrier
from multiprocessing.synchronize import Condition as Condition
from multiprocessing.synchronize import RLock as RLock
from typing import TYPE_CHECKING, Any

from . import _engine
from .reduction import dup_shared_fd, receive_fd

if TYPE_CHECKING:
    from .reduction import PickledFd

__all__ = ["BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(synchronize, name)


def _rebuild(
    cls: type[_engine.Semaphore | _engine.Event], pickled: PickledFd, offset: int
) -> _engine.Semaphore | _engine.Event:
    return cls._attach(receive_fd(pickled), offset)


def _reduce(obj: _engine.Semaphore | _engine.Event) -> tuple[Any, ...]:
    fd, offset = obj._handle()
    return _rebuild, (type(obj), dup_shared_fd(fd), offset), obj.__dict__ or None


class _Semaphore(_engine.Semaphore):
    """What the standard library's `Condition` and reprs ask of a lock's `_semlock`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _reduce(self)

    @property
    def _semlock(self) -> _Semaphore:
        return self

    @property
    def maxvalue(self) -> int:
        return self._max

    def _get_value(self) -> int:
        return self.get_value()

    # Of a semaphore that any thread or process may release, "mine" can only
    # mean that it is taken.
    def _is_mine(self) -> bool:
        return self._is_zero()

    def _count(self) -> int:
        return int(self._is_zero())


class Semaphore(_Semaphore, synchronize.Semaphore):
    """A counter that `acquire` takes from, waiting while it is 0, and `release` adds to"""

    def __init__(self, value: int = 1, *, ctx: BaseContext | None = None) -> None:
        _engine.Semaphore.__init__(self, value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(value={self.get_value()})>"


class BoundedSemaphore(Semaphore, synchronize.BoundedSemaphore):
    """A semaphore that must not be released above its first value"""

    def __init__(self, value: int = 1, *, ctx: BaseContext | None = None) -> None:
        _engine.Semaphore.__init__(self, value, value)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(value={self.get_value()}, maxvalue={self._max})>"


class Lock(_Semaphore, synchronize.Lock):
    """A non-recursive lock, which any thread of any process may release"""

    def __init__(self, *, ctx: BaseContext | None = None) -> None:
        _engine.Semaphore.__init__(self, 1, 1)

    def __repr__(self) -> str:
        owner = "None" if self.get_value() else "unknown"
        return f"<{type(self).__name__}(owner={owner})>"


class Event(_engine.Event, synchronize.Event):
    """A flag to wait for"""

    def __init__(self, *, ctx: BaseContext | None = None) -> None:
        _engine.Event.__init__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reduce(self)

    def __repr__(self) -> str:
        state = "set" if self.is_set() else "unset"
        return f"<{type(self).__qualname__} at {id(self):#x} {state}>"
