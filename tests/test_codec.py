"""The bytes of an item: a pickle, which for the commonest types the extension writes and reads."""

from __future__ import annotations

import array
import enum
import io
import math
import pickle
import pickletools
import struct
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from typing import Any

import goprocessing
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

# 502 and 2,041 bytes are about what fits into the object on the stack and into
# a record; sizes of 256 and 65,536 need the next longer opcode.
SIZES = [0, 1, 255, 256, 257, 500, 501, 502, 503, 504, 510, 512, 2040, 2041, 2042, 2043, 2048]
SIZES += [65_535, 65_536, 70_000, 1_000_000]

INTEGERS = [0, 1, -1, 255, 256, -128, -129, 65_535, 65_536]
INTEGERS += [
    sign * 2**bits + step for sign in (1, -1) for bits in (31, 63, 64, 200) for step in (-1, 0, 1)
]

FLOATS = [0.0, -0.0, 1.5, 5e-324, 1.8e308, math.inf, -math.inf, math.nan]

Pair = namedtuple("Pair", "first second")


class Text(str):
    pass


class Data(bytes):
    pass


class Number(int):
    pass


class Real(float):
    pass


class Colour(enum.IntEnum):
    RED = 1


OBJECTS = [
    None,
    True,
    False,
    *INTEGERS,
    *FLOATS,
    *("x" * size for size in SIZES),
    *("é" * (size // 2) for size in SIZES),
    *(b"\xff" * size for size in SIZES),
    "\0",
    "\ud800",
    "a\udcff" * 300,
    "\U0001f600" * 1000,
    bytearray(b"x" * 5000),
    array.array("d", [1.5, 2.5]),
    1j,
    (1, "two", [3.0, b"4"]),
    {"key": {1, 2}, b"key": frozenset([None])},
    Pair(1, "second"),
    Text("text"),
    Data(b"data"),
    Number(5),
    Real(1.5),
    Colour.RED,
    int,
    print,
    Ellipsis,
]

simple = st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=3000)
simple |= st.text(st.characters(exclude_categories=()), max_size=1000)  # with lone surrogates
objects = st.recursive(
    simple,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)

# A pipe or queue serves all examples of a test.
examples = settings(
    deadline=None,
    database=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def same(a: Any, b: Any) -> bool:
    """Equal and of the same types all the way down; NaN is itself, and 0.0 is not -0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return same(list(a.items()), list(b.items()))
    return bool(a == b)


@pytest.fixture
def pipe() -> Iterator[tuple[Any, Any]]:
    a, b = goprocessing.Pipe()
    with a, b:
        yield a, b


def check_round_trips(pipe: tuple[Any, Any], obj: Any) -> None:
    """What send writes any unpickler reads, and recv reads what any pickler writes."""
    a, b = pipe
    a.send(obj)
    written = b.recv_bytes()
    pickletools.dis(written, io.StringIO())  # raises unless it is one whole pickle
    assert same(pickle.loads(written), obj)
    assert same(pickle._loads(written), obj)  # type: ignore[attr-defined]
    a.send(obj)
    assert same(b.recv(), obj)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        written = pickle.dumps(obj, protocol)
        a.send_bytes(written)
        assert same(b.recv(), pickle.loads(written))


@pytest.mark.parametrize("obj", OBJECTS, ids=lambda obj: repr(obj)[:20])
def test_pickles(pipe: tuple[Any, Any], obj: Any) -> None:
    check_round_trips(pipe, obj)


@examples
@given(objects)
def test_any_pickles(pipe: tuple[Any, Any], obj: Any) -> None:
    check_round_trips(pipe, obj)


def test_through_a_queue() -> None:
    q = goprocessing.Queue()
    for obj in OBJECTS:
        q.put(obj)
    for obj in OBJECTS:
        assert same(q.get_nowait(), obj)


@examples
@given(st.lists(objects, max_size=5))
def test_any_through_a_queue(items: list[Any]) -> None:
    q = goprocessing.Queue()
    for item in items:
        q.put(item)
    assert same([q.get_nowait() for _ in items], items)


# Of these, in any order: the opcodes that recv itself knows, their arguments,
# and lengths that are right, short and far too long.
PIECES = [bytes([code]) for code in b"NKMJGCBXK.\x80\x88\x89\x8a\x8c\x8d\x8e\0\1\2\4\x08\xff"]
PIECES += [b"\0\0\0", b"\0\0\0\0\0\0\0", b"\xc3\xa9", b"\xed\xa0\x80", b"\xff" * 4, b"\xff" * 8]
pickles = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)
mutants = st.builds(
    lambda obj, protocol, at, byte: replace(pickle.dumps(obj, protocol), at, byte),
    simple,
    st.integers(0, pickle.HIGHEST_PROTOCOL),
    st.integers(0, 12),
    st.sampled_from(PIECES),
)


def replace(data: bytes, at: int, piece: bytes) -> bytes:
    return data[:at] + piece + data[at + len(piece) :]


def result(read: Callable[[], Any]) -> Any:
    """What it returns, or the type of what it raises."""
    try:
        return read()
    except Exception as error:
        return type(error)


@examples
@given(pickles | pickles.map(lambda data: data + b".") | mutants)
@example(b"")
@example(b".")
@example(b"X\xff\xff\xff\xff.")
@example(b"\x8e" + b"\xff" * 8 + b".")
@example(b"B\xff\xff\xff\xff" + b"x" * 5000 + b".")
@example(b"B\x88\x13\0\0" + b"x" * 5001 + b".")
@example(b"X\2\0\0\0\xff\xff.")
@example(b"X\x10\x27\0\0" + b"\xff" * 10_000 + b".")
def test_other_bytes(pipe: tuple[Any, Any], data: bytes) -> None:
    """They mean to recv what they mean to pickle, and the connection works afterwards."""
    a, b = pipe
    a.send_bytes(data)
    assert same(result(b.recv), result(lambda: pickle.loads(data)))
    a.send(1)
    assert b.recv() == 1


@contextmanager
def reducer(cls: type, reduce: Callable[[Any], Any]) -> Iterator[None]:
    ForkingPickler.register(cls, reduce)
    yield
    del ForkingPickler._extra_reducers[cls]  # type: ignore[attr-defined]


@pytest.mark.parametrize("cls", [Text, Data, Number, Real, Pair, complex, array.array, object])
def test_registered_reducers_count(pipe: tuple[Any, Any], cls: type) -> None:
    class Local:
        pass

    made: dict[Any, Any] = {Pair: Pair(1, 2), array.array: array.array("i"), object: Local()}
    obj = made[cls] if cls in made else cls()
    a, b = pipe
    q = goprocessing.Queue()
    with reducer(type(obj), lambda obj: (str, (f"a {type(obj).__name__}",))):
        a.send(obj)
        q.put([obj])
    expected = f"a {type(obj).__name__}"
    assert b.recv() == expected
    assert q.get_nowait() == [expected]


def test_what_cannot_be_pickled(pipe: tuple[Any, Any]) -> None:
    a, b = pipe
    q = goprocessing.Queue()
    for put in (a.send, q.put):
        with pytest.raises((AttributeError, pickle.PicklingError)):
            put(lambda: None)
    assert not b.poll()
    assert q.empty()
