"""Locks, semaphores, events, conditions and barriers between processes."""

from __future__ import annotations

from multiprocessing import synchronize

from . import _engine
from ._engine import OwnerDied as OwnerDied
from .reduction import dup_shared_fd, received

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.context import BaseContext
    from typing import Any

    from .reduction import PickledFd

__all__ = ["BoundedSemaphore", "Condition", "Event", "Lock", "OwnerDied", "RLock", "Semaphore"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(synchronize, name)


def _rebuild(cls: Any, pickled: PickledFd, offset: int, *parts: Any) -> Any:
    with received(pickled) as (fd,):
        return cls._attach(fd, offset, *parts)


class _InSlot:
    """What is in a slot of shared memory, and pickled by its place there."""

    def __reduce__(self: Any) -> tuple[Any, ...]:
        fd, offset = self._handle()
        args = (type(self), dup_shared_fd(fd), offset, *self._parts())
        return _rebuild, args, self.__getstate__()

    def _parts(self) -> tuple[Any, ...]:
        """What `_attach` takes besides."""
        return ()

    # The attributes that a subclass added.
    def __getstate__(self) -> Any:
        return self.__dict__.copy()

    def __setstate__(self, state: Any) -> None:
        self.__dict__.update(state)


class Semaphore(_engine.Semaphore, _InSlot, synchronize.Semaphore):
    """A counter that `acquire` takes from, waiting while it is 0, and `release` adds to"""

    def __init__(self, value: int = 1, *, ctx: BaseContext | None = None) -> None:
        _engine.Semaphore.__init__(self, value)


class BoundedSemaphore(Semaphore, synchronize.BoundedSemaphore):
    """A semaphore that must not be released above its first value"""

    def __init__(self, value: int = 1, *, ctx: BaseContext | None = None) -> None:
        _engine.Semaphore.__init__(self, value, value)


class Lock(_engine.Semaphore, _InSlot, synchronize.Lock):
    """A non-recursive lock, which any thread of any process may release"""

    def __init__(self, *, ctx: BaseContext | None = None) -> None:
        _engine.Semaphore.__init__(self, 1, 1)


class RLock(_engine.RLock, _InSlot, synchronize.RLock):
    """A lock that the thread which has it may acquire again"""

    def __init__(self, *, ctx: BaseContext | None = None) -> None:
        _engine.RLock.__init__(self)


class RobustLock(_engine.RobustLock, Lock):
    """A lock that outlives the process that has it, which alone may release it

    When that process dies, the next `acquire` takes the lock and raises `OwnerDied`:
    the caller repairs what the lock guards, and goes on until `release`. A `with`
    statement that raises it leaves the lock free, and the next is told again.
    """

    def __init__(self, *, ctx: BaseContext | None = None) -> None:
        _engine.RobustLock.__init__(self)


class _InheritedLock(_engine.InheritedLock, RobustLock):
    """A robust lock for what a process that dies leaves in order: nobody is told"""


class RobustRLock(_engine.RobustRLock, RLock):
    """A robust lock that the thread which has it may acquire again"""

    def __init__(self, *, ctx: BaseContext | None = None) -> None:
        _engine.RobustRLock.__init__(self)


class RobustSemaphore(_engine.RobustSemaphore, Semaphore):
    """A semaphore whose permits come back when a process dies that has some

    Only a process that has acquired it may release it. Of each permit that comes back,
    one `acquire` tells by `OwnerDied`, as that of a robust lock does.
    """

    def __init__(self, value: int = 1, *, ctx: BaseContext | None = None) -> None:
        _engine.RobustSemaphore.__init__(self, value)


class RobustBoundedSemaphore(RobustSemaphore, BoundedSemaphore):
    """A robust semaphore, which never can be released above its first value"""


class Event(_engine.Event, _InSlot, synchronize.Event):
    """A flag to wait for"""

    def __init__(self, *, ctx: BaseContext | None = None) -> None:
        _engine.Event.__init__(self)

    def __repr__(self) -> str:
        state = "set" if self.is_set() else "unset"
        return f"<{type(self).__qualname__} at {id(self):#x} {state}>"


class _Count:
    """A number where the standard library's `Condition` has a semaphore."""

    def __init__(self, value: int) -> None:
        self._value = value

    def get_value(self) -> int:
        return self._value


class Condition(_engine.Condition, _InSlot, synchronize.Condition):
    """A condition variable, with a lock of its own if none is given"""

    def __init__(self, lock: Any = None, *, ctx: BaseContext | None = None) -> None:
        lock = lock or RLock(ctx=ctx)
        # AttributeErrors now rather than later.
        _ = lock.acquire, lock.release
        _engine.Condition.__init__(self, lock)

    def _parts(self) -> tuple[Any, ...]:
        return (self._lock,)

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


class Barrier(_engine.Barrier, _InSlot, synchronize.Barrier):
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

    def _parts(self) -> tuple[Any, ...]:
        return self._action, self._timeout
