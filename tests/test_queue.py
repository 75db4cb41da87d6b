"""Queue, over both implementations and all start methods."""

from __future__ import annotations

import itertools
import os
import queue
import threading
import time
from typing import Any

import pytest

from .waiting import eventually, until_blocked

ITEMS = [
    None,
    True,
    False,
    0,
    -1,
    255,
    65536,
    2**31,
    -(2**31) - 1,
    2**63 - 1,
    -(2**63),
    2**64,
    -(2**100),
    0.0,
    -1.5,
    float("inf"),
    "",
    "text",
    "ünïcödé \N{GRINNING FACE}",
    "\0",
    "lone \ud800 surrogate",
    "x" * 255,
    "x" * 256,
    "x" * 70_000,
    b"",
    b"bytes",
    b"x" * 255,
    b"x" * 256,
    b"\0" * 3_000_000,
    bytearray(b"array"),
    (1, "two", [3.0]),
    {"key": {1, 2, 3}},
    [[], {}, ()],
    ValueError("an exception"),
    print,
]


def get_all(q: Any) -> list[Any]:
    items = []
    while not q.empty():
        items.append(q.get())
    return items


def echo(source: Any, target: Any) -> None:
    while (item := source.get()) is not None:
        target.put(item)


def produce(q: Any, begin: int, end: int) -> None:
    for number in range(begin, end):
        q.put(number)


def consume(source: Any, results: Any) -> None:
    numbers = []
    while (item := source.get()) is not None:
        numbers.append(item)
    results.put(numbers)


def put_one(q: Any, item: Any) -> None:
    q.put(item)


def report_state(q: Any, answers: Any) -> None:
    answers.put((q.get(), q.empty(), q.full(), q.qsize()))


@pytest.fixture
def make_queue(ctx: Any) -> Any:
    made = []

    def make(maxsize: int = 0) -> Any:
        q = ctx.Queue(maxsize)
        made.append(q)
        return q

    yield make
    for q in made:
        q.close()
        q.cancel_join_thread()


def test_first_in_first_out(make_queue: Any) -> None:
    q = make_queue()
    for item in ITEMS[:-2]:
        q.put(item)
    assert [q.get() for _ in ITEMS[:-2]] == ITEMS[:-2]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{type(item).__name__}-{repr(item)[:12]}")
def test_items_keep_type_and_value(module: Any, item: Any) -> None:
    q = module.Queue()
    q.put(item)
    got = q.get()
    assert type(got) is type(item)
    assert repr(got) == repr(item)
    q.close()
    q.join_thread()


def test_through_a_process(make_queue: Any, start: Any) -> None:
    to, back = make_queue(), make_queue()
    child = start(echo, to, back)
    for item in ITEMS[1:-2]:
        to.put(item)
        assert back.get() == item
    to.put(None)
    child.join()
    assert child.exitcode == 0


def test_full_and_empty(make_queue: Any) -> None:
    q = make_queue(2)
    q.put("a")
    assert not q.full()
    q.put("b", True, None)
    assert q.full()
    for put in (
        lambda: q.put_nowait("c"),
        lambda: q.put("c", False),
        lambda: q.put("c", block=False, timeout=10),
        lambda: q.put("c", True, 0.01),
        lambda: q.put("c", timeout=0),
        lambda: q.put("c", timeout=-1),
    ):
        with pytest.raises(queue.Full):
            put()
    assert q.get(True, None) == "a"
    assert q.get(timeout=60) == "b"
    for get in (
        lambda: q.get_nowait(),
        lambda: q.get(False),
        lambda: q.get(block=False, timeout=10),
        lambda: q.get(True, 0.01),
        lambda: q.get(timeout=0),
        lambda: q.get(timeout=-1),
    ):
        with pytest.raises(queue.Empty):
            get()
    assert q.empty()
    assert not q.full()


def test_put_by_keyword(make_queue: Any) -> None:
    q = make_queue()
    q.put(obj="first", block=True, timeout=None)
    q.put("second", timeout=1.5)
    assert q.get(block=True, timeout=None) == "first"
    assert q.get(timeout=60) == "second"


def test_a_timeout_lasts(make_queue: Any) -> None:
    q = make_queue(1)
    begin = time.monotonic()
    with pytest.raises(queue.Empty):
        q.get(timeout=0.1)
    assert time.monotonic() - begin >= 0.1
    q.put(None)
    begin = time.monotonic()
    with pytest.raises(queue.Full):
        q.put(None, timeout=0.1)
    assert time.monotonic() - begin >= 0.1


def test_put_wakes_a_blocked_get(make_queue: Any, start: Any) -> None:
    to, back = make_queue(), make_queue()
    child = start(echo, to, back)
    to.put("announce")
    assert back.get() == "announce"
    until_blocked(child.pid)
    to.put("wake")
    assert back.get() == "wake"


def test_get_wakes_a_blocked_put(make_queue: Any, start: Any) -> None:
    q = make_queue(1)
    child = start(produce, q, 0, 3)
    eventually(q.full)
    until_blocked(child.pid)
    assert [q.get() for _ in range(3)] == [0, 1, 2]
    child.join()
    assert child.exitcode == 0


def test_items_put_before_the_start_come_first(make_queue: Any, start: Any) -> None:
    q = make_queue()
    produce(q, 0, 10)
    eventually(lambda: not q.empty())
    child = start(produce, q, 10, 20)
    child.join()
    assert [q.get() for _ in range(20)] == list(range(20))


def test_many_producers_many_consumers(make_queue: Any, start: Any) -> None:
    q, results = make_queue(7), make_queue()
    per_producer = 1000
    consumers = [start(consume, q, results) for _ in range(3)]
    producers = [start(produce, q, i * per_producer, (i + 1) * per_producer) for i in range(3)]
    for process in producers:
        process.join()
    for _ in consumers:
        q.put(None)
    lists = [results.get() for _ in consumers]
    assert sorted(itertools.chain(*lists)) == list(range(3 * per_producer))
    # Each consumer sees each producer's items in order.
    for numbers in lists:
        for i in range(3):
            mine = [n for n in numbers if n // per_producer == i]
            assert mine == sorted(mine)


def test_threads_share_a_queue(make_queue: Any) -> None:
    q = make_queue(5)
    got: list[int] = []

    def take() -> None:
        while (item := q.get()) is not None:
            got.append(item)

    takers = [threading.Thread(target=take) for _ in range(3)]
    givers = [threading.Thread(target=produce, args=(q, i * 500, i * 500 + 500)) for i in range(3)]
    for thread in takers + givers:
        thread.start()
    for thread in givers:
        thread.join()
    for _ in takers:
        q.put(None)
    for thread in takers:
        thread.join()
    assert sorted(got) == list(range(1500))


def test_state_as_another_process_sees_it(make_queue: Any, start: Any) -> None:
    q, answers = make_queue(1), make_queue()
    q.put("only")
    start(report_state, q, answers)
    assert answers.get() == ("only", True, False, 0)
    assert q.empty()
    assert not q.full()
    assert q.qsize() == 0


def test_closed(make_queue: Any) -> None:
    q = make_queue()
    q.put("kept")
    q.close()
    with pytest.raises(ValueError, match="is closed"):
        q.put("refused")
    with pytest.raises(ValueError, match="is closed"):
        q.get()
    q.close()
    q.join_thread()


def test_join_thread_needs_close(make_queue: Any) -> None:
    q = make_queue()
    with pytest.raises(AssertionError):
        q.join_thread()


def test_a_process_that_closed_it_does_not_close_it_for_others(make_queue: Any, start: Any) -> None:
    q = make_queue()
    child = start(put_and_close, q)
    child.join()
    assert child.exitcode == 0
    assert q.get() == "from the child"
    q.put("still open")
    assert q.get() == "still open"


def put_and_close(q: Any) -> None:
    q.put("from the child")
    q.close()
    q.join_thread()


def test_maxsize(make_queue: Any) -> None:
    for unbounded in (0, -1):
        q = make_queue(unbounded)
        for number in range(1000):
            q.put_nowait(number)
        assert not q.full()
        assert [q.get() for _ in range(1000)] == list(range(1000))


def test_is_a_standard_queue(make_queue: Any) -> None:
    import multiprocessing.queues

    assert isinstance(make_queue(), multiprocessing.queues.Queue)


def make_in_child(answers: Any, method: str, module: Any) -> None:
    ctx = __import__(module).get_context(method)
    q = ctx.Queue()
    child = ctx.Process(target=put_one, args=(q, "grandchild"))
    child.start()
    answers.put(q.get())
    child.join()


def test_a_grandchild(make_queue: Any, ctx: Any, module: Any, method: str) -> None:
    answers = make_queue()
    child = ctx.Process(target=make_in_child, args=(answers, method, module.__name__))
    child.start()
    assert answers.get() == "grandchild"
    child.join()
    child.close()


def pass_on(ctx_name: str, module: str, q: Any) -> None:
    child = __import__(module).get_context(ctx_name).Process(target=put_one, args=(q, os.getpid()))
    child.start()
    child.join()


def test_an_unpickled_queue_is_picklable(
    make_queue: Any, start: Any, module: Any, method: str
) -> None:
    q = make_queue()
    child = start_undaemonic(module, method, q)
    assert q.get() == child.pid
    child.join()
    child.close()


def start_undaemonic(module: Any, method: str, q: Any) -> Any:
    child = module.get_context(method).Process(target=pass_on, args=(method, module.__name__, q))
    child.start()
    return child
