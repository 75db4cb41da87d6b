"""Pools of worker processes: the standard library's, in this package's contexts."""

from __future__ import annotations

import contextlib
import operator
import os
from collections.abc import Callable, Iterable
from multiprocessing import pool
from multiprocessing.context import BaseContext
from multiprocessing.pool import ApplyResult as ApplyResult
from multiprocessing.pool import AsyncResult as AsyncResult
from multiprocessing.pool import IMapIterator as IMapIterator
from multiprocessing.pool import IMapUnorderedIterator as IMapUnorderedIterator
from multiprocessing.pool import MapResult as MapResult
from typing import TYPE_CHECKING, Any, SupportsIndex

from ._pool_tasks import TaskQueue, Tasks, Workers, emptied
from ._pool_tasks import WorkerDied as WorkerDied
from .context import _default_context
from .queues import SimpleQueue

__all__ = ["Pool", "ThreadPool", "WorkerDied"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(pool, name)


class Pool(pool.Pool):
    """Worker processes that calls are handed to

    If one of them dies, the calls that it had in hand raise `WorkerDied`.
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
        context: BaseContext | None = None,
    ) -> None:
        # What cannot be a number of processes is refused below, as by the standard library.
        number = processes if isinstance(processes, SupportsIndex) else os.cpu_count() or 1
        self._most_workers = max(1, operator.index(number))
        pool.Pool.__init__(
            self,
            processes,
            initializer,
            initargs,
            maxtasksperchild,
            context or _default_context.get_context(),
        )

    def _setup_queues(self) -> None:
        context: BaseContext = self._ctx  # type: ignore[attr-defined]
        self._inqueue = TaskQueue(self._most_workers, ctx=context)
        self._outqueue = SimpleQueue[Any](ctx=context)
        tasks = Tasks(self._inqueue, self._outqueue)
        self._quick_put, self._quick_get = tasks.put, tasks.get
        self._pool = Workers(tasks)

    # As many chunks as for the workers that there are to be: when one has died there may
    # be none for the moment, by which the standard library would divide.
    def _map_async(
        self, func: Any, iterable: Any, mapper: Any, chunksize: int | None = None, *callbacks: Any
    ) -> Any:
        if chunksize is None:
            self._check_running()  # type: ignore[attr-defined]
            if not hasattr(iterable, "__len__"):
                iterable = list(iterable)
            workers: int = self._processes  # type: ignore[attr-defined]
            chunksize = -(-len(iterable) // (4 * workers))
        return super()._map_async(  # type: ignore[misc]
            func, iterable, mapper, chunksize, *callbacks
        )

    # The standard library's lets a result or two be received that are under way, and
    # then waits for ever if there are more than there is room for.
    @classmethod
    def _terminate_pool(cls, taskqueue: Any, inqueue: Any, outqueue: Any, *others: Any) -> None:
        *_, result_handler, _cache = others
        between_threads = not isinstance(outqueue, SimpleQueue)
        with contextlib.nullcontext() if between_threads else emptied(outqueue, result_handler):
            super()._terminate_pool(taskqueue, inqueue, outqueue, *others)  # type: ignore[misc]

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

    # Not that of Pool.
    _setup_queues = pool.ThreadPool._setup_queues  # type: ignore[attr-defined]
