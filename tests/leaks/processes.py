"""Processes, and pools and managers of them."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import Any

import goprocessing
from goprocessing import _engine, managers
from goprocessing.pool import WorkerDied

from .table import CTX, Use, exercise, raising


def double(number: int) -> int:
    return 2 * number


def add(a: int, b: int) -> int:
    return a + b


def fail(_: object) -> None:
    raise ZeroDivisionError


@exercise("Process", "active_children", "context.ForkProcess", "popen_fork.Popen")
def processes(stack: ExitStack) -> Use:
    q = CTX.Queue()

    def use() -> None:
        process = CTX.Process(target=q.put, args=(1,))
        process.start()
        assert q.get(timeout=60) == 1
        process.join()
        process.close()
        CTX.Process()
        goprocessing.active_children()

    return use


@exercise(
    "cpu_count",
    "current_process",
    "parent_process",
    "get_all_start_methods",
    "get_context",
    "get_logger",
    "get_start_method",
    "_engine.engine_threads",
)
def questions(stack: ExitStack) -> Use:
    def use() -> None:
        goprocessing.cpu_count()
        goprocessing.current_process()
        goprocessing.parent_process()
        goprocessing.get_all_start_methods()
        goprocessing.get_context()
        goprocessing.get_logger()
        goprocessing.get_start_method()
        for method in goprocessing.get_all_start_methods():
            goprocessing.get_context(method).get_start_method()
        raising(ValueError, goprocessing.get_context, "none")
        _engine.engine_threads()

    return use


def pool(stack: ExitStack) -> Any:
    pool = CTX.Pool(1)
    stack.callback(pool.join)
    stack.callback(pool.close)
    return pool


@exercise(
    "Pool.apply",
    "Pool.apply_async",
    "Pool.imap",
    "Pool.imap_unordered",
    "Pool.map",
    "Pool.map_async",
    "Pool.starmap",
    "Pool.starmap_async",
)
def pool_at_work(stack: ExitStack) -> Use:
    workers = pool(stack)

    def use() -> None:
        workers.apply(double, (1,))
        workers.apply_async(double, (1,)).get()
        workers.map(double, range(3))
        workers.map_async(double, range(3)).get()
        workers.starmap(add, [(1, 2)])
        workers.starmap_async(add, [(1, 2)]).get()
        list(workers.imap(double, range(3)))
        list(workers.imap_unordered(double, range(3)))
        raising(ZeroDivisionError, workers.apply, fail, (1,))

    return use


@exercise("Pool", "Pool.close", "Pool.join", "Pool.terminate", "pool.ThreadPool")
def make_pools(stack: ExitStack) -> Use:
    def use() -> None:
        with CTX.Pool(1) as workers:
            workers.map(double, range(3))
        workers.join()
        workers = CTX.Pool(1, maxtasksperchild=1)
        workers.apply(double, (1,))
        workers.close()
        workers.join()

    return use


@exercise("pool.WorkerDied")
def dying_workers(stack: ExitStack) -> Use:
    workers = pool(stack)

    def use() -> None:
        raising(WorkerDied, workers.apply, os._exit, (1,))

    return use


@exercise("futures.CallQueue")
def executors(stack: ExitStack) -> Use:
    def use() -> None:
        with ProcessPoolExecutor(1, mp_context=CTX) as executor:
            executor.submit(double, 1).result()

    return use


@exercise("futures.CallQueue")
def executor(stack: ExitStack) -> Use:
    executor = stack.enter_context(ProcessPoolExecutor(1, mp_context=CTX))

    def use() -> None:
        executor.submit(double, 1).result()
        raising(ZeroDivisionError, executor.submit(fail, 1).result)

    return use


@exercise("Manager", "managers.SyncManager", "managers.BaseManager")
def make_managers(stack: ExitStack) -> Use:
    def use() -> None:
        with CTX.Manager() as manager:
            q = manager.Queue()
            q.put(1)
            q.get()
            manager.Lock()

    return use


@exercise("managers.SharedMemoryManager")
def make_shared_memory_managers(stack: ExitStack) -> Use:
    def use() -> None:
        with managers.SharedMemoryManager(ctx=CTX) as manager:
            manager.SharedMemory(100)

    return use
