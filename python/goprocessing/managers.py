"""Managers of objects in a process of their own: the standard library's, in our contexts."""

from __future__ import annotations

from multiprocessing import managers
from multiprocessing.context import BaseContext
from multiprocessing.managers import BaseProxy as BaseProxy
from multiprocessing.managers import DictProxy as DictProxy
from multiprocessing.managers import ListProxy as ListProxy
from multiprocessing.managers import Namespace as Namespace
from multiprocessing.managers import RemoteError as RemoteError
from multiprocessing.managers import Server as Server
from multiprocessing.managers import Token as Token
from multiprocessing.managers import ValueProxy as ValueProxy
from typing import TYPE_CHECKING, Any

from .context import _default_context
from .pool import Pool

__all__ = ["BaseManager", "BaseProxy", "SharedMemoryManager", "SyncManager", "Token"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(managers, name)


class BaseManager(managers.BaseManager):
    """A process whose objects others use through proxies, or the address of one"""

    def __init__(
        self,
        address: Any = None,
        authkey: bytes | None = None,
        serializer: str = "pickle",
        ctx: BaseContext | None = None,
        *,
        shutdown_timeout: float = 1.0,
    ) -> None:
        super().__init__(
            address,
            authkey,
            serializer,
            ctx or _default_context.get_context(),
            shutdown_timeout=shutdown_timeout,
        )


class SyncManager(BaseManager, managers.SyncManager):
    """A manager of queues, locks, lists, dictionaries and what else `Manager` offers"""


SyncManager.register("Pool", Pool, managers.PoolProxy)  # type: ignore[attr-defined]


class SharedMemoryManager(BaseManager, managers.SharedMemoryManager):
    """A manager that frees the blocks of shared memory made by it when it is shut down"""
