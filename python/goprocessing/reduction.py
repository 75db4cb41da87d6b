"""Pickling by file descriptor.

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
from multiprocessing.reduction import recv_handle as recv_handle
from multiprocessing.reduction import recvfds as recvfds
from multiprocessing.reduction import register as register
from multiprocessing.reduction import send_handle as send_handle
from multiprocessing.reduction import sendfds as sendfds
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from multiprocessing import popen_forkserver, popen_spawn_posix, resource_sharer

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
