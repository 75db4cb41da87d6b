"""SimpleQueue, over both implementations and all start methods."""

from __future__ import annotations

import multiprocessing.queues
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import goprocessing
import pytest
from goprocessing import queues

from .test_queue import echo, produce
from .waiting import until_blocked


@pytest.fixture
def simple(ctx: Any) -> Any:
    q = ctx.SimpleQueue()
    yield q
    q.close()


def serve(requests: Any) -> None:
    while (received := requests.get()) is not None:
        received.put("answer")


def square(number: int) -> int:
    return number * number


def fail(number: int) -> int:
    raise ValueError(number)


def test_through_a_process(simple: Any, ctx: Any, start: Any) -> None:
    back = ctx.SimpleQueue()
    child = start(echo, simple, back)
    for item in (1, "text", b"x" * 1_000_000, [None, {}], Exception("an exception")):
        simple.put(item)
        assert repr(back.get()) == repr(item)
    simple.put(None)
    child.join()
    assert child.exitcode == 0
    back.close()


def test_empty(simple: Any) -> None:
    assert simple.empty() is True
    simple.put("item")
    assert simple.empty() is False
    assert simple.get() == "item"
    assert simple.empty() is True


def test_closed(simple: Any) -> None:
    simple.put("item")
    simple.close()
    assert simple._reader.closed
    assert simple._writer.closed
    for use in (simple.empty, simple.get, lambda: simple.put("refused")):
        with pytest.raises(OSError, match="is closed"):
            use()
    simple.close()


def test_the_unpicklable_raises(simple: Any) -> None:
    with pytest.raises((pickle.PicklingError, TypeError, AttributeError)):
        simple.put(threading.Lock())
    simple.put("item")
    assert simple.get() == "item"


def test_many_processes(simple: Any, ctx: Any, start: Any) -> None:
    back = ctx.SimpleQueue()
    producers = [start(produce, simple, i * 300, i * 300 + 300) for i in range(3)]
    consumers = [start(echo, simple, back) for _ in range(2)]
    assert sorted(back.get() for _ in range(900)) == list(range(900))
    for process in producers:
        process.join()
    for _ in consumers:
        simple.put(None)
    for process in consumers:
        process.join()
    back.close()


def test_get_blocks(simple: Any, ctx: Any, start: Any) -> None:
    back = ctx.SimpleQueue()
    child = start(echo, simple, back)
    until_blocked(child.pid)
    simple.put("item")
    assert back.get() == "item"
    back.close()


def test_the_lock_keeps_getters_away(simple: Any, ctx: Any, start: Any) -> None:
    """What Pool does to empty its queue."""
    back = ctx.SimpleQueue()
    assert simple._rlock.acquire()
    child = start(echo, simple, back)
    simple.put("item")
    until_blocked(child.pid)
    assert simple._reader.poll()
    assert simple._reader.recv() == "item"
    assert not simple._reader.poll()
    simple._rlock.release()
    simple.put("next")
    assert back.get() == "next"
    back.close()


def test_generic_alias(ctx: Any) -> None:
    cls = type(ctx.SimpleQueue())
    assert cls[int].__origin__ is cls


def test_pool(ctx: Any) -> None:
    with ctx.Pool(2) as pool:
        assert pool.map(square, range(50)) == [n * n for n in range(50)]
        assert sorted(pool.imap_unordered(square, range(20), 3)) == [n * n for n in range(20)]
        with pytest.raises(ValueError, match="7"):
            pool.apply(fail, (7,))
        pool.close()
        pool.join()


def test_executor(ctx: Any) -> None:
    with ProcessPoolExecutor(2, mp_context=ctx) as executor:
        assert list(executor.map(square, range(50))) == [n * n for n in range(50)]
        assert isinstance(executor.submit(fail, 7).exception(60), ValueError)


# ---- ours ----


def test_is_a_standard_simple_queue(our_ctx: Any) -> None:
    q = our_ctx.SimpleQueue()
    assert isinstance(q, multiprocessing.queues.SimpleQueue)
    assert type(q) is queues.SimpleQueue
    assert isinstance(q._reader, goprocessing.connection.Connection)


def test_to_a_process_that_already_runs(our_ctx: Any, our_start: Any) -> None:
    requests, sent = our_ctx.SimpleQueue(), our_ctx.SimpleQueue()
    child = our_start(serve, requests)
    until_blocked(child.pid)
    requests.put(sent)
    assert sent.get() == "answer"
    requests.put(None)
    child.join()
    assert child.exitcode == 0


def test_a_getter_is_killed(our_ctx: Any, our_start: Any) -> None:
    """While it waits in get(), and so has the lock."""
    q, back = our_ctx.SimpleQueue(), our_ctx.SimpleQueue()
    first = our_start(echo, q, back)
    until_blocked(first.pid)
    second = our_start(echo, q, back)
    until_blocked(second.pid)
    first.kill()
    first.join()
    q.put("item")
    assert back.get() == "item"
    second.kill()
    second.join()
    q.put("last")
    assert q.get() == "last"
    back.close()
