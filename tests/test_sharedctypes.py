"""Values and arrays in shared memory."""

from __future__ import annotations

import ctypes
import importlib
from types import ModuleType
from typing import Any

import pytest


class Point(ctypes.Structure):
    _fields_ = (("x", ctypes.c_double), ("y", ctypes.c_double))


def change(number: Any, array: Any, string: Any, points: Any, raw: Any, raw_array: Any) -> None:
    for _ in range(100):
        with number.get_lock():
            number.value += 1
    for index, value in enumerate(array):
        array[index] = value * 2
    string.value = string.value.upper()
    points[0].x, points[1].y = 7, 8
    raw.value += 1
    raw_array[:] = [3, 2, 1]


def test_changed_by_children(ctx: Any, start: Any) -> None:
    number = ctx.Value("i", 1)
    array = ctx.Array("d", [0.5, 1.5])
    string = ctx.Array("c", b"hello")
    points = ctx.Array(Point, [(1, 2), (3, 4)], lock=False)
    raw, raw_array = ctx.RawValue("l", 1), ctx.RawArray("h", 3)
    shared = number, array, string, points, raw, raw_array
    first = start(change, *shared)
    first.join()
    assert first.exitcode == 0
    assert list(array) == [1, 3]
    assert string.value == b"HELLO"
    assert [(point.x, point.y) for point in points] == [(7, 2), (3, 8)]
    assert raw.value == 2
    assert list(raw_array) == [3, 2, 1]
    for child in [start(change, *shared) for _ in range(3)]:
        child.join()
    assert number.value == 401


def test_locks(module: ModuleType, ctx: Any) -> None:
    assert type(ctx.Value("i").get_lock()) is type(ctx.RLock())
    lock = ctx.Lock()
    value = ctx.Value("i", 7, lock=lock)
    assert value.get_lock() is lock
    assert value.get_obj().value == 7
    with value:
        assert not lock.acquire(block=False)
    assert not hasattr(ctx.Value("i", lock=False), "get_lock")
    assert not hasattr(ctx.Array("i", 3, lock=False), "get_lock")
    with pytest.raises(AttributeError):
        ctx.Value("i", lock="not a lock")


def test_by_the_start_method_in_force(module: ModuleType, in_force: str) -> None:
    sharedctypes = importlib.import_module(f"{module.__name__}.sharedctypes")
    value, array = sharedctypes.Value("i", 7), sharedctypes.Array("i", [1, 2, 3])
    whole = sharedctypes.synchronized(sharedctypes.RawValue(Point, 1, 2))
    for synchronized in value, array, whole, module.Value("i"), module.Array("i", 1):
        assert isinstance(synchronized, sharedctypes.SynchronizedBase)
        assert type(synchronized.get_lock()) is type(module.RLock())
    assert isinstance(value, sharedctypes.Synchronized)
    assert isinstance(array, sharedctypes.SynchronizedArray)
    copied = sharedctypes.copy(array.get_obj())
    array[0] = 9
    assert (copied[0], array[:], value.value, whole.y) == (1, [9, 2, 3], 7, 2)
