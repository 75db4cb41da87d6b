"""Pools and executors with tiny tasks."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from .peers import OURS, STANDARD, context
from .work import RATE, Target, Work

WORKERS = 2

# Ctrl-C is for the process that they work for, which ends them.
_DEAF: dict[str, Any] = {"initializer": signal.signal, "initargs": (signal.SIGINT, signal.SIG_IGN)}


def _tiny(x: int) -> int:
    return x


def pool_map(peer: str, n: int) -> float:
    with context(peer).Pool(WORKERS, **_DEAF) as pool:
        pool.map(_tiny, range(WORKERS), 1)
        start = time.perf_counter()
        pool.map(_tiny, range(n), 1)
        return time.perf_counter() - start


def executor_map(peer: str, n: int) -> float:
    with ProcessPoolExecutor(WORKERS, context(peer), **_DEAF) as executor:
        try:
            list(executor.map(_tiny, range(WORKERS)))
            start = time.perf_counter()
            for _ in executor.map(_tiny, range(n)):
                pass
            return time.perf_counter() - start
        except KeyboardInterrupt:
            # Or shutdown may wait forever: submit was interrupted anywhere.
            for process in executor._processes.values():
                process.kill()
            raise


def works() -> Iterator[Work]:
    yield Work(
        "pool-map",
        "Pool.map, 100,000 tiny tasks, chunksize 1",
        RATE,
        {peer: partial(pool_map, peer) for peer in (STANDARD, OURS)},
        Target(ratio=2),
        amount=100_000,
    )
    yield Work(
        "executor-map",
        "ProcessPoolExecutor.map, tiny tasks",
        RATE,
        {peer: partial(executor_map, peer) for peer in (STANDARD, OURS)},
        Target(ratio=2),
    )
