"""put_bytes and get_bytes of queues."""

from __future__ import annotations

import pickle
import queue
import threading
from typing import Any

import goprocessing
import pytest
from goprocessing import ShutDown

from .test_large_items import Array, pattern
from .waiting import until_blocked

KINDS = ["Queue", "JoinableQueue"]
SIZES = [0, 1, 2047, 2048, 2049, 65_536, 100_000, 3_000_000]


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Any:
    return getattr(goprocessing, request.param)


def echo(to: Any, back: Any) -> None:
    while data := to.get_bytes():
        back.put_bytes(data)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview])
def test_what_goes_in_comes_out(make: Any, convert: Any, size: int) -> None:
    q = make()
    q.put_bytes(convert(pattern(size)))
    got = q.get_bytes()
    assert type(got) is bytes
    assert got == pattern(size)


def test_other_buffers(make: Any) -> None:
    q = make()
    q.put_bytes(memoryview(pattern(100)).cast("I"))
    assert q.get_bytes() == pattern(100)
    with pytest.raises(BufferError):
        q.put_bytes(memoryview(pattern(100))[::2])
    with pytest.raises(TypeError, match="a bytes-like object is required, not 'str'"):
        q.put_bytes("text")
    assert q.empty()


def test_through_a_process(our_ctx: Any, our_start: Any) -> None:
    to, back = our_ctx.Queue(), our_ctx.JoinableQueue()
    child = our_start(echo, to, back)
    for size in SIZES[1:]:
        to.put_bytes(pattern(size))
        assert back.get_bytes() == pattern(size)
    to.put_bytes(b"")
    child.join()
    assert child.exitcode == 0


def test_get_bytes_of_an_object_is_its_pickle(make: Any) -> None:
    q = make()
    for obj in 1, "text", b"x" * 100_000, [None, {"a": 1.5}], Array(pattern(100_000)):
        q.put(obj)
        assert pickle.loads(q.get_bytes()) == obj


def test_get_of_bytes_unpickles_them(make: Any) -> None:
    q = make()
    for obj in 1, ["a", "list"], pattern(100_000):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            q.put_bytes(pickle.dumps(obj, protocol))
            assert q.get() == obj
            q.put_bytes(pickle.dumps(obj, protocol))
            assert q.get_many() == [obj]


@pytest.mark.parametrize("data", [b"", b"no pickle", b"\0" * 100_000])
def test_get_of_bytes_that_are_no_pickle(make: Any, data: bytes) -> None:
    """As pickle.loads says it; the item is taken all the same."""
    with pytest.raises((pickle.UnpicklingError, EOFError)) as expected:
        pickle.loads(data)
    q = make()
    for get in q.get, q.get_many:
        q.put_bytes(data)
        q.put("next")
        with pytest.raises(expected.type) as raised:
            get()
        assert str(raised.value) == str(expected.value)
        others = getattr(raised.value, "items", None) or [q.get()]
        assert others == ["next"]
        assert q.empty()


def test_in_order_with_objects(make: Any) -> None:
    q = make()
    q.put_bytes(b"first")
    q.put("second")
    q.put_many([b"third"])
    q.put_bytes(pattern(100_000))
    assert q.qsize() == 4
    assert q.get_bytes() == b"first"
    assert q.get() == "second"
    assert q.get() == b"third"
    assert q.get_bytes() == pattern(100_000)


def test_does_not_wait(make: Any) -> None:
    q = make(1)
    for limit in {"block": False}, {"timeout": 0.001}, {"block": True, "timeout": -1}:
        with pytest.raises(queue.Empty):
            q.get_bytes(**limit)
        q.put_bytes(b"full", **limit)
        with pytest.raises(queue.Full):
            q.put_bytes(b"more", **limit)
        assert q.get_bytes(**limit) == b"full"
        q.put(Array(pattern(100_000)))
        assert len(q.get_bytes(**limit)) > 100_000


def test_waits(make: Any) -> None:
    q = make(1)
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(q.get_bytes(True, 60)))
    thread.start()
    assert thread.native_id is not None
    until_blocked(threading.main_thread().native_id or 0, thread.native_id)
    q.put_bytes(b"data")
    thread.join()
    assert got == [b"data"]
    q.put_bytes(b"full")
    thread = threading.Thread(target=q.put_bytes, args=(b"more",), kwargs={"timeout": 60})
    thread.start()
    assert thread.native_id is not None
    until_blocked(threading.main_thread().native_id or 0, thread.native_id)
    assert q.get_bytes() == b"full"
    thread.join()
    assert q.get_bytes() == b"more"


def test_shut_down_and_closed(make: Any) -> None:
    q = make()
    q.put_bytes(b"last")
    q.shutdown()
    with pytest.raises(ShutDown):
        q.put_bytes(b"more")
    assert q.get_bytes() == b"last"
    with pytest.raises(ShutDown):
        q.get_bytes()
    q.close()
    for call in q.get_bytes, lambda: q.put_bytes(b"more"):
        with pytest.raises(ValueError, match="is closed"):
            call()


def test_the_buffer_is_released(make: Any) -> None:
    q = make(1)
    data = bytearray(pattern(100_000))
    q.put_bytes(data)
    with pytest.raises(queue.Full):
        q.put_bytes(data, False)
    data.clear()
    assert q.get_bytes() == pattern(100_000)


def test_a_consumer_in_between_takes_no_bytes_for_a_pickle() -> None:
    """Who finds an item with buffers may get the next one, which need not be a pickle."""
    q = goprocessing.Queue()
    rounds, consumers = 200, 4
    results: list[list[bytes]] = [[] for _ in range(consumers)]

    def consume(into: list[bytes]) -> None:
        while data := q.get_bytes():
            into.append(data[:9])

    threads = [threading.Thread(target=consume, args=(into,)) for into in results]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        q.put(Array(pattern(70_000)))
        q.put_bytes(b"no pickle")
    for _ in threads:
        q.put_bytes(b"")
    for thread in threads:
        thread.join()
    got = [data for into in results for data in into]
    assert len(got) == 2 * rounds
    assert got.count(b"no pickle") == rounds
