"""Pools of worker processes: the standard library's, in this package's contexts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from multiprocessing import pool
from multiprocessing.context import BaseContext
from multiprocessing.pool import ApplyResult as ApplyResult
from multiprocessing.pool import AsyncResult as AsyncResult
from multiprocessing.pool import IMapIterator as IMapIterator
from multiprocessing.pool import IMapUnorderedIterator as IMapUnorderedIterator
from multiprocessing.pool import MapResult as MapResult
from typing import TYPE_CHECKING, Any

from .context import _default_context

__all__ = ["Pool", "ThreadPool"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(pool, name)


class Pool(pool.Pool):
    """Worker processes that calls are handed to"""

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: BaseContext | None = None,
    ) -> None:
        pool.Pool.__init__(
            self,
            processes,
            initializer,
            initargs,
            maxtasksperchild,
            context or _default_context.get_context(),
        )

    # What wakes the thread that looks after the workers, besides their end. Not the
    # results, as in the standard library: it has nothing to do then, and would keep
    # the thread that receives them from the interpreter lock. When the last result
    # is there, the pool's cache tells the notifier.
    def _get_sentinels(self) -> list[Any]:
        return [self._change_notifier._reader]  # type: ignore[attr-defined]


class ThreadPool(Pool, pool.ThreadPool):
    """Worker threads that calls are handed to"""

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
    ) -> None:
        Pool.__init__(self, processes, initializer, initargs)
