"""The big array that is sent."""

from __future__ import annotations

from functools import cache
from typing import Any

from .peers import MIB
from .work import Missing

SIZE = 100 * MIB


@cache
def array() -> Any:
    try:
        import numpy
    except ImportError as missing:
        raise Missing("numpy") from missing
    return numpy.ones(SIZE // 8)


def check(received: Any) -> None:
    """It is whole, and the receiver's own: it can be written to."""
    if received.nbytes != SIZE or received[-1] != 1 or not received.flags.writeable:
        raise AssertionError("the array did not arrive whole and writable")
