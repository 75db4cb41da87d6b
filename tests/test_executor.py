"""ProcessPoolExecutor, over both implementations and all start methods."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import goprocessing
import pytest

from .test_scripts import SCRIPTS, lines, run
from .waiting import eventually

initialized: Any = None


@pytest.fixture
def executor(ctx: Any) -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, mp_context=ctx) as executor:
        yield executor


def fail(text: str) -> None:
    raise LookupError(text)


def initialize(value: Any) -> None:
    global initialized
    initialized = value


def add(number: int) -> int:
    with initialized.get_lock():
        initialized.value += number
        return initialized.value


def wait_for(event: Any) -> None:
    event.wait()


class InInitializer:
    """Reaches a worker by inheritance, as the standard library requires."""

    event: Any = None

    @classmethod
    def set(cls, event: Any) -> None:
        cls.event = event

    @classmethod
    def wait(cls) -> None:
        cls.event.wait()


def test_map(executor: ProcessPoolExecutor) -> None:
    numbers = range(-50, 50)
    assert list(executor.map(abs, numbers)) == [abs(number) for number in numbers]
    assert list(executor.map(divmod, numbers, [7] * 100, chunksize=9)) == [
        divmod(number, 7) for number in numbers
    ]


def test_submit(executor: ProcessPoolExecutor) -> None:
    futures = [executor.submit(pow, 2, n) for n in range(200)]
    assert {f.result() for f in concurrent.futures.as_completed(futures)} == {
        2**n for n in range(200)
    }
    large = b"x" * (3 << 20)
    assert executor.submit(bytes.upper, large).result() == large.upper()


def test_exceptions(executor: ProcessPoolExecutor) -> None:
    future = executor.submit(fail, "there")
    error = future.exception()
    assert isinstance(error, LookupError)
    assert error.args == ("there",)
    assert "in fail" in str(error.__cause__)
    results = executor.map(fail, ["first", "second"])
    with pytest.raises(LookupError, match="first"):
        next(results)


def test_what_cannot_be_pickled(executor: ProcessPoolExecutor) -> None:
    for arguments in (len, [lambda: 0]), (eval, "lambda: 0"):
        with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
            executor.submit(*arguments).result()
    assert executor.submit(abs, -1).result() == 1


def test_initializer(ctx: Any) -> None:
    total = ctx.Value("i", 0)
    with ProcessPoolExecutor(2, ctx, initialize, (total,)) as executor:
        assert max(executor.map(add, [1] * 100)) == 100
    assert total.value == 100


def test_an_initializer_that_fails(ctx: Any) -> None:
    with ProcessPoolExecutor(1, ctx, fail, ("in the initializer",)) as executor:
        with pytest.raises(BrokenProcessPool):
            executor.submit(abs, 1).result()
        with pytest.raises(BrokenProcessPool):
            executor.submit(abs, 1)


def test_tasks_per_child(ctx: Any, method: str) -> None:
    if method == "fork":
        with pytest.raises(ValueError, match="fork"):
            ProcessPoolExecutor(1, ctx, max_tasks_per_child=2)
        return
    with ProcessPoolExecutor(1, ctx, max_tasks_per_child=2) as executor:
        # One after the other: the executor may hang otherwise (CPython issue 115634).
        pids = [executor.submit(os.getpid).result() for _ in range(6)]
    assert [pids.count(pid) for pid in pids] == [2] * 6


@pytest.mark.parametrize("stuck", [False, True])
def test_a_worker_that_is_killed(executor: ProcessPoolExecutor, stuck: bool) -> None:
    """The fixture nothing_left sees to it that the others go as well."""
    assert executor.submit(abs, -1).result() == 1
    if stuck:
        future = executor.submit(signal.pause)
        eventually(future.running)
    assert executor._processes is not None
    os.kill(next(iter(executor._processes)), signal.SIGKILL)
    if stuck:
        with pytest.raises(BrokenProcessPool):
            future.result()

    def broken() -> bool:
        try:
            executor.submit(abs, 1).result()
        except BrokenProcessPool:
            return True
        return False

    eventually(broken)


def test_a_worker_that_kills_itself(executor: ProcessPoolExecutor) -> None:
    with pytest.raises(BrokenProcessPool):
        executor.submit(os._exit, 1).result()


def test_shutdown_that_cancels(ctx: Any) -> None:
    event = ctx.Event()
    with ProcessPoolExecutor(1, ctx, InInitializer.set, (event,)) as executor:
        futures = [executor.submit(InInitializer.wait) for _ in range(20)]
        shutdown = threading.Thread(target=executor.shutdown, kwargs={"cancel_futures": True})
        try:
            eventually(futures[0].running)
            shutdown.start()
            eventually(futures[-1].cancelled)
        finally:
            event.set()
        shutdown.join()
        assert futures[0].result() is None
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            executor.submit(abs, 1)


def test_left_without_shutdown(ctx: Any) -> None:
    executor = ProcessPoolExecutor(1, ctx)
    future = executor.submit(abs, -1)
    manager: Any = executor._executor_manager_thread  # type: ignore[attr-defined]
    del executor
    assert future.result() == 1
    manager.join()


def test_primitives_as_arguments(our_ctx: Any) -> None:
    """What the standard library shares "only through inheritance"."""
    event, q = our_ctx.Event(), our_ctx.Queue()
    with ProcessPoolExecutor(1, our_ctx) as executor:
        future = executor.submit(wait_for, event)
        event.set()
        future.result()
        executor.submit(q.put, "item").result()
        assert q.get() == "item"


@pytest.mark.parametrize("as_module", [False, True])
def test_no_feeder_thread(our_ctx: Any, in_force: str, as_module: bool) -> None:
    before = set(threading.enumerate())
    with ProcessPoolExecutor(1, goprocessing if as_module else our_ctx) as executor:
        assert executor.submit(abs, -1).result() == 1
        [thread] = set(threading.enumerate()) - before
        assert thread is executor._executor_manager_thread  # type: ignore[attr-defined]
        assert isinstance(executor._call_queue, goprocessing.queues.Queue)


def test_other_contexts_have_their_own_queue(our_ctx: Any) -> None:
    """Also beside an executor of ours."""
    our_ctx.get_start_method()
    with ProcessPoolExecutor(1, multiprocessing.get_context(our_ctx.get_start_method())) as other:
        assert other.submit(abs, -1).result() == 1
        assert not isinstance(other._call_queue, goprocessing.queues.Queue)


def test_after_install(method: str, tmp_path: Path) -> None:
    """Without mp_context, with the import and by `python -m goprocessing`."""
    plain = SCRIPTS / "executor.py"
    script = tmp_path / "script.py"
    script.write_text("import goprocessing; goprocessing.install()\n" + plain.read_text())
    expected = lines(run(plain, method))
    assert expected[0] == "map: 4950 4950"
    assert lines(run(script, method)) == expected
    assert lines(run("-m", "goprocessing", plain, method)) == expected
