"""Events, conditions and barriers: what costs nothing much, and hand-overs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from . import crew
from .crew import Job
from .peers import OURS, STANDARD, context
from .placement import PLACES, pair
from .work import MICROSECONDS, NANOSECONDS, Kind, Measure, Target, Unit, Work

PARTIES = 4

# A round is two hand-overs.
_HAND_OVER = Unit("us", Kind.TIME, 1e6 / 2, lower=True)


def _ask(go: Callable[[], None], event: Any, n: int) -> None:
    is_set = event.is_set
    go()
    for _ in range(n):
        is_set()


def _set(go: Callable[[], None], event: Any, n: int) -> None:
    set_it = event.set
    go()
    for _ in range(n):
        set_it()


def alone(peer: str, loop: Callable[..., None], n: int) -> float:
    ctx = context(peer)
    return crew.run(ctx, [Job(loop, (ctx.Event(), n))]).seconds


def _hand_over(go: Callable[[], None], mine: Any, other: Any, n: int, first: bool) -> None:
    go()
    if first:
        other.set()
    for i in range(n):
        mine.wait()
        mine.clear()
        if not first or i < n - 1:
            other.set()


def events(peer: str, place: str, n: int) -> float:
    ctx = context(peer)
    one, two = ctx.Event(), ctx.Event()
    first, second = pair(place)
    jobs = [
        Job(_hand_over, (one, two, n, True), first),
        Job(_hand_over, (two, one, n, False), second),
    ]
    return crew.run(ctx, jobs).seconds


def _take_turns(go: Callable[[], None], condition: Any, turn: Any, me: int, n: int) -> None:
    go()
    for _ in range(n):
        with condition:
            while turn.value != me:
                condition.wait()
            turn.value = 1 - me
            condition.notify()


def conditions(peer: str, place: str, n: int) -> float:
    ctx = context(peer)
    condition, turn = ctx.Condition(), ctx.RawValue("i", 0)
    jobs = [Job(_take_turns, (condition, turn, me, n), cpus) for me, cpus in enumerate(pair(place))]
    return crew.run(ctx, jobs).seconds


def _meet(go: Callable[[], None], barrier: Any, n: int) -> None:
    go()
    for _ in range(n):
        barrier.wait()


def barriers(peer: str, n: int) -> float:
    ctx = context(peer)
    return crew.run(ctx, [Job(_meet, (ctx.Barrier(PARTIES), n))] * PARTIES).seconds


def _libraries(measure: Callable[..., float], *args: Any) -> dict[str, Measure]:
    return {peer: partial(measure, peer, *args) for peer in (STANDARD, OURS)}


def works() -> Iterator[Work]:
    asked, given = _libraries(alone, _ask), _libraries(alone, _set)
    yield Work("event-is-set", "Event.is_set", NANOSECONDS, asked, Target(ratio=5))
    yield Work("event-set", "Event.set without waiters", NANOSECONDS, given, Target(ratio=20))
    targets = {"free": Target(), "one": Target(ratio=2), "two": Target(ratio=20)}
    for place, where in PLACES.items():
        sides = _libraries(events, place)
        title = f"Event, hand-over, {where}"
        yield Work(
            f"event-{place}", title, _HAND_OVER, sides, targets[place], steady=place != "free"
        )
    for place, where in PLACES.items():
        sides = _libraries(conditions, place)
        title = f"Condition, hand-over, {where}"
        yield Work(
            f"condition-{place}", title, _HAND_OVER, sides, Target(ratio=5), steady=place != "free"
        )
    yield Work(
        "barrier",
        f"Barrier, round of {PARTIES} processes",
        MICROSECONDS,
        _libraries(barriers),
        Target(ratio=5),
    )
