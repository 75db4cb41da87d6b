"""mpire's WorkerPool, after its documentation."""

from __future__ import annotations

import time
from typing import Any

import numpy
import pytest
from mpire import WorkerPool


@pytest.fixture(params=("fork", "spawn", "forkserver"))
def method(request: Any) -> str:
    return request.param


def square(number: int) -> int:
    return number * number


def add(left: int, right: int) -> int:
    return left + right


def offset(array: numpy.ndarray, index: int) -> float:
    return float(array[index]) + index


def begin(state: dict[str, Any]) -> None:
    state["count"] = 0


def count(state: dict[str, Any], number: int) -> int:
    state["count"] += 1
    return number


def counted(state: dict[str, Any]) -> int:
    return state["count"]


def identify(worker: int, number: int) -> tuple[int, int]:
    return worker, number


def fail(number: int) -> int:
    if number == 7:
        raise LookupError("number 7")
    return number


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def test_maps(method: str) -> None:
    with WorkerPool(n_jobs=2, start_method=method) as pool:
        expected = [number * number for number in range(200)]
        assert pool.map(square, range(200)) == expected
        assert sorted(pool.map_unordered(square, range(200), chunk_size=3)) == expected
        assert list(pool.imap(square, range(200), max_tasks_active=4)) == expected
        assert sorted(pool.imap_unordered(square, range(200))) == expected


def test_arguments(method: str) -> None:
    with WorkerPool(n_jobs=2, start_method=method) as pool:
        assert pool.map(add, [(1, 2), (3, 4)]) == [3, 7]
        assert pool.map(add, [{"left": 1, "right": 2}]) == [3]


def test_numpy_chunks(method: str) -> None:
    with WorkerPool(n_jobs=2, start_method=method) as pool:
        squares = pool.map(numpy.square, numpy.arange(100), chunk_size=10)
    assert numpy.array_equal(squares, numpy.arange(100) ** 2)


def test_shared_objects(method: str) -> None:
    array = numpy.arange(1000.0)
    with WorkerPool(n_jobs=2, start_method=method, shared_objects=array) as pool:
        assert pool.map(offset, range(1000)) == [2.0 * index for index in range(1000)]


def test_worker_state(method: str) -> None:
    with WorkerPool(n_jobs=2, start_method=method, use_worker_state=True) as pool:
        assert pool.map(count, range(100), worker_init=begin, worker_exit=counted) == list(
            range(100)
        )
        assert sum(pool.get_exit_results()) == 100


def test_worker_ids(method: str) -> None:
    with WorkerPool(n_jobs=2, start_method=method, pass_worker_id=True, order_tasks=True) as pool:
        results = pool.map(identify, range(10), chunk_size=1)
    assert results == [(number % 2, number) for number in range(10)]


def test_worker_lifespan(method: str) -> None:
    with WorkerPool(n_jobs=2, start_method=method) as pool:
        assert pool.map(square, range(40), worker_lifespan=2, chunk_size=4) == [
            number * number for number in range(40)
        ]


def test_kept_alive(method: str) -> None:
    with WorkerPool(n_jobs=2, start_method=method, keep_alive=True) as pool:
        for _ in range(5):
            assert pool.map(square, range(10)) == [number * number for number in range(10)]


def test_apply(method: str) -> None:
    with WorkerPool(n_jobs=2, start_method=method) as pool:
        assert pool.apply(add, (1, 2)) == 3
        results = [pool.apply_async(square, (number,)) for number in range(20)]
        assert [result.get() for result in results] == [number * number for number in range(20)]


def test_an_error(method: str) -> None:
    with WorkerPool(n_jobs=2, start_method=method) as pool:
        with pytest.raises(LookupError, match="number 7"):
            pool.map(fail, range(100))
        assert pool.map(square, range(10)) == [number * number for number in range(10)]


def test_a_task_that_takes_too_long(method: str) -> None:
    with WorkerPool(n_jobs=2, start_method=method) as pool:
        with pytest.raises(TimeoutError):
            pool.map(sleep, [0.0, 600.0], task_timeout=0.5)


def test_progress_bar(method: str) -> None:
    with WorkerPool(n_jobs=2, start_method=method) as pool:
        assert len(pool.map(square, range(100), progress_bar=True)) == 100


def test_insights(method: str) -> None:
    with WorkerPool(n_jobs=2, start_method=method, enable_insights=True) as pool:
        pool.map(square, range(100))
        assert sum(pool.get_insights()["n_completed_tasks"]) == 100


def test_nested(method: str) -> None:
    with WorkerPool(n_jobs=2, start_method=method, daemon=False) as pool:
        assert pool.map(inner, [10, 20]) == [45, 190]


def inner(size: int) -> int:
    with WorkerPool(n_jobs=2, start_method="fork") as pool:
        return sum(pool.map(abs, range(size)))
