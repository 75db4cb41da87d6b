"""Each allocation of Python's fails in turn: MemoryError, and the object is as good as before."""

from __future__ import annotations

import gc
import os
import pickle
import queue
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import goprocessing
import pytest
from goprocessing import _engine

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
        q.get_bytes()
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


@pytest.mark.parametrize("size", [300, 300_000])
def test_put_bytes_and_get_bytes(make: Any, size: int) -> None:
    q = make()

    def use() -> None:
        q.put_bytes(bytes(size))
        q.get_bytes()

    use()
    fail_each(use, lambda: drain(q))
    q.put_bytes(bytes(size))
    assert q.get_bytes() == bytes(size)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_codecs() -> None:
    """Those in C: a frame that there is no memory for is a SystemError in CPython 3.11."""
    codec: Any = SimpleNamespace(encode=bytes.fromhex, decode=int)
    q: Any = _engine.Queue(codec=codec)

    def use() -> None:
        q.put("3132")
        q.put_many(["33", "34"])
        assert q.get() == 12
        q.get_many()
        q.put_bytes(b"no number")
        try:
            q.get()
        except ValueError:
            pass
        q.put_bytes(b"no number")
        try:
            q.get_many()
        except ValueError:
            pass

    use()
    assert fail_each(use, lambda: drain(q)) > 10
    q.put("35")
    assert q.get() == 5


def test_names() -> None:
    name = f"test-allocations-{os.getpid()}"

    def use() -> None:
        _engine.open_queue(_engine.Queue, (None,), name, _engine.GOP_CREATE, 3)
        _engine.names()
        _engine.unlink(name)
        _engine.open_slot(_engine.Event, (), name, _engine.GOP_CREATE, _engine.GOP_SLOT_EVENT)
        try:
            _engine.open_queue(_engine.Queue, (None,), name, _engine.GOP_OPEN, 3)
        except OSError:
            pass
        _engine.unlink(name)
        try:
            _engine.open_pipe(_engine.Connection, name, True, True, 0)
        except OSError:
            pass

    def clear() -> None:
        with suppress(FileNotFoundError):
            _engine.unlink(name)

    use()
    assert fail_each(use, clear) > 5


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
