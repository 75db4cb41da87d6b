"""Items per second through a Queue, from producer processes to consumer processes."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any


def _produce(queue: Any, ready: Any, go: Any, items: int) -> None:
    ready.release()
    go.wait()
    for i in range(items):
        queue.put(i)


def _consume(queue: Any, ready: Any, go: Any, items: int) -> None:
    ready.release()
    go.wait()
    for _ in range(items):
        queue.get()


def small_ints(module: ModuleType, items: int, producers: int = 1, consumers: int = 1) -> float:
    """The rate, in items per second, from when all processes run until all have ended."""
    ctx = module.get_context("fork")
    queue, ready, go = ctx.Queue(), ctx.Semaphore(0), ctx.Event()
    shares = [(_produce, items // producers)] * producers
    shares += [(_consume, items // consumers)] * consumers
    processes = [ctx.Process(target=work, args=(queue, ready, go, n)) for work, n in shares]
    for process in processes:
        process.start()
    for _ in processes:
        ready.acquire()
    start = time.perf_counter()
    go.set()
    for process in processes:
        process.join()
    elapsed = time.perf_counter() - start
    if any(process.exitcode for process in processes):
        raise RuntimeError(f"{module.__name__}: a process failed")
    return items / elapsed
