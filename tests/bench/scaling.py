"""How the cost of a queue grows: with the size, the processes, the depth, the number of queues."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import crew
from .crew import Job
from .peers import OURS, STANDARD, context, queue
from .queues import consume, objects, small_ints
from .sampling import Effort

PEERS = (STANDARD, OURS)


@dataclass(frozen=True)
class Curve:
    name: str
    title: str
    across: str  # what x is
    unit: str  # what y is
    steps: Sequence[int]
    # The rate of a peer at a step, in a sample of about so many seconds.
    rate: Callable[[str, int, float], float]


@dataclass
class Plot:
    """What was measured of a curve: of each peer, points (x, low, median, high)."""

    curve: Curve
    points: dict[str, list[tuple[int, float, float, float]]] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)  # why a peer's has no more


def _enough(seconds: float, least: int, sample: Callable[[int], float]) -> float:
    """The operations per second of a sample that lasts long enough."""
    n = least
    while (took := sample(n)) < seconds / 2:
        n = max(n + least, int(n * min(16, seconds / max(took, 1e-9))))
    return n / took


def by_size(peer: str, size: int, seconds: float) -> float:
    """GB per second of bytes of a size, of which at most some 64 MiB or two are under way."""
    maxsize = max(2, min(1000, (64 << 20) // size))
    message = bytes(size)

    def sample(n: int) -> float:
        return objects(peer, message, consume, maxsize, maxsize * size, n)

    return _enough(seconds, 1, sample) * size * 1e-9


def by_processes(peer: str, number: int, seconds: float) -> float:
    """Millions of small ints a second between so many producers and as many consumers."""
    return _enough(seconds, number, lambda n: small_ints(peer, number, number, n)) * 1e-6


def _at_depth(go: Callable[[], None], used: Any, depth: int, seconds: float) -> float:
    for i in range(depth - 1):
        used.put(i)
    go()
    rate = _in_turn([used], seconds)
    # The standard library's process would wait until all of it is received.
    used.cancel_join_thread()
    return rate


def _in_turn(queues: list[Any], seconds: float) -> float:
    """Items a second that are put into and got from one queue after the other."""
    items = 0
    start = time.perf_counter()
    while (took := time.perf_counter() - start) < seconds:
        for each in queues:
            each.put(items)
            each.get()
            items += 1
    return items / took


def _alone(peer: str, work: Callable[..., float], *args: Any) -> float:
    return crew.run(context(peer), [Job(work, args)]).values[0]


def by_depth(peer: str, depth: int, seconds: float) -> float:
    """Millions of items a second put and got by one process while so many are in the queue."""
    return _alone(peer, _at_depth, queue(peer), depth, seconds) * 1e-6


def _most_queues() -> int:
    """As many as the descriptors that a process may have allow; each queue has two."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 10_000 if hard == resource.RLIM_INFINITY else min(10_000, (hard - 100) // 2)


def _among(go: Callable[[], None], peer: str, number: int, seconds: float) -> float:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    queues = [queue(peer) for _ in range(number)]
    for each in queues:  # the standard library's start their threads
        each.put(None)
        each.get()
    go()
    return _in_turn(queues, seconds)


def by_number(peer: str, number: int, seconds: float) -> float:
    """Millions of items a second put and got by one process, in turn in so many queues."""
    return _alone(peer, _among, peer, number, seconds) * 1e-6


def curves(quick: bool) -> Iterator[Curve]:
    sizes = [16 << (4 * i) for i in range(7)]
    yield Curve(
        "size",
        "bytes, 1 producer, 1 consumer",
        "bytes of a message",
        "GB/s",
        sizes[: 5 if quick else None],
        by_size,
    )
    yield Curve(
        "processes",
        "small ints, N producers, N consumers, 2 CPUs",
        "N",
        "M/s",
        [1, 4, 16] if quick else [1, 2, 4, 8, 16, 32],
        by_processes,
    )
    yield Curve(
        "depth",
        "put and get by 1 process of a queue that holds N",
        "N",
        "M/s",
        [10**i for i in range(6 if quick else 8)],
        by_depth,
    )
    yield Curve(
        "queues",
        "put and get by 1 process in each of N queues in turn",
        "N",
        "M/s",
        [1, 10, 100, 1000] if quick else [1, 10, 100, 1000, _most_queues()],
        by_number,
    )


def measure(curve: Curve, effort: Effort, sampled: Callable[[str], None]) -> Plot:
    plot = Plot(curve)
    for step in curve.steps:
        rates: dict[str, list[float]] = {peer: [] for peer in PEERS if peer not in plot.ends}
        for _ in range(min(3, effort.rounds)):
            for peer in rates:
                if peer in plot.ends:
                    continue
                sampled(f"{peer}, {step:,}")
                try:
                    rates[peer].append(curve.rate(peer, step, effort.seconds / 2))
                except (OSError, RuntimeError) as error:
                    reason = str(error).splitlines()[-1]
                    plot.ends[peer] = f"before {step:,}: {reason}"
        for peer, some in rates.items():
            if some:
                point = (step, min(some), statistics.median(some), max(some))
                plot.points.setdefault(peer, []).append(point)
    return plot
