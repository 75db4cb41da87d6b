"""Memory of a queue, of a lock, of a forked child."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from .fresh import run
from .peers import OURS, STANDARD
from .work import Kind, Target, Unit, Work


def footprint(peer: str, what: str, n: int) -> float:
    return float(run("footprint.py", peer, what, str(n)))


def works() -> Iterator[Work]:
    kib = Unit("KiB", Kind.FIGURE, 1 / 1024, lower=True)
    for what, title, unit, target, amount, least in (
        ("queue", "Memory of a new queue", kib, 100.0, 200, 50),
        ("used-queue", "Memory of an empty queue that was used", kib, 100.0, 200, 50),
        (
            "lock",
            "Memory of a lock, of 10,000",
            Unit("B", Kind.FIGURE, lower=True),
            256.0,
            10_000,
            1000,
        ),
        (
            "child",
            "Memory of a forked child that used a queue",
            Unit("MiB", Kind.FIGURE, 2.0**-20, lower=True),
            4.0,
            1,
            1,
        ),
    ):
        sides = {peer: partial(footprint, peer, what) for peer in (STANDARD, OURS)}
        yield Work(f"memory-{what}", title, unit, sides, Target(figure=target), amount, least)
