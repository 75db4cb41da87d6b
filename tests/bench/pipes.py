"""Pipes: round trips of small objects by placement, and one way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from . import crew, limits
from .arrays import SIZE, array, check
from .crew import Job
from .peers import MEMCPY, OURS, PICKLE, SPINNING, STANDARD, context
from .placement import PLACES, pair
from .work import MICROSECONDS, RATE, Measure, Target, Work, bandwidth

PAIRS = 8


def _ping(go: Callable[[], None], conn: Any, n: int) -> None:
    go()
    for i in range(n):
        conn.send(i)
        conn.recv()


def _pong(go: Callable[[], None], conn: Any, n: int) -> None:
    go()
    for _ in range(n):
        conn.send(conn.recv())


def round_trips(peer: str, place: str, n: int) -> float:
    ctx = context(peer)
    here, there = ctx.Pipe()
    first, second = pair(place)
    jobs = [Job(_ping, (here, n), first), Job(_pong, (there, n), second)]
    seconds = crew.run(ctx, jobs).seconds
    here.close()
    there.close()
    return seconds


def many_round_trips(peer: str, n: int) -> float:
    """n round trips of several pairs together on two CPUs."""
    ctx = context(peer)
    first, second = crew.cpus(2)
    pipes = [ctx.Pipe() for _ in range(PAIRS)]
    jobs = []
    for (here, there), share in zip(pipes, crew.shares(n, PAIRS), strict=True):
        jobs += [Job(_ping, (here, share), first | second)]
        jobs += [Job(_pong, (there, share), first | second)]
    seconds = crew.run(ctx, jobs).seconds
    for ends in pipes:
        for end in ends:
            end.close()
    return seconds


def _send(go: Callable[[], None], conn: Any, n: int, obj: Any, warm: int) -> None:
    for _ in range(warm):
        conn.send(obj)
    go()
    for _ in range(n):
        conn.send(obj)


def _receive(go: Callable[[], None], conn: Any, n: int, warm: int) -> None:
    for _ in range(warm):
        conn.recv()
    go()
    for _ in range(n):
        conn.recv()


def _receive_arrays(go: Callable[[], None], conn: Any, n: int, warm: int) -> None:
    for _ in range(warm):
        conn.recv()
    go()
    for _ in range(n):
        check(conn.recv())


def one_way(peer: str, obj: Any, receive: Callable[..., None], warm: int, n: int) -> float:
    ctx = context(peer)
    reader, writer = ctx.Pipe(duplex=False)
    jobs = [Job(_send, (writer, n, obj, warm)), Job(receive, (reader, n, warm))]
    seconds = crew.run(ctx, jobs).seconds
    reader.close()
    writer.close()
    return seconds


def arrays(peer: str, n: int) -> float:
    # Memory that is touched for the first time is several times slower, for all.
    return one_way(peer, array(), _receive_arrays, 3, n)


def _libraries(measure: Callable[..., float], *args: Any) -> dict[str, Measure]:
    return {peer: partial(measure, peer, *args) for peer in (STANDARD, OURS)}


def works() -> Iterator[Work]:
    targets = {"free": Target(), "one": Target(ratio=1), "two": Target(ratio=20)}
    for place, where in PLACES.items():
        sides = _libraries(round_trips, place)
        if place != "one":
            sides[SPINNING] = limits.spinning
        title = f"Pipe, round trip of a small int, {where}"
        yield Work(
            f"pipe-round-{place}",
            title,
            MICROSECONDS,
            sides,
            targets[place],
            steady=place != "free",
        )
    yield Work(
        "pipe-round-pairs",
        f"Pipe, round trips of {PAIRS} pairs on two CPUs",
        MICROSECONDS,
        _libraries(many_round_trips),
        Target(ratio=1),
        least=PAIRS,
    )
    for name, title, obj in (
        ("pipe-ints", "Pipe, one way, small ints", 1000),
        ("pipe-64k", "Pipe, one way, bytes of 64 KiB", bytes(65536)),
    ):
        sides = _libraries(one_way, obj, _receive, 0)
        sides[PICKLE] = partial(limits.pickling, obj)
        yield Work(name, title, RATE, sides, Target(ratio=5))
    sides = _libraries(arrays)
    sides[MEMCPY] = partial(limits.copying, SIZE)
    yield Work(
        "pipe-numpy",
        "Pipe, numpy array of 100 MiB",
        bandwidth(SIZE),
        sides,
        Target(ratio=1 / 1.5, against=(MEMCPY,)),
    )
