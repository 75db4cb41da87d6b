"""Locks, semaphores, events, conditions and barriers between processes."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import synchronize
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING, Any

from . import _engine
from .reduction import dup_shared_fd, receive_fd

if TYPE_CHECKING:
    from typing import TypeAlias

    from .reduction import PickledFd

    _Shared: TypeAlias = _engine.Semaphore | _engine.Event | _engine.Condition | _engine.Barrier

__all__ = ["BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(synchronize, name)


def _rebuild(cls: type[_Shared], pickled: PickledFd, offset: int, *parts: Any) -> _Shared:
    return cls._attach(receive_fd(pickled), offset, *parts)


def _reduce(obj: _Shared, *parts: Any) -> tuple[Any, ...]:
    fd, offset = obj._handle()
    return _rebuild, (type(obj), dup_shared_fd(fd), offset, *parts), obj.__dict__ or None


class _Semaphore(_engine.Semaphore):
    def __reduce__(self) -> tuple[Any, ...]:
        return _reduce(self)


class Semaphore(_Semaphore, synchronize.Semaphore):
    """A counter that `acquire` takes from, waiting while it is 0, and `release` adds to"""

    def __init__(self, value: int = 1, *, ctx: BaseContext | None = None) -> None:
        _engine.Semaphore.__init__(self, value)


class BoundedSemaphore(Semaphore, synchronize.BoundedSemaphore):
    """A semaphore that must not be released above its first value"""

    def __init__(self, value: int = 1, *, ctx: BaseContext | None = None) -> None:
        _engine.Semaphore.__init__(self, value, value)


class Lock(_Semaphore, synchronize.Lock):
    """A non-recursive lock, which any thread of any process may release"""

    def __init__(self, *, ctx: BaseContext | None = None) -> None:
        _engine.Semaphore.__init__(self, 1, 1)


class RLock(_engine.RLock, synchronize.RLock):
    """A lock that the thread which has it may acquire again"""

    def __init__(self, *, ctx: BaseContext | None = None) -> None:
        _engine.RLock.__init__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reduce(self)


class Event(_engine.Event, synchronize.Event):
    """A flag to wait for"""

    def __init__(self, *, ctx: BaseContext | None = None) -> None:
        _engine.Event.__init__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reduce(self)

    def __repr__(self) -> str:
        state = "set" if self.is_set() else "unset"
        return f"<{type(self).__qualname__} at {id(self):#x} {state}>"


class _Count:
    """A number where the standard library's `Condition` has a semaphore."""

    def __init__(self, value: int) -> None:
        self._value = value

    def get_value(self) -> int:
        return self._value


class Condition(_engine.Condition, synchronize.Condition):
    """A condition variable, with a lock of its own if none is given"""

    def __init__(self, lock: Any = None, *, ctx: BaseContext | None = None) -> None:
        _engine.Condition.__init__(self, lock or RLock(ctx=ctx))

    def __reduce__(self) -> tuple[Any, ...]:
        return _reduce(self, self._lock)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self._lock}, {self._waiting()})>"

    @property
    def _sleeping_count(self) -> _Count:
        return _Count(self._waiting())

    @property
    def _woken_count(self) -> _Count:
        return _Count(0)

    @property
    def _wait_semaphore(self) -> _Count:
        return _Count(0)


class Barrier(_engine.Barrier, synchronize.Barrier):
    """A point where a number of parties wait for each other"""

    def __init__(
        self,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
        *,
        ctx: BaseContext | None = None,
    ) -> None:
        _engine.Barrier.__init__(self, parties, action, timeout)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reduce(self, self._action, self._timeout)
