"""Objects with names, by which unrelated processes find them: in Python, Go or C.

A name is any file name of up to some 230 bytes. The objects of a user are files in
/dev/shm that only this user can open. `create` says what `open_queue` and its kin do:
True: make the object, FileExistsError if there is one of that name; False: open it,
FileNotFoundError if there is none; None: one or the other, so that of any number of
processes that come at once one makes it, and what it is to be like is ignored by the
others. Nobody finds an object before it is complete.

An object lives until `unlink` has taken its name away and nobody uses it any more. With
`create=True` and `unlink_at_exit=True` the process that makes it takes the name away as
it exits, unless it is killed. An object can be passed to other processes like those
without a name.
"""

from __future__ import annotations

import errno
import os

from . import _engine, util
from ._codecs import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._codecs import CodecName
    from .connection import PipeEnd
    from .queues import JoinableQueue, Queue
    from .synchronize import Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore

__all__ = [
    "names",
    "open_barrier",
    "open_bounded_semaphore",
    "open_condition",
    "open_event",
    "open_joinable_queue",
    "open_lock",
    "open_pipe",
    "open_queue",
    "open_rlock",
    "open_semaphore",
    "unlink",
]


def _mode(create: bool | None, unlink_at_exit: bool) -> int:
    if unlink_at_exit and not create:
        raise ValueError("only who makes an object, with create=True, may unlink it at exit")
    if create is None:
        return _engine.GOP_OPEN_OR_CREATE
    return _engine.GOP_CREATE if create else _engine.GOP_OPEN


def _unlink_at_exit(fd: int) -> None:
    # After the finalizers that end child processes, which may be about to open it.
    util.Finalize(None, _unlink_and_close, args=(os.dup(fd),), exitpriority=-1)


def _unlink_and_close(fd: int) -> None:
    try:
        _engine.unlink_file(fd)
    finally:
        os.close(fd)


def _check(name: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a name must be a str, not {type(name).__name__}")
    if not name or name in (".", "..") or "/" in name:
        raise ValueError(f"a name must be a file name, not {name!r}")


def _queue(
    cls: Any,
    name: str,
    create: bool | None,
    unlink_at_exit: bool,
    codec: CodecName | None,
    maxsize: int,
    *sort: bool,
) -> Any:
    found = None if codec is None else find(codec)
    _check(name)
    mode = _mode(create, unlink_at_exit)
    queue = _engine.open_queue(cls, (found,), name, mode, maxsize, *sort)
    if unlink_at_exit:
        _unlink_at_exit(queue._fileno())
    return queue


def _in_slot(
    cls: Any,
    name: str,
    create: bool | None,
    unlink_at_exit: bool,
    kind: int,
    value: int = 0,
    limit: int = 0,
    parts: tuple[Any, ...] = (),
) -> Any:
    _check(name)
    mode = _mode(create, unlink_at_exit)
    thing = _engine.open_slot(cls, parts, name, mode, kind, value, limit)
    if unlink_at_exit:
        _unlink_at_exit(thing._handle()[0])
    return thing


def open_queue(
    name: str,
    maxsize: int = 0,
    *,
    create: bool | None = None,
    unlink_at_exit: bool = False,
    codec: CodecName | None = None,
) -> Queue[Any]:
    """Returns the queue of that name; a JoinableQueue will do"""
    from .queues import Queue

    queue: Queue[Any] = _queue(Queue, name, create, unlink_at_exit, codec, maxsize)
    return queue


def open_joinable_queue(
    name: str,
    maxsize: int = 0,
    *,
    redeliver: bool = False,
    create: bool | None = None,
    unlink_at_exit: bool = False,
    codec: CodecName | None = None,
) -> JoinableQueue[Any]:
    """Returns the queue of that name that counts unfinished tasks"""
    from .queues import JoinableQueue

    queue: JoinableQueue[Any] = _queue(
        JoinableQueue, name, create, unlink_at_exit, codec, maxsize, True, redeliver
    )
    return queue


def open_lock(
    name: str, *, robust: bool = False, create: bool | None = None, unlink_at_exit: bool = False
) -> Lock:
    """Returns the non-recursive lock of that name"""
    from .synchronize import Lock, RobustLock

    if robust:
        robust_lock: RobustLock = _in_slot(
            RobustLock, name, create, unlink_at_exit, _engine.GOP_SLOT_ROBUST_LOCK
        )
        return robust_lock
    lock: Lock = _in_slot(Lock, name, create, unlink_at_exit, _engine.GOP_SLOT_SEMAPHORE, 1, 1)
    if lock.maxvalue != 1:
        raise OSError(errno.EINVAL, "the name of a semaphore, not of a lock", name)
    return lock


def open_rlock(
    name: str, *, robust: bool = False, create: bool | None = None, unlink_at_exit: bool = False
) -> RLock:
    """Returns the recursive lock of that name"""
    from .synchronize import RLock, RobustRLock

    cls = RobustRLock if robust else RLock
    kind = _engine.GOP_SLOT_ROBUST_RLOCK if robust else _engine.GOP_SLOT_RLOCK
    lock: RLock = _in_slot(cls, name, create, unlink_at_exit, kind)
    return lock


def open_semaphore(
    name: str,
    value: int = 1,
    *,
    robust: bool = False,
    create: bool | None = None,
    unlink_at_exit: bool = False,
) -> Semaphore:
    """Returns the semaphore of that name"""
    from .synchronize import RobustSemaphore, Semaphore

    semaphore: Semaphore
    if robust:
        kind = _engine.GOP_SLOT_ROBUST_SEMAPHORE
        semaphore = _in_slot(RobustSemaphore, name, create, unlink_at_exit, kind, 0, value)
    else:
        kind, limit = _engine.GOP_SLOT_SEMAPHORE, _engine.GOP_SEM_MAX
        semaphore = _in_slot(Semaphore, name, create, unlink_at_exit, kind, value, limit)
    return semaphore


def open_bounded_semaphore(
    name: str,
    value: int = 1,
    *,
    robust: bool = False,
    create: bool | None = None,
    unlink_at_exit: bool = False,
) -> BoundedSemaphore:
    """Returns the semaphore of that name, which must not be released above its first value"""
    from .synchronize import BoundedSemaphore, RobustBoundedSemaphore

    semaphore: BoundedSemaphore
    if robust:
        kind = _engine.GOP_SLOT_ROBUST_SEMAPHORE
        semaphore = _in_slot(RobustBoundedSemaphore, name, create, unlink_at_exit, kind, 0, value)
    else:
        kind = _engine.GOP_SLOT_SEMAPHORE
        semaphore = _in_slot(BoundedSemaphore, name, create, unlink_at_exit, kind, value, value)
        if semaphore.maxvalue == _engine.GOP_SEM_MAX != value:
            raise OSError(errno.EINVAL, "the name of a semaphore without a bound", name)
    return semaphore


def open_event(name: str, *, create: bool | None = None, unlink_at_exit: bool = False) -> Event:
    """Returns the event of that name"""
    from .synchronize import Event

    event: Event = _in_slot(Event, name, create, unlink_at_exit, _engine.GOP_SLOT_EVENT)
    return event


def open_condition(
    name: str, lock: Any, *, create: bool | None = None, unlink_at_exit: bool = False
) -> Condition:
    """Returns the condition of that name, for a lock that all who use it share

    That is one opened by name, or passed on.
    """
    from .synchronize import Condition

    # AttributeErrors now rather than later.
    _ = lock.acquire, lock.release
    kind = _engine.GOP_SLOT_CONDITION
    condition: Condition = _in_slot(Condition, name, create, unlink_at_exit, kind, parts=(lock,))
    return condition


def open_barrier(
    name: str,
    parties: int = 0,
    action: Callable[[], object] | None = None,
    timeout: float | None = None,
    *,
    create: bool | None = None,
    unlink_at_exit: bool = False,
) -> Barrier:
    """Returns the barrier of that name; action and timeout are this process's own

    It has to be said of how many parties, unless `create` is false.
    """
    from .synchronize import Barrier

    kind = _engine.GOP_SLOT_BARRIER
    barrier: Barrier = _in_slot(
        Barrier, name, create, unlink_at_exit, kind, 0, parties, parts=(action, timeout)
    )
    return barrier


def open_pipe(
    name: str,
    *,
    readable: bool = True,
    writable: bool = True,
    timeout: float | None = None,
) -> PipeEnd:
    """Returns an end of a pipe; the other has whoever opens one of that name, too

    That is waited for, at most `timeout` seconds: then there is a TimeoutError. When
    the two have met the name is free again, for the next two. An end that is only
    readable goes with one that is only writable.
    """
    from .connection import PipeEnd

    _check(name)
    if not readable and not writable:
        raise ValueError("at least one of 'readable' and 'writable' must be true")
    return _engine.open_pipe(PipeEnd, name, readable, writable, timeout)


def names() -> list[str]:
    """Returns the names of this user's objects, in order"""
    return _engine.names()


def unlink(name: str) -> None:
    """Takes a name away, whatever has it; those who use the object go on"""
    _check(name)
    _engine.unlink(name)
