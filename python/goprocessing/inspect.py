"""What lives on this machine: queues, pipes, locks and their kin, of this user's processes.

    from goprocessing import inspect

    for thing in inspect.snapshot().objects:
        print(thing.kind, thing.users, thing.holders, thing.waiters)

`identify(lock)` is the id that a lock of this program has there.

It answers who holds a lock, which queue is full and who waits for what, also when the
program in question is stuck: objects are only looked at, never locked or changed, but
by those functions that say so.
What a snapshot says of an object was true at some instant while it was taken, not
of all objects at the same one.

The looking is done in Go (core/inspect), in a process of its own: a second Go
runtime in this one would add threads and signal handlers, and not live through a fork.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from importlib.machinery import PathFinder
from multiprocessing import spawn
from os.path import dirname, join

from . import _engine
from .queues import SimpleQueue
from .synchronize import _InSlot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = [
    "Holder",
    "Object",
    "Process",
    "Repaired",
    "Snapshot",
    "Stream",
    "Thread",
    "Waiter",
    "free",
    "identify",
    "repair",
    "snapshot",
    "unlink_stale",
]


@dataclass(frozen=True, slots=True)
class Process:
    """One that has a handle of an object, or has inherited one."""

    pid: int
    parent: int  # its pid
    stopped: bool  # by a signal, or a debugger
    command: str


@dataclass(frozen=True, slots=True)
class Thread:
    pid: int
    tid: int  # 0: it is not known which thread of the process
    alive: bool


@dataclass(frozen=True, slots=True)
class Holder(Thread):
    # "lock", also of a permit; "items", which are not marked done; or what the engine
    # itself holds for an instant: "put", "get".
    of: str
    count: int  # 1, but of items


@dataclass(frozen=True, slots=True)
class Waiter(Thread):
    to: str  # "get", "put", "join", "acquire", "wait"; for an instant "put lock", "get lock"


@dataclass(frozen=True, slots=True)
class Stream:
    """What a queue, or one direction of a pipe, holds."""

    depth: int  # items
    max_items: int  # 0: unbounded
    bytes: int  # of the items as they are stored
    max_bytes: int  # 0: unbounded
    puts: int  # items, since it was made
    gets: int
    done: int  # items for which task_done() was called
    unfinished: int  # those for which it was not
    joinable: bool  # a JoinableQueue
    full: bool
    shut: bool  # by shutdown()
    watched: bool  # by select() or its kin


@dataclass(frozen=True, slots=True)
class Object:
    id: str  # the same in each snapshot
    name: str  # "": it has none
    # "queue", "pipe", "lock", "rlock", "semaphore", "event", "condition", "barrier";
    # "unknown": problem says why.
    kind: str
    stale: bool  # it has a name, but no users
    # The pids of all who have its shared memory open. Locks and their kin share it,
    # and a child has all of the process that forked it.
    users: tuple[int, ...]
    memory: int  # bytes
    streams: tuple[Stream, ...]  # one of a queue, two of a pipe
    # Of a semaphore; of a lock 1 while it is free, of an event 1 while it is set, of a
    # barrier how many wait; of an RLock how often its holder took it.
    value: int
    limit: int  # of a bounded semaphore; a barrier's parties
    broken: bool  # a barrier
    robust: bool  # a lock or semaphore that outlives its holders
    holders: tuple[Holder, ...]
    waiters: tuple[Waiter, ...]
    # Somebody may wait, also if it could not be found out who.
    awaited: bool
    problem: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    objects: tuple[Object, ...]
    processes: tuple[Process, ...]  # that use one of the objects
    # The kernel does not show this user what some of them wait for:
    # /proc/sys/kernel/yama/ptrace_scope.
    hidden: bool


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was done to an object, or why that could not be."""

    id: str
    name: str
    kind: str
    done: str
    problem: str


def _call(function: str, *arguments: list[str]) -> Any:
    """What a function of core/inspect returns."""
    spec = PathFinder.find_spec("_inspect", [dirname(__file__)])
    if spec is None or spec.origin is None:
        raise ImportError("goprocessing was built without its module _inspect")
    # -P, -S: what this program imports is of no concern there.
    command = [spawn.get_executable(), "-PS", join(dirname(__file__), "_look.py")]
    command += [spec.origin, function, *map(json.dumps, arguments)]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    if result.returncode:
        complaint = result.stderr.decode(errors="replace").strip()
        reason = complaint.rpartition("\n")[2] or f"status {result.returncode}"
        raise RuntimeError(f"{function} failed: {reason.removeprefix('RuntimeError: ')}")
    return json.loads(result.stdout)


# Names and ids come and go as pybind/inspect has them: each byte is a character.


def _encoded(names: Iterable[str]) -> list[str]:
    return [os.fsencode(name).decode("latin-1") for name in names]


def _decoded(name: str) -> str:
    return os.fsdecode(name.encode("latin-1"))


def snapshot() -> Snapshot:
    """Looks at all objects of this user's processes."""
    found = _call("Snapshot")
    return Snapshot(
        tuple(map(_object, found["objects"])),
        tuple(Process(**process) for process in found["processes"]),
        found["hidden"],
    )


def identify(thing: object) -> str:
    """The id that a queue, a connection, or a lock or one of its kin has in each snapshot:
    that of its pipe, if it is an end of one, or a SimpleQueue."""
    match thing:
        case _InSlot():
            slot: Any = thing
            fd, offset = slot._handle()
            return f"{_segment(fd)}+{offset}"
        case _engine.Queue():
            return _segment(thing._fileno())
        case _engine.Connection():
            return _segment(thing._descriptors()[0])
        case SimpleQueue():
            return identify(thing._reader)
    raise TypeError(f"not an object that is shared by goprocessing: {thing!r}")


def _segment(fd: int) -> str:
    """As core/inspect has it."""
    is_memfd = os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:")
    return f"{'' if is_memfd else 'shm'}{os.fstat(fd).st_ino}"


def unlink_stale(*names: str) -> list[str]:
    """Takes names of objects away that no process uses any more: those of these names, or
    of all of this user. Returns them; RuntimeError: some could not be taken away, all
    others are."""
    unlinked, problems = _unlink_stale(names)
    if problems:
        raise RuntimeError("\n".join(problems.values()))
    return unlinked


def _unlink_stale(names: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """What was unlinked, and why other names could not be; "" is the name in what befell
    those that were not asked for."""
    found = _call("UnlinkStale", _encoded(names))
    problems = {_decoded(name): problem for name, problem in found["problems"].items()}
    return [*map(_decoded, found["unlinked"])], problems


def repair(*ids: str) -> list[Repaired]:
    """Completes what processes left undone that were killed, in the objects with these ids
    or names, or in all.

    It ends a put whose item is in the queue, but was not shown to those who sleep until one
    is, and a get; returns items of dead consumers, if the queue redelivers; frees the memory
    of large items that died with their receivers; and removes dead waiters. Whoever uses an
    object next does all that anyway. What programs hold is left as it is: see `free`.
    """
    return [*map(_repaired, _call("Repair", _encoded(ids)))]


def free(*ids: str) -> list[Repaired]:
    """Makes locks with these ids or names free whose holders have died, if nobody else is
    about to release them, and what they guard is known to be sound. Returns of each what
    was done, or why it could not be."""
    return [*map(_repaired, _call("Free", _encoded(ids)))]


def _repaired(fields: dict[str, Any]) -> Repaired:
    names = {key: _decoded(fields[key]) for key in ("id", "name")}
    return Repaired(**{**fields, **names})


def _object(fields: dict[str, Any]) -> Object:
    parts: dict[str, Any] = {
        "name": _decoded(fields["name"]),
        "users": tuple(fields["users"]),
        "streams": tuple(Stream(**stream) for stream in fields["streams"]),
        "holders": tuple(Holder(**holder) for holder in fields["holders"]),
        "waiters": tuple(Waiter(**waiter) for waiter in fields["waiters"]),
    }
    return Object(**{**fields, **parts})
