"""Queues whose items are not pickles."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import goprocessing
import msgpack
import pytest
from goprocessing import queues

from .forks import exit_code, fork
from .test_large_items import Array, pattern

KINDS = ["Queue", "JoinableQueue"]
CODECS = ["bytes", "json", "msgpack"]
PLAIN = [
    None, True, 0, -1, 2**63 - 1, -(2**63), 1.5, "", "text", "\u00e4\u20ac\U0001f600",
    [], [1, [2, [3]]], {}, {"a": {"b": [None]}}, "x" * 100_000, list(range(30_000)),
]  # fmt: skip
ITEMS: dict[str, list[Any]] = {
    "bytes": [b"", b"bytes", b"N.", pattern(3000), pattern(100_000)],
    "json": [*PLAIN, 2**70],
    "msgpack": [*PLAIN, 2**64 - 1, b"bytes", pattern(100_000), math.inf, {1: "a", b"b": 2}],
}
ENCODED: dict[str, bytes] = {
    "json": b'{"a":["\xc3\xa4",1]}',
    "msgpack": b"\x81\xa1a\x92\xa2\xc3\xa4\x01",
}


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Any:
    return getattr(goprocessing, request.param)


@pytest.fixture(params=CODECS)
def codec(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def echo(to: Any, back: Any) -> None:
    while (item := to.get()) != to.get():
        back.put(item)


def send_back(to: Any, back: Any, received: Any) -> None:
    back.put(to)
    received.wait()


class Sub(queues.Queue[Any]):
    pass


# ---- what goes in comes out ----


def test_items(make: Any, codec: str) -> None:
    q = make(codec=codec)
    for item in ITEMS[codec]:
        q.put(item)
        got = q.get()
        assert (type(got), got) == (type(item), item)
    q.put_many(ITEMS[codec])
    items: list[Any] = []
    while not q.empty():
        items += q.get_many()
    assert items == ITEMS[codec]


def test_what_is_in_the_queue(make: Any, codec: str) -> None:
    q = make(codec=codec)
    if codec == "bytes":
        q.put(b"as they are")
        assert q.get_bytes() == b"as they are"
        return
    item, encoded = {"a": ["\u00e4", 1]}, ENCODED[codec]
    q.put(item)
    assert q.get_bytes() == encoded
    q.put_many([item])
    assert q.get_bytes() == encoded
    q.put_bytes(encoded)
    q.put_bytes(encoded)
    assert q.get() == item
    assert q.get_many() == [item]


@pytest.mark.parametrize("convert", [bytes, bytearray, memoryview])
def test_bytes_like_objects(make: Any, convert: Any) -> None:
    q = make(codec="bytes")
    q.put(convert(b"data"))
    q.put_many([convert(b"more")])
    assert [q.get(), q.get()] == [b"data", b"more"]


def test_json_of_others() -> None:
    q = goprocessing.Queue(codec="json")
    q.put_bytes(b' {"a" : "\\u00e4"}\n')
    assert q.get() == {"a": "\u00e4"}


def test_tuples_arrive_as_lists() -> None:
    for codec in "json", "msgpack":
        q = goprocessing.Queue(codec=codec)  # type: ignore[arg-type]
        q.put(("a", (1, 2)))
        assert q.get() == ["a", [1, 2]]


def test_the_ends(codec: str) -> None:
    q = goprocessing.Queue(codec=codec)  # type: ignore[arg-type]
    item = ITEMS[codec][1]
    q._writer.send(item)
    assert q._reader.recv() == item
    q._writer.send(item)
    q._writer.send_bytes(q._reader.recv_bytes())
    assert q.get() == item


# ---- other processes ----


def test_a_process_that_is_passed_the_queue(codec: str, our_ctx: Any, our_start: Any) -> None:
    to, back = our_ctx.Queue(codec=codec), our_ctx.JoinableQueue(codec=codec)
    child = our_start(echo, to, back)
    for item in ITEMS[codec]:
        to.put_many([item, b"more" if codec == "bytes" else "more"])
        assert back.get() == item
    to.put_many([ITEMS[codec][1]] * 2)
    child.join()
    assert child.exitcode == 0


def test_a_queue_that_is_sent(codec: str, our_ctx: Any, our_start: Any) -> None:
    q, back = our_ctx.Queue(codec=codec), our_ctx.Queue()
    back.put(q)
    again = back.get()
    received = our_ctx.Event()
    child = our_start(send_back, q, back, received)
    for each in again, back.get():
        assert each._codec is q._codec
        each.put(ITEMS[codec][1])
        assert q.get() == ITEMS[codec][1]
    received.set()
    child.join()


def test_a_subclass() -> None:
    q, carrier = Sub(codec="json"), goprocessing.Queue()
    q.note = "kept"  # type: ignore[attr-defined]
    carrier.put(q)
    got = carrier.get()
    assert (type(got), got.note) == (Sub, "kept")
    got.put([1])
    assert q.get_bytes() == b"[1]"


# ---- what a codec cannot carry ----

NOT_CARRIED: list[tuple[str, Any, type[Exception], str]] = [
    ("bytes", "text", TypeError, "a bytes-like object is required, not 'str'"),
    ("bytes", None, TypeError, "a bytes-like object is required, not 'NoneType'"),
    ("bytes", memoryview(b"data")[::2], BufferError, "contiguous"),
    ("json", {1, 2}, TypeError, "Object of type set is not JSON serializable"),
    ("json", [b"bytes"], TypeError, "Object of type bytes is not JSON serializable"),
    ("json", math.nan, ValueError, "Out of range float values are not JSON compliant"),
    ("json", {(1, 2): 3}, TypeError, "keys must be str"),
    ("json", "\ud800", UnicodeEncodeError, "surrogates not allowed"),
    ("msgpack", {1, 2}, TypeError, "can not serialize 'set' object"),
    ("msgpack", [2**64], OverflowError, "Integer value out of range"),
    ("msgpack", "\ud800", UnicodeEncodeError, "surrogates not allowed"),
]


@pytest.mark.parametrize(("codec", "obj", "error", "message"), NOT_CARRIED)
def test_put_of_what_cannot_be_encoded(
    make: Any, codec: str, obj: Any, error: type[Exception], message: str
) -> None:
    q = make(1, codec=codec)
    good = ITEMS[codec][1]
    for call in (
        lambda: q.put(obj),
        lambda: q.put(obj, False),
        lambda: q.put_nowait(obj),
        lambda: q.put_many([good, obj]),
        lambda: q._writer.send(obj),
    ):
        with pytest.raises(error, match=message):
            call()
        assert q.empty()
    q.put(good)
    assert q.get() == good


class Handles(queues.Queue[Any]):
    handled: tuple[Any, ...] = ()

    def _on_queue_feeder_error(self, *args: Any) -> None:  # type: ignore[override]
        self.handled = args


def test_a_hook_for_what_cannot_be_encoded() -> None:
    q = Handles(codec="json")
    unencodable = {1, 2}
    q.put_many(["first", unencodable, "last"])
    assert isinstance(q.handled[0], TypeError)
    assert q.handled[1] is unencodable
    assert q.get_many() == ["first", "last"]


WRONG = {
    "json": [b"", b"{", b"\x80\x04N.", b"\xff"],
    "msgpack": [b"", b"\xc1", b"\x92\x01", b"\x01\x02"],
}


@pytest.mark.parametrize("codec", WRONG)
def test_get_of_what_cannot_be_decoded(make: Any, codec: str) -> None:
    q = make(codec=codec)
    for data in *WRONG[codec], pattern(100_000):
        q.put_bytes(data)
        q.put("next")
        with pytest.raises(ValueError) as raised:
            q.get()
        assert raised.value.undecoded == [data]  # type: ignore[attr-defined]
        assert q.get() == "next"


@pytest.mark.parametrize("codec", WRONG)
def test_get_many_of_what_cannot_be_decoded(make: Any, codec: str) -> None:
    q = make(codec=codec)
    for data in WRONG[codec]:
        q.put_bytes(data)
        q.put("good")
    with pytest.raises(ValueError) as raised:
        q.get_many()
    assert raised.value.undecoded == WRONG[codec]  # type: ignore[attr-defined]
    assert raised.value.items == ["good"] * len(WRONG[codec])  # type: ignore[attr-defined]
    large = pattern(100_000)
    q.put_bytes(large)
    with pytest.raises(ValueError) as raised:
        q.get_many()
    assert raised.value.undecoded == [large]  # type: ignore[attr-defined]
    assert raised.value.items == []  # type: ignore[attr-defined]
    assert q.empty()


@pytest.mark.parametrize("codec", WRONG)
def test_abandoned(codec: str) -> None:
    q = goprocessing.JoinableQueue(codec=codec)  # type: ignore[arg-type]
    taken = [b'"good"' if codec == "json" else msgpack.packb("good"), *WRONG[codec]]
    for data in taken:
        q.put_bytes(data)
    assert exit_code(fork(lambda: [q.get_bytes() for _ in taken])) == 0
    with pytest.raises(ValueError) as raised:
        q.abandoned()
    assert raised.value.items == ["good"]  # type: ignore[attr-defined]
    assert raised.value.undecoded == WRONG[codec]  # type: ignore[attr-defined]
    q.put("item")
    assert exit_code(fork(q.get)) == 0
    assert q.abandoned() == ["item"]
    for _ in range(len(taken) + 1):
        q.task_done()
    q.join()


def test_an_object_with_buffers_of_one_without_the_codec() -> None:
    """What is undecoded is the pickle of its object."""
    plain, carrier = goprocessing.Queue(), goprocessing.Queue()
    from goprocessing._codecs import find
    from goprocessing.reduction import dup_fds, received

    with received(dup_fds(plain._fileno(), plain._bell)) as (memory, bell):
        q = queues.Queue._attach(memory, bell, find("json"))
    plain.put(Array(pattern(100_000)))
    with pytest.raises(ValueError) as raised:
        q.get()
    (undecoded,) = raised.value.undecoded  # type: ignore[attr-defined]
    carrier.put_bytes(undecoded)
    assert carrier.get() == Array(pattern(100_000))


# ---- which codecs there are ----


def test_unknown() -> None:
    for kind in KINDS:
        with pytest.raises(ValueError, match="None, 'bytes', 'json' or 'msgpack', not 'yaml'"):
            getattr(goprocessing, kind)(codec="yaml")


def test_by_keyword_only() -> None:
    for kind in KINDS:
        with pytest.raises(TypeError):
            getattr(goprocessing, kind)(0, "json")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    from goprocessing import _codecs

    monkeypatch.setattr(_codecs, "_made", {})
    monkeypatch.setitem(sys.modules, "msgpack", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'goprocessing\[msgpack\]'"):
        goprocessing.Queue(codec="msgpack")
    assert goprocessing.Queue(codec="json")._codec.name == "json"


def test_as_json_reads_it() -> None:
    q = goprocessing.Queue(codec="json")
    for item in ITEMS["json"]:
        q.put(item)
        assert json.loads(q.get_bytes()) == item
