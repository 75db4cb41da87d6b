"""What a program pays before it works: import, the first queue, the start of a process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from .fresh import run
from .peers import OURS, STANDARD
from .work import MILLISECONDS, Target, Work


def first_queue(peer: str, n: int) -> float:
    start = time.perf_counter()
    for _ in range(n):
        run("first_queue.py", peer)
    return time.perf_counter() - start


def starts(peer: str, method: str, used: str, n: int) -> float:
    return float(run("start.py", peer, method, used, str(n)))


def works() -> Iterator[Work]:
    yield Work(
        "startup",
        "Interpreter, import, first put and get",
        MILLISECONDS,
        {peer: partial(first_queue, peer) for peer in (STANDARD, OURS)},
        Target(excess=5),
    )
    for method in ("fork", "spawn", "forkserver"):
        for used, title in (("nothing", ""), ("queue", ", a put in it")):
            yield Work(
                f"start-{method}-{used}",
                f"Process, start and join, {method}{title}",
                MILLISECONDS,
                {peer: partial(starts, peer, method, used) for peer in (STANDARD, OURS)},
                Target(excess=5),
            )
