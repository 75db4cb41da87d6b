"""Items that can be told apart, of all ways in which they travel."""

from __future__ import annotations

import pickle
import random
from typing import Any

from .crew import Failure

NOISE = random.Random(0).randbytes(2 << 20)

KINDS = 7
"""An item's number tells how it is made: each seventh alike."""


def noise(producer: int, n: int, size: int) -> bytes:
    start = (producer * 7919 + n * 101) % (len(NOISE) // 2)
    return NOISE[start : start + size]


class Array:
    """What has a large buffer: it is received in place, as an array of numpy's would be."""

    def __init__(self, key: tuple[int, int], data: Any) -> None:
        self.key = key
        self.data = data

    def __reduce_ex__(self, protocol: int) -> tuple[Any, ...]:
        return Array, (self.key, pickle.PickleBuffer(self.data))


def make(producer: int, n: int) -> Any:
    kind = n % KINDS
    if kind == 5:
        return Array((producer, n), noise(producer, n, 200_000))
    size = (0, 100, 5000, 0, 100_000, 0, 500_000)[kind]
    return producer, n, noise(producer, n, size)


def make_small(producer: int, n: int) -> Any:
    return producer, n, noise(producer, n, n * 31 % 3000)


def check(item: Any) -> tuple[int, int]:
    """The producer and the number of an item, which is whole."""
    producer, n = item.key if isinstance(item, Array) else item[:2]
    data = item.data if isinstance(item, Array) else item[2]
    if data != noise(producer, n, len(data)):
        raise Failure(f"item {n} of producer {producer} is torn")
    return producer, n


def received(item: Any) -> tuple[int, int]:
    key = check(item)
    expected = make(*key)
    if isinstance(item, Array) != isinstance(expected, Array):
        raise Failure(f"item {key} is of another kind")
    return key


class Ledger:
    """Which items came, and which must have."""

    def __init__(self) -> None:
        self._came: dict[int, bytearray] = {}
        self._put: dict[int, int] = {}
        self.count = 0

    def arrive(self, producer: int, n: int) -> None:
        came = self._came.setdefault(producer, bytearray())
        if n >= len(came):
            came.extend(bytes(n + 1 - len(came)))
        if came[n]:
            raise Failure(f"item {n} of producer {producer} came twice")
        came[n] = 1
        self.count += 1

    def has(self, producer: int, n: int) -> bool:
        came = self._came.get(producer, b"")
        return n < len(came) and bool(came[n])

    def put(self, producer: int, count: int) -> None:
        """Notes that put has returned so often in a producer that has died."""
        self._put[producer] = count

    def lost(self, at_once: int = 1) -> int:
        """How many items did not come that were put, at_once with each call.

        Of the items that a producer was putting when it died, some or all may have come.
        """
        lost = 0
        for producer, count in self._put.items():
            came = self._came.get(producer, b"")
            if len(came) > count + at_once:
                raise Failure(f"producer {producer} put {count} items, {len(came)} came")
            lost += count - sum(came[:count])
        if stray := self._came.keys() - self._put.keys():
            raise Failure(f"items of producers that there are not: {stray}")
        return lost
