"""What Python puts and Go reads, and the other way round: core/codec on Python's queues."""

from __future__ import annotations

import base64
import contextlib
import datetime
import itertools
import operator
import os
import pickle
import subprocess
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import goprocessing
import pytest
from goprocessing import named
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .test_codec import FLOATS, INTEGERS, SIZES, Colour, Pair, same
from .test_large_items import BUFFER, Array, pattern
from .test_memory import MIB
from .waiting import LIMIT

# With nothing cached the peer in Go takes long to compile.
pytestmark = pytest.mark.timeout(600)

NAMES = (f"payloads-{os.getpid()}-{number}" for number in itertools.count())

shared = [1, "shared"]
PLAIN: list[Any] = [
    None, True, False, 0, 1, -1, 127, 128, 255, 256, 65_536, 2**31, -(2**31) - 1, 1.5, -0.25,
    "", "text", "\0\u00e4\u20ac\U0001f600", "x" * 300, "x" * 100_000,
    [], [1, [2, [None]]], {}, {"a": {"b": [1.5]}},
    {str(number): number for number in range(3000)}, list(range(3000)), [shared, shared],
]  # fmt: skip
BYTES = [b"", b"N.", *(b"\xff" * size for size in SIZES)]
ITEMS: dict[str, list[Any]] = {
    "json": [*PLAIN, 2**53],
    "msgpack": [*PLAIN, *BYTES, 2**63 - 1, -(2**63), 2**64 - 1, *FLOATS, {1: "a", "b": None}],
    "pickle": [
        *PLAIN, *BYTES, *INTEGERS, *FLOATS, 2**3000, -(2**3000), "\ud800", "a\udcff" * 300,
        (), (1,), (1, "two"), (1, 2, (3,)), (1, 2, 3, 4), set(), {1, "a", b"b", None},
        {2: "a", b"b": 2, None: 3, True: 4, 0.5: 5}, [{"deep": ({1}, b"")}], [[]] * 300,
    ],
}  # fmt: skip
# What is not the same when it comes back.
CHANGED = [
    (bytearray(b"data"), b"data"),
    (frozenset([1, 2]), {1, 2}),
    ([bytearray(), (frozenset(),)], [b"", (set(),)]),
]
RECORD: dict[str, Any] = {
    "name": "n\u00e4me",
    "size": 2**63 - 1,
    "ratio": 0.5,
    "digest": b"\0\xff",
    "tags": ["a", "b"],
    "shape": (2, 3),
    "counts": {"x": 1, "y": 2},
    "next": None,
}
REFUSED = [
    datetime.date(2026, 1, 2), 1j, range(3), Pair(1, 2), Colour.RED, OrderedDict(a=1), Ellipsis,
    int, print, [os.system], operator.itemgetter(1), {(1, 2): 3}, {2**70}, {frozenset()},
]  # fmt: skip


class Encoded(bytes):
    """An item as it is to be in the queue."""


@contextlib.contextmanager
def recoded(program: Path, what: str, codec: Any) -> Iterator[Callable[[Any], Any]]:
    """Has a program in Go decode what is put, encode it, and put it back."""
    there, back = next(NAMES), next(NAMES)
    to = named.open_queue(there, create=True, codec=codec)
    from_ = named.open_queue(back, create=True, codec=codec)

    def exchange(item: Any) -> Any:
        to.put_bytes(item) if isinstance(item, Encoded) else to.put(item)
        return from_.get(timeout=LIMIT)

    try:
        with subprocess.Popen([program, what, there, back]) as process:
            try:
                yield exchange
                to.shutdown()
                assert process.wait(LIMIT) == 0
            finally:
                process.kill()
    finally:
        goprocessing.unlink(there)
        goprocessing.unlink(back)


def codec_of(kind: str) -> Any:
    return None if kind == "pickle" else kind


@pytest.mark.parametrize("kind", ITEMS)
def test_plain_data(go_peer: Path, kind: str) -> None:
    with recoded(go_peer, kind, codec_of(kind)) as exchange:
        for item in ITEMS[kind]:
            back = exchange(item)
            assert same(ordered(back), ordered(item)), repr(item)[:100]


def ordered(item: Any) -> Any:
    """With dicts as sets of what they have: in Go they have no order."""
    if isinstance(item, dict):
        return {repr(key): (key, ordered(value)) for key, value in sorted(item.items(), key=repr)}
    if isinstance(item, (list, tuple)):
        return type(item)(map(ordered, item))
    return item


def test_messages(go_peer: Path) -> None:
    name = next(NAMES)
    with subprocess.Popen([go_peer, "answer", name, ""]) as process:
        try:
            with named.open_pipe(name, timeout=LIMIT) as pipe:
                for item in ITEMS["pickle"]:
                    pipe.send(item)
                    assert pipe.poll(LIMIT)
                    assert same(ordered(pipe.recv()), [ordered(item)]), repr(item)[:100]
            assert process.wait(LIMIT) == 0
        finally:
            process.kill()


def test_buffers(go_peer: Path) -> None:
    """A program in Go gets past an item with buffers, and gets these as they were put."""
    with recoded(go_peer, "buffers", None) as exchange:
        for size in (BUFFER, MIB):
            parts = [pattern(size), bytes(size)]
            assert exchange([Array(part) for part in parts]) == parts
            assert exchange("without buffers") == "without buffers"


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_protocols(go_peer: Path, protocol: int) -> None:
    with recoded(go_peer, "pickle", None) as exchange:
        for item, expected in [*((item, item) for item in ITEMS["pickle"]), *CHANGED]:
            written = pickle.dumps(item, protocol)
            back = exchange(Encoded(written))
            assert same(ordered(back), ordered(expected)), repr(item)[:100]


keys = st.none() | st.text(max_size=4) | st.binary(max_size=4) | st.integers(-(2**63), 2**63 - 1)
simple = st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=600)
simple |= st.text(st.characters(exclude_categories=()), max_size=300)  # with lone surrogates
plain = st.recursive(
    simple | st.sets(keys, max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)


def test_any_plain_data(go_peer: Path) -> None:
    with recoded(go_peer, "pickle", None) as exchange:

        @settings(
            deadline=None,
            database=None,
            max_examples=300,
            suppress_health_check=[HealthCheck.function_scoped_fixture],
        )
        @given(plain, st.integers(2, pickle.HIGHEST_PROTOCOL))
        def check(item: Any, protocol: int) -> None:
            assert same(ordered(exchange(item)), ordered(item))
            written = pickle.dumps(item, protocol)
            assert same(ordered(exchange(Encoded(written))), ordered(item))

        check()


@pytest.mark.parametrize("kind", ITEMS)
def test_structs(go_peer: Path, kind: str) -> None:
    record = {**RECORD, "next": {**RECORD, "tags": []}}
    if kind == "json":
        for each in (record, record["next"]):
            each["digest"] = base64.b64encode(each["digest"]).decode()
    with recoded(go_peer, f"{kind} records", codec_of(kind)) as exchange:
        back = exchange({**record, "unknown": [1]})
        if kind != "pickle":
            for each in (back, back["next"]):
                each["shape"] = tuple(each["shape"])
        assert back == record
        refused = exchange({**record, "size": "large"})
        assert refused.startswith("decoding an item of ")


def test_what_go_does_not_read(go_peer: Path) -> None:
    with recoded(go_peer, "pickle", None) as exchange:
        for item in REFUSED:
            back = exchange(item)
            assert isinstance(back, str), item
            assert "not plain data" in back, item
        itself: list[Any] = []
        itself.append(itself)
        assert "contains itself" in exchange(itself)
        assert exchange(1) == 1


@pytest.mark.parametrize("kind", ITEMS)
def test_rubbish(go_peer: Path, kind: str) -> None:
    with recoded(go_peer, kind, codec_of(kind)) as exchange:
        for rubbish in (
            b"",
            b"\xc1",
            b"X\xff\xff\xff\xff",
            b"\xdf\xff\xff\xff\xff",
            b"[" * 100_000,
        ):
            assert exchange(Encoded(rubbish)).startswith("decoding an item of ")
        assert exchange(1) == 1
