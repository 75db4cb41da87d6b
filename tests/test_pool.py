"""Pools of processes and of threads."""

from __future__ import annotations

import importlib
import os
import threading
from types import ModuleType
from typing import Any

import goprocessing
import pytest

from .waiting import LIMIT, eventually, until_blocked

initialized = None


def square(number: int) -> int:
    return number * number


def add(first: int, second: int = 0) -> int:
    return first + second


def fail(number: int) -> int:
    raise ZeroDivisionError(number)


def initialize(value: str) -> None:
    global initialized
    initialized = value


def get_initialized(_: int) -> tuple[str | None, int]:
    return initialized, os.getpid()


def wait_for(event: Any) -> bool:
    done: bool = event.wait(LIMIT)
    return done


def unpicklable() -> Any:
    return threading.Lock()


@pytest.fixture(params=["Pool", "ThreadPool"])
def pool(request: pytest.FixtureRequest, module: ModuleType, in_force: str) -> Any:
    submodule = importlib.import_module(f"{module.__name__}.pool")
    with getattr(submodule, request.param)(2) as pool:
        assert isinstance(pool, submodule.Pool)
        yield pool
        pool.close()
        pool.join()


def test_by_the_start_method_in_force(module: ModuleType, pool: Any) -> None:
    assert pool._ctx is module.get_context()
    assert type(pool._change_notifier) is type(module.SimpleQueue())


def test_calls(pool: Any) -> None:
    numbers, squares = range(20), [number * number for number in range(20)]
    assert pool.apply(add, (1,), {"second": 2}) == 3
    assert pool.map(square, numbers) == squares
    assert pool.map(square, numbers, chunksize=3) == squares
    assert list(pool.imap(square, numbers)) == squares
    assert list(pool.imap(square, numbers, 7)) == squares
    assert sorted(pool.imap_unordered(square, numbers)) == squares
    assert pool.starmap(add, [(1, 2), (3, 4)]) == [3, 7]
    assert pool.map_async(square, numbers).get(LIMIT) == squares
    assert pool.starmap_async(add, [(1, 2)]).get(LIMIT) == [3]
    assert pool.apply_async(os.getpid).get(LIMIT)
    results = pool.imap(square, numbers)
    assert next(results) == 0
    assert results.next(timeout=LIMIT) == 1
    assert list(results) == squares[2:]


def test_errors(pool: Any) -> None:
    for call in (
        lambda: pool.apply(fail, (1,)),
        lambda: pool.map(fail, range(3)),
        lambda: list(pool.imap(fail, range(3))),
        lambda: list(pool.imap_unordered(fail, range(3))),
        lambda: pool.apply_async(fail, (1,)).get(LIMIT),
    ):
        with pytest.raises(ZeroDivisionError):
            call()


def test_an_asynchronous_result(pool: Any) -> None:
    gone, failed = [], []
    result = pool.apply_async(add, (1, 2), callback=gone.append)
    result.wait(LIMIT)
    assert result.ready()
    assert result.successful()
    eventually(lambda: gone == [3])
    result = pool.apply_async(fail, (1,), error_callback=failed.append)
    result.wait(LIMIT)
    assert not result.successful()
    eventually(lambda: failed)
    assert isinstance(failed[0], ZeroDivisionError)


def test_a_result_that_takes_its_time(ctx: Any) -> None:
    with ctx.Manager() as manager, ctx.Pool(1) as pool:
        event = manager.Event()
        result = pool.apply_async(wait_for, (event,))
        with pytest.raises(ctx.TimeoutError):
            result.get(timeout=0.01)
        with pytest.raises(ValueError, match="not ready"):
            result.successful()
        event.set()
        assert result.get(LIMIT)
        pool.close()
        pool.join()


def test_initializer_and_worker_lifetime(ctx: Any) -> None:
    with ctx.Pool(2, initialize, ("value",), maxtasksperchild=1) as pool:
        seen = pool.map(get_initialized, range(4), chunksize=1)
        assert {value for value, _ in seen} == {"value"}
        assert len({pid for _, pid in seen}) == 4
        pool.close()
        pool.join()


def test_closed_and_terminated(ctx: Any) -> None:
    pool = ctx.Pool(2)
    with pytest.raises(ValueError, match="still running"):
        pool.join()
    pool.close()
    with pytest.raises(ValueError, match="not running"):
        pool.apply(square, (1,))
    pool.join()
    with ctx.Manager() as manager, ctx.Pool(1) as pool:
        event = manager.Event()
        pool.apply_async(wait_for, (event,))
        pool.terminate()
        pool.join()


def test_what_cannot_be_pickled(ctx: Any) -> None:
    with ctx.Pool(1) as pool:
        with pytest.raises(Exception, match="pickle"):
            pool.apply(square, (threading.Lock(),))
        with pytest.raises(Exception, match="pickle"):
            pool.apply(unpicklable)
        with pytest.raises(NotImplementedError, match="pool objects cannot be passed"):
            pool.apply(square, (pool,))
        assert pool.apply(square, (3,)) == 9
        pool.close()
        pool.join()


# ---- ours: workers that are killed ----


def until_idle(pool: Any) -> None:
    for worker in pool._pool:
        until_blocked(worker.pid)


@pytest.mark.parametrize("end", ["close", "terminate"])
def test_idle_workers_are_killed(end: str) -> None:
    """One of them waits for the next task, and so has the lock of the queue."""
    with goprocessing.get_context("fork").Pool(3) as pool:
        until_idle(pool)
        dead = list(pool._pool)[:2]
        for worker in dead:
            worker.kill()
        eventually(lambda: not {*dead} & {*pool._pool})
        assert pool.map(square, range(20), 1) == [n * n for n in range(20)]
        until_idle(pool)
        for worker in list(pool._pool):
            worker.kill()
        getattr(pool, end)()
        pool.join()
