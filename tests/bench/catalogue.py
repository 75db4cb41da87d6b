"""All works, in the order of the report."""

from __future__ import annotations

from collections.abc import Iterator

from . import engine, events, locks, memory, pipes, pools, queues, startup, waiters
from .work import Work

_SUBJECTS = {
    "Queues": queues.works,
    "Pipes": pipes.works,
    "Locks": locks.works,
    "Events, conditions, barriers": events.works,
    "Pools": pools.works,
    "Start": startup.works,
    "Waiting": waiters.works,
    "Memory": memory.works,
    "Go": engine.works,
}


def subjects() -> Iterator[tuple[str, list[Work]]]:
    for subject, works in _SUBJECTS.items():
        yield subject, list(works())


def works() -> dict[str, Work]:
    return {work.name: work for _, some in subjects() for work in some}
