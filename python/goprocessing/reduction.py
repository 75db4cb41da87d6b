"""Pickling by file descriptor, and sending descriptors.

While a process is being spawned its descriptors are inherited. At any other
time the standard library's resource sharer, a thread of the process that
pickles, hands them out, so that queues, pipes and locks reach processes that
already run. As with the standard library's connections:

- What was pickled can be unpickled once, by a process with the same authkey,
  such as any of the same program, as long as the process that pickled it lives;
  then it is independent of that one, and can be pickled again. Otherwise there
  is an UnpicklingError.
- What is never unpickled costs the process that pickled it duplicates of the
  object's descriptors as long as it lives; here only one of each, however often
  the object was pickled.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import signal
import socket
import threading
from multiprocessing import context, reduction
from multiprocessing.reduction import DupFd as DupFd
from multiprocessing.reduction import ForkingPickler as ForkingPickler
from multiprocessing.reduction import dump as dump
from multiprocessing.reduction import recv_handle as _recv_handle
from multiprocessing.reduction import recvfds as recvfds
from multiprocessing.reduction import register as register
from multiprocessing.reduction import send_handle as _send_handle
from multiprocessing.reduction import sendfds as sendfds

from . import _engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, ClassVar, Protocol

    from _typeshed import HasFileno

    class PickledFd(Protocol):
        """A picklable stand-in for the descriptors of an object."""

        def detach(self) -> list[int]: ...


__all__ = [
    "DupFd",
    "ForkingPickler",
    "dump",
    "recv_handle",
    "recvfds",
    "register",
    "send_handle",
    "sendfds",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(reduction, name)


def send_handle(conn: HasFileno, handle: int, destination_pid: object) -> None:
    """Sends a descriptor over a connection, between its messages"""
    _send_handle(conn, handle, destination_pid)
    if isinstance(conn, _engine.Connection):
        conn._sent_handle()


def recv_handle(conn: HasFileno) -> int:
    """Receives a descriptor that the other end of a connection sent"""
    if isinstance(conn, _engine.Connection):
        return conn._recv_handle()
    return _recv_handle(conn)


class AbstractReducer(reduction.AbstractReducer):
    """Abstract base class for a replacement of this module"""

    send_handle = send_handle
    recv_handle = recv_handle


class _Inherited:
    """Stands for descriptors that a process is spawned with."""

    def __init__(self, stand_ins: list[Any]) -> None:
        self._stand_ins = stand_ins

    def detach(self) -> list[int]:
        return [stand_in.detach() for stand_in in self._stand_ins]


def _sharer() -> Any:
    from multiprocessing import resource_sharer

    return resource_sharer._resource_sharer  # type: ignore[attr-defined]


@contextlib.contextmanager
def _without_handlers() -> Iterator[None]:
    """Keeps out signal handlers, which might pickle an object, too.

    They would wait for a lock, ours or the resource sharer's, that the call has which
    they interrupted.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class _Duplicates:
    """What the resource sharer hands out, duplicated once for all stand-ins under way."""

    # By inodes: one at least of an object's descriptors is of a file of its own.
    _in_use: ClassVar[dict[tuple[tuple[int, int], ...], _Duplicates]] = {}
    _lock: ClassVar = threading.Lock()

    def __init__(self, key: tuple[tuple[int, int], ...], fds: tuple[int, ...]) -> None:
        self._key = key
        self._stand_ins = 0
        with contextlib.ExitStack() as undo:
            self._fds = []
            for fd in fds:
                self._fds.append(os.dup(fd))
                undo.callback(os.close, self._fds[-1])
            undo.pop_all()

    @classmethod
    def register(cls, fds: tuple[int, ...]) -> Any:
        """Registers a stand-in; returns by what the resource sharer knows it."""
        key = tuple((file.st_dev, file.st_ino) for file in map(os.fstat, fds))
        with _without_handlers():
            return cls._register(key, fds)

    @classmethod
    def _register(cls, key: tuple[tuple[int, int], ...], fds: tuple[int, ...]) -> Any:
        with cls._lock:
            duplicates = cls._in_use.get(key)
            if duplicates is None:
                duplicates = cls._in_use[key] = cls(key, fds)
            duplicates._stand_ins += 1
        try:
            return _sharer().register(duplicates._send, duplicates._release)
        except BaseException:
            duplicates._release()
            raise

    def _send(self, conn: HasFileno, destination_pid: int) -> None:
        with _socket_of(conn) as sock:
            socket.send_fds(sock, [b"\0"], self._fds)

    def _release(self) -> None:
        with self._lock:
            self._stand_ins -= 1
            if self._stand_ins:
                return
            del self._in_use[self._key]
        for fd in self._fds:
            os.close(fd)


os.register_at_fork(after_in_child=_Duplicates._lock._at_fork_reinit)  # type: ignore[attr-defined]


class _Shared:
    """Stands for descriptors that the resource sharer hands out."""

    def __init__(self, fds: tuple[int, ...]) -> None:
        self._count = len(fds)
        self._id = _Duplicates.register(fds)

    def detach(self) -> list[int]:
        try:
            with _sharer().get_connection(self._id) as conn, _socket_of(conn) as sock:
                byte, fds, _, _ = socket.recv_fds(sock, 1, self._count)
            if not byte:
                raise EOFError
        except (FileNotFoundError, ConnectionError, EOFError) as error:
            # No EOFError or OSError, which would mean the end to whoever receives.
            raise pickle.UnpicklingError(
                "the process that pickled this object is gone, or it was unpickled before"
            ) from error
        if len(fds) < self._count:
            for fd in fds:
                os.close(fd)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return fds


def _socket_of(conn: HasFileno) -> socket.socket:
    return socket.fromfd(conn.fileno(), socket.AF_UNIX, socket.SOCK_STREAM)


def dup_fds(*fds: int) -> PickledFd:
    """A picklable stand-in for the descriptors of an object."""
    popen: Any = context.get_spawning_popen()
    if popen is None:
        return _Shared(fds)
    return _Inherited([popen.DupFd(popen.duplicate_for_child(fd)) for fd in fds])


def dup_shared_fd(fd: int) -> PickledFd:
    """A picklable stand-in for a descriptor that several pickled objects have in common.

    It is passed on once a process: fork_exec refuses to be told a descriptor
    twice, and the fork server takes 256 at most.
    """
    popen: Any = context.get_spawning_popen()
    if popen is None or fd not in popen._fds:
        return dup_fds(fd)
    return _Inherited([popen.DupFd(popen._fds.index(fd) if popen.method == "forkserver" else fd)])


@contextlib.contextmanager
def received(pickled: PickledFd) -> Iterator[list[int]]:
    """The descriptors that a stand-in stands for, close-on-exec. To be called once.

    They belong to the body, unless it fails.
    """
    with contextlib.ExitStack() as undo:
        fds = pickled.detach()
        for fd in fds:
            undo.callback(os.close, fd)
        # Neither those that a spawned process inherited are, nor those from a socket.
        for fd in fds:
            os.set_inheritable(fd, False)
        yield fds
        undo.pop_all()
