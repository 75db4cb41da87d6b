"""Pools of processes and of threads."""

from __future__ import annotations

import importlib
import mmap
import os
import random
import signal
import subprocess
import sys
import threading
import time
from types import ModuleType
from typing import Any

import goprocessing
import pytest
from goprocessing.pool import WorkerDied

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


ENDS = {
    "killed by SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exited with code 3": lambda: os._exit(3),
    "exited with code 0": sys.exit,
}


def end_at_seven(number: int, end: str) -> int:
    if number == 7:
        ENDS[end]()
    return number


class EndsWorker:
    """Ends whoever unpickles it."""

    def __reduce__(self) -> Any:
        return os._exit, (3,)


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


REFUSED = """
from {library} import Pool, pool

for make in Pool, pool.Pool, pool.ThreadPool:
    for processes in 0, -1, "4", 1.5, []:
        try:
            make(processes)
        except Exception as error:
            print(type(error).__name__, error)
"""


def test_no_number_of_processes() -> None:
    """Nothing is left half made, whose end would complain."""
    outputs = []
    for library in ("multiprocessing", "goprocessing"):
        script = [sys.executable, "-c", REFUSED.format(library=library)]
        result = subprocess.run(script, capture_output=True, text=True, timeout=LIMIT)
        assert (result.returncode, result.stderr) == (0, "")
        outputs.append(result.stdout)
    assert outputs[0] == outputs[1]
    assert "'<' not supported between instances of 'str' and 'int'" in outputs[0]


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


def large(_: int) -> bytes:
    return bytes(3 << 20)


def test_terminate_while_results_wait_for_room() -> None:
    """More of them than the standard library then receives: it waits for ever."""
    pool = goprocessing.get_context("fork").Pool(16)
    handler = pool._result_handler
    release = threading.Event()
    for _ in range(100):
        pool.apply_async(large, (0,), callback=lambda _: release.wait(LIMIT))
    for worker in pool._pool:
        until_blocked(worker.pid)
    end = threading.Thread(target=pool.terminate, daemon=True)
    end.start()
    eventually(lambda: handler._state != "RUN")
    until_blocked(os.getpid(), end.native_id)
    release.set()
    end.join(LIMIT)
    assert not end.is_alive()
    pool.join()


def end_at_seven_by_signal(number: int) -> int:
    return end_at_seven(number, "killed by SIGKILL")


def test_a_worker_dies_with_a_task(our_ctx: Any) -> None:
    """The standard library waits for ever. See https://github.com/python/cpython/issues/66587."""
    with our_ctx.Pool(2) as pool:
        for chunksize in (1, 6):
            failed: list[BaseException] = []
            result = pool.map_async(
                end_at_seven_by_signal, range(20), chunksize, error_callback=failed.append
            )
            with pytest.raises(WorkerDied) as caught:
                result.get(LIMIT)
            assert caught.value.exitcode == -signal.SIGKILL
            eventually(lambda failed=failed: failed)
            assert failed == [caught.value]
        assert pool.starmap_async(add, [(1, 2)] * 20, 1).get(LIMIT) == [3] * 20
        pool.close()
        pool.join()


@pytest.mark.parametrize("end", ENDS)
def test_how_a_worker_died(end: str) -> None:
    with goprocessing.get_context("fork").Pool(2) as pool:
        results = [pool.apply_async(end_at_seven, (number, end)) for number in range(20)]
        for number, result in enumerate(results):
            if number == 7:
                with pytest.raises(WorkerDied, match=end):
                    result.get(LIMIT)
            else:
                assert result.get(LIMIT) == number
        pool.close()
        pool.join()


@pytest.mark.parametrize("chunksize", [1, 3])
@pytest.mark.parametrize("order", ["imap", "imap_unordered"])
def test_a_worker_dies_with_a_task_of_an_iterator(order: str, chunksize: int) -> None:
    with goprocessing.get_context("fork").Pool(2) as pool:
        results = getattr(pool, order)(end_at_seven_by_signal, range(20), chunksize)
        seen: list[int] = []
        with pytest.raises(WorkerDied):
            seen.extend(results)
        if chunksize == 1:
            # Each of the others is there, and once.
            seen.extend(results)
            assert sorted(seen) == [number for number in range(20) if number != 7]
        pool.close()
        pool.join()


def test_a_worker_dies_as_it_unpickles_a_task() -> None:
    with goprocessing.get_context("fork").Pool(1) as pool:
        # The first one was not sent, and so has no part in the numbers.
        tasks = (threading.Lock(), 1, EndsWorker(), 3)
        unsent, *results = [pool.apply_async(add, (task, 1)) for task in tasks]
        with pytest.raises(TypeError, match="pickle"):
            unsent.get(LIMIT)
        with pytest.raises(WorkerDied):
            results[1].get(LIMIT)
        assert [results[0].get(LIMIT), results[2].get(LIMIT)] == [2, 4]
        pool.close()
        pool.join()


ran = mmap.mmap(-1, 1 << 12)


def run(number: int) -> int:
    ran[number] += 1
    time.sleep(0.0003)
    return number


@pytest.mark.parametrize("chunksize", [1, 8])
def test_workers_are_killed_at_random(chunksize: int) -> None:
    """Each task ends once, with its result or without, and none runs twice."""
    tasks, kills = len(ran), 0
    ran[:] = bytes(tasks)
    rng = random.Random(chunksize)
    with goprocessing.get_context("fork").Pool(3) as pool:
        ended: list[list[Any]] = [[] for _ in range(tasks)]
        results = []
        for first in range(0, tasks, chunksize):
            numbers = range(first, first + chunksize)
            args, callbacks = (run, numbers, chunksize), [ended[first].append] * 2
            results.append(pool.map_async(*args, *callbacks))
        next_one = 0
        while next_one < len(results):
            results[next_one].wait(LIMIT)
            next_one += rng.randrange(300 // chunksize)
            time.sleep(rng.random() / 500)
            for worker in list(pool._pool)[: rng.choice([1, 1, 2, 3])]:
                worker.kill()
                kills += 1
        for result in results:
            result.wait(LIMIT)
        pool.close()
        pool.join()
    died = 0
    for first in range(0, tasks, chunksize):
        (end,) = ended[first]
        if isinstance(end, WorkerDied):
            assert end.exitcode == -signal.SIGKILL
            died += 1
        else:
            assert end == list(range(first, first + chunksize))
            assert ran[first : first + chunksize] == b"\1" * chunksize
    assert max(ran[:]) == 1
    assert died <= kills
