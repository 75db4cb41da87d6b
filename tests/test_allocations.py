"""Each allocation of Python's fails in turn: MemoryError, and the object is as good as before."""

from __future__ import annotations

import gc
import pickle
import queue
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import goprocessing
import pytest

from .test_memory import MIB, held

_testcapi = pytest.importorskip("_testcapi", reason="CPython has been installed without its tests")


@pytest.fixture(autouse=True)
def no_collections() -> Iterator[None]:
    """Their callbacks, and what they end, would be short of memory too."""
    gc.disable()
    yield
    gc.enable()


def fails(use: Callable[[], object], number: int) -> bool:
    """Whether it raises MemoryError if that allocation fails."""
    try:
        _testcapi.set_nomemory(number, number + 1)
        try:
            use()
        finally:
            _testcapi.remove_mem_hooks()
    except MemoryError:
        return True
    return False


def fail_each(use: Callable[[], object], restore: Callable[[], None]) -> int:
    """Fails them one by one, until several are not needed; says how many were."""
    failed = needless = number = 0
    while needless < 10:
        if fails(use, number):
            failed += 1
            needless = 0
        else:
            needless += 1
        restore()
        number += 1
    return failed


def pair(size: int) -> list[pickle.PickleBuffer]:
    return [pickle.PickleBuffer(bytearray(size)) for _ in range(2)]


# No pickle of which runs Python code, which CPython may end with a SystemError.
ITEMS = [7, 2**70, "text", "\ud800", b"x" * 300_000, {"key": [1.5, None]}, bytearray(MIB)]
KINDS = {
    "Queue": goprocessing.Queue,
    "JoinableQueue": goprocessing.JoinableQueue,
    "a queue that redelivers": lambda: goprocessing.JoinableQueue(redeliver=True),
}


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]


def drain(q: Any) -> None:
    while not q.empty():
        q.get()
    with suppress(AttributeError, ValueError):
        while True:
            q.task_done()


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(item).__name__)
def test_put_and_get(make: Any, item: Any) -> None:
    q = make()

    def use() -> None:
        q.put(item)
        q.get()

    use()
    fail_each(use, lambda: drain(q))
    q.put(item)
    assert q.get() == item


def test_put_many_and_get_many(make: Any) -> None:
    q = make()

    def use() -> None:
        q.put_many(ITEMS[:-1])
        while not q.empty():
            q.get_many()

    use()
    assert fail_each(use, lambda: drain(q)) > 10
    q.put_many(ITEMS)
    assert [q.get() for _ in ITEMS] == ITEMS


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_exceptions() -> None:
    q: Any = goprocessing.Queue(1)

    def use() -> None:
        with suppress(queue.Full):
            q.put_many([1, 2, 3], block=False)
        q.get()
        with suppress(queue.Empty):
            q.get(timeout=0)

    use()
    assert fail_each(use, lambda: drain(q)) > 0
    q.put("works")
    assert q.get() == "works"


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(item).__name__)
def test_connections(item: Any) -> None:
    a, b = goprocessing.Pipe()

    def use() -> None:
        a.send(item)
        b.recv()

    def receive_the_rest() -> None:
        while b.poll():
            b.recv()

    with a, b:
        use()
        fail_each(use, receive_the_rest)
        a.send(item)
        assert b.recv() == item


@pytest.mark.parametrize("number", range(12))
def test_what_was_received_is_given_back(number: int) -> None:
    q: Any = goprocessing.Queue()
    q.put(pair(MIB))
    q.get()
    before = held(q._fileno())
    for _ in range(20):
        q.put(pair(MIB))
        fails(q.get, number)
        drain(q)
    assert held(q._fileno()) - before < 10 * MIB
