"""Pickling by file descriptor, and sending descriptors.

While a process is being spawned its descriptors are inherited; at any other
time the standard library's resource sharer hands them out, so that queues,
pipes and locks reach processes that already run.
"""

from __future__ import annotations

import os
from multiprocessing import context, reduction
from multiprocessing.reduction import DupFd as DupFd
from multiprocessing.reduction import ForkingPickler as ForkingPickler
from multiprocessing.reduction import dump as dump
from multiprocessing.reduction import recv_handle as _recv_handle
from multiprocessing.reduction import recvfds as recvfds
from multiprocessing.reduction import register as register
from multiprocessing.reduction import send_handle as _send_handle
from multiprocessing.reduction import sendfds as sendfds
from typing import TYPE_CHECKING, Any, TypeAlias

from . import _engine

if TYPE_CHECKING:
    from multiprocessing import popen_forkserver, popen_spawn_posix, resource_sharer

    from _typeshed import HasFileno

    PickledFd: TypeAlias = (
        popen_forkserver._DupFd | popen_spawn_posix._DupFd | resource_sharer.DupFd
    )

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


def dup_fd(fd: int) -> PickledFd:
    """A picklable stand-in for fd."""
    return reduction.DupFd(fd)


def dup_shared_fd(fd: int) -> PickledFd:
    """A picklable stand-in for a descriptor that several pickled objects have in common.

    It is passed on once a process: fork_exec refuses to be told a descriptor
    twice, and the fork server takes 256 at most.
    """
    popen: Any = context.get_spawning_popen()
    if popen is None or fd not in popen._fds:
        return reduction.DupFd(fd)
    stand_in: PickledFd = popen.DupFd(popen._fds.index(fd) if popen.method == "forkserver" else fd)
    return stand_in


def receive_fd(pickled: PickledFd) -> int:
    """The descriptor that a stand-in stands for, close-on-exec. To be called once."""
    fd = pickled.detach()
    # A spawned process inherited it, so it is not.
    os.set_inheritable(fd, False)
    return fd
