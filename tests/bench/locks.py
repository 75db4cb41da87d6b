"""Locks and semaphores, uncontended and contended."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from . import crew
from .crew import Job
from .peers import OURS, STANDARD, context
from .work import NANOSECONDS, Kind, Measure, Target, Unit, Work

CONTENDERS = 4


def _pairs(go: Callable[[], None], lock: Any, n: int) -> None:
    acquire, release = lock.acquire, lock.release
    go()
    for _ in range(n):
        acquire()
        release()


def _with(go: Callable[[], None], lock: Any, n: int) -> None:
    go()
    for _ in range(n):
        with lock:
            pass


def uncontended(peer: str, loop: Callable[..., None], n: int) -> float:
    ctx = context(peer)
    return crew.run(ctx, [Job(loop, (ctx.Lock(), n))]).seconds


def _contend(go: Callable[[], None], lock: Any, seconds: float) -> float:
    acquire, release = lock.acquire, lock.release
    pairs = 0
    go()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for _ in range(20):
            acquire()
            release()
        pairs += 20
    return pairs


def _contended(peer: str, kind: str, milliseconds: int) -> list[float]:
    """How many pairs each process came to in the time."""
    ctx = context(peer)
    lock = ctx.Lock() if kind == "lock" else ctx.Semaphore(2)
    job = Job(_contend, (lock, milliseconds / 1000))
    return crew.run(ctx, [job] * CONTENDERS).values


def rate(peer: str, kind: str, milliseconds: int) -> float:
    return sum(_contended(peer, kind, milliseconds)) / milliseconds * 1000


def slowest(peer: str, kind: str, milliseconds: int) -> float:
    pairs = _contended(peer, kind, milliseconds)
    return min(pairs) / statistics.mean(pairs)


def _libraries(measure: Callable[..., float], *args: Any) -> dict[str, Measure]:
    return {peer: partial(measure, peer, *args) for peer in (STANDARD, OURS)}


def works() -> Iterator[Work]:
    pairs, within = _libraries(uncontended, _pairs), _libraries(uncontended, _with)
    yield Work("lock-pair", "Lock, acquire and release", NANOSECONDS, pairs, Target(ratio=1))
    yield Work("lock-with", "with lock", NANOSECONDS, within, Target(ratio=2))
    for kind, title in (("semaphore", "Semaphore(2)"), ("lock", "Lock")):
        yield Work(
            f"{kind}-contended",
            f"{title}, {CONTENDERS} processes, pairs in total",
            Unit("M/s", Kind.FIGURE, 1e-6),
            _libraries(rate, kind),
            Target(ratio=1),
            amount=300,
        )
        yield Work(
            f"{kind}-fair",
            f"{title}, {CONTENDERS} processes, the slowest",
            Unit("mean", Kind.FIGURE),
            _libraries(slowest, kind),
            Target(figure=0.5),
            amount=300,
        )
