"""Queue.shutdown: as CPython 3.13's queue.Queue has it, and between processes."""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import goprocessing
import pytest
from goprocessing.queues import ShutDown

from .waiting import eventually, until_blocked

KINDS: dict[str, Any] = {"ours": goprocessing.JoinableQueue}
if sys.version_info >= (3, 13):
    KINDS["stdlib"] = queue.Queue


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Any:
    """Queues with tasks, of threads in the standard library."""
    return KINDS[request.param]


class Blocked:
    """A call in a thread, which is to block."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self.result: object = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        eventually(lambda: self._thread.native_id)
        until_blocked_thread(self._thread)

    def _run(self) -> None:
        try:
            self.result = self._call()
        except BaseException as error:
            self.result = type(error)

    def end(self) -> object:
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self.result


def until_blocked_thread(thread: threading.Thread) -> None:
    until_blocked(os.getpid(), thread.native_id)


def refused(q: Any) -> None:
    with pytest.raises(ShutDown):
        q.put("late")
    with pytest.raises(ShutDown):
        q.put("late", timeout=0.01)
    with pytest.raises(ShutDown):
        q.put_nowait("late")


def over(q: Any) -> None:
    """Nothing to put, nothing to get."""
    refused(q)
    with pytest.raises(ShutDown):
        q.get()
    with pytest.raises(ShutDown):
        q.get(timeout=0.01)
    with pytest.raises(ShutDown):
        q.get_nowait()
    assert q.qsize() == 0
    assert q.empty()


def test_items_can_be_got_afterwards(make: Any) -> None:
    q = make()
    for item in range(3):
        q.put(item)
    q.shutdown()
    refused(q)
    assert q.qsize() == 3
    assert [q.get(), q.get(timeout=1), q.get_nowait()] == [0, 1, 2]
    over(q)


def test_a_full_queue_is_shut_down(make: Any) -> None:
    q = make(1)
    q.put("item")
    q.shutdown()
    refused(q)
    assert q.full()
    assert q.get() == "item"
    over(q)


@pytest.mark.parametrize("items", range(4))
def test_immediately(make: Any, items: int) -> None:
    q = make()
    for item in range(items):
        q.put(item)
    q.shutdown(immediate=True)
    over(q)
    q.join()
    with pytest.raises(ValueError, match="too many times"):
        q.task_done()


def test_again(make: Any) -> None:
    q = make()
    q.put("item")
    q.shutdown()
    q.shutdown(False)
    assert q.qsize() == 1
    q.shutdown(True)
    over(q)
    q.shutdown()
    q.shutdown(True)
    over(q)


def test_tasks_are_done_afterwards(make: Any) -> None:
    q = make()
    for item in range(3):
        q.put(item)
    q.get()
    q.shutdown()
    joiner = Blocked(q.join)
    for _ in range(2):
        q.task_done()
        q.get()
    q.task_done()
    assert joiner.end() is None
    with pytest.raises(ValueError, match="too many times"):
        q.task_done()


def test_immediately_with_tasks_under_way(make: Any) -> None:
    q = make()
    for item in range(5):
        q.put(item)
    q.get()
    q.get()
    joiner = Blocked(q.join)
    q.shutdown(immediate=True)
    q.task_done()
    assert joiner.result is None
    q.task_done()
    assert joiner.end() is None
    with pytest.raises(ValueError, match="too many times"):
        q.task_done()


def test_immediately_with_tasks_done_in_advance(make: Any) -> None:
    q = make()
    for item in range(3):
        q.put(item)
    q.task_done()
    q.task_done()
    q.shutdown(immediate=True)
    q.join()
    with pytest.raises(ValueError, match="too many times"):
        q.task_done()


@pytest.mark.parametrize("immediate", [False, True])
def test_who_is_blocked_is_woken(make: Any, immediate: bool) -> None:
    empty, full = make(), make(1)
    full.put("item")
    getters = [Blocked(empty.get), Blocked(lambda: empty.get(timeout=60))]
    putters = [Blocked(lambda: full.put("x")), Blocked(lambda: full.put("x", timeout=60))]
    joiner = Blocked(full.join)
    empty.shutdown(immediate)
    full.shutdown(immediate)
    assert [blocked.end() for blocked in getters + putters] == [ShutDown] * 4
    if not immediate:
        assert full.get() == "item"
        full.task_done()
    assert joiner.end() is None


def test_the_exception() -> None:
    if sys.version_info >= (3, 13):
        assert ShutDown is queue.ShutDown
    assert issubclass(ShutDown, Exception)
    assert pickle.loads(pickle.dumps(ShutDown)) is ShutDown
    assert type(pickle.loads(pickle.dumps(ShutDown("text")))) is ShutDown


def test_a_queue_that_was_closed_here() -> None:
    q = goprocessing.Queue()
    q.put("item")
    q.close()
    q.shutdown(immediate=True)
    assert q.qsize() == 0


def test_arguments() -> None:
    q: Any = goprocessing.Queue()
    with pytest.raises(TypeError):
        q.shutdown(True, True)
    with pytest.raises(TypeError):
        q.shutdown(now=True)
    q.put("still open")


# ---- between processes ----


@pytest.fixture
def our_queue(our_ctx: Any) -> Iterator[Callable[..., Any]]:
    made = []

    def make(maxsize: int = 0) -> Any:
        made.append(our_ctx.JoinableQueue(maxsize))
        return made[-1]

    yield make
    for q in made:
        q.close()


def tell(results: Any, call: str, q: Any, *args: Any) -> None:
    try:
        results.put(getattr(q, call)(*args))
    except Exception as error:
        results.put(error)


def shut_down(q: Any, immediate: bool) -> None:
    q.shutdown(immediate=immediate)


def get_all(q: Any, results: Any) -> None:
    items = []
    while True:
        try:
            items.append(q.get())
        except ShutDown:
            results.put(items)
            return


def put_all(q: Any, first: int, results: Any) -> None:
    for number in range(first, sys.maxsize):
        try:
            q.put(number)
        except ShutDown:
            results.put(number)
            return


@pytest.mark.parametrize("immediate", [False, True])
def test_who_is_blocked_elsewhere_is_woken(our_queue: Any, our_start: Any, immediate: bool) -> None:
    empty, full, results = our_queue(), our_queue(1), our_queue()
    full.put("item")
    children = [
        our_start(tell, results, "get", empty),
        our_start(tell, results, "put", full, "more"),
        our_start(tell, results, "get", empty, True, 60),
    ]
    for child in children:
        until_blocked(child.pid)
    empty.shutdown(immediate)
    full.shutdown(immediate)
    for _ in children:
        assert type(results.get()) is ShutDown


def test_who_joins_elsewhere_is_woken(our_queue: Any, our_start: Any) -> None:
    q, results = our_queue(), our_queue()
    q.put("item")
    child = our_start(tell, results, "join", q)
    until_blocked(child.pid)
    q.shutdown(immediate=True)
    assert results.get() is None


@pytest.mark.parametrize("immediate", [False, True])
def test_by_another_process(our_queue: Any, our_start: Any, immediate: bool) -> None:
    q = our_queue()
    q.put("item")
    blocked = Blocked(lambda: our_queue().join() or q.join())
    our_start(shut_down, q, immediate).join()
    refused(q)
    if not immediate:
        assert q.get() == "item"
        q.task_done()
    over(q)
    assert blocked.end() is None


@pytest.mark.parametrize("maxsize", [0, 2])
def test_what_was_put_before_is_got(our_queue: Any, our_start: Any, maxsize: int) -> None:
    q, puts, gets = our_queue(maxsize), our_queue(), our_queue()
    step = 10**9
    for i in range(2):
        our_start(get_all, q, gets)
        our_start(put_all, q, i * step, puts)
    first = q.get()
    q.shutdown()
    ends = sorted(puts.get() for _ in range(2))
    got = sorted([first, *gets.get(), *gets.get()])
    assert got == [*range(ends[0]), *range(step, ends[1])]


def test_a_queue_sent_after_its_shutdown(our_queue: Any, our_start: Any) -> None:
    q, results = our_queue(), our_queue()
    q.shutdown()
    our_start(tell, results, "put", q, "late")
    assert type(results.get()) is ShutDown


def test_the_class_of_this_module_is_queues() -> None:
    assert ShutDown.__module__ in ("queue", "goprocessing.queues")
