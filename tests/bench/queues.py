"""Rates of queues: from producer processes to consumer processes, by what is sent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from . import crew, limits
from .arrays import SIZE, array, check
from .crew import Job
from .peers import FIFO, MEMCPY, MIB, OURS, PICKLE, STANDARD, context, has_fifo, queue
from .work import RATE, Kind, Measure, Missing, Target, Unit, Work, bandwidth

BATCH = 100

# Pickles to about 1 KiB.
RECORD = {
    "id": 123456789,
    "name": "a record of moderate size",
    "tags": [f"tag-{i}" for i in range(16)],
    "values": [i / 7 for i in range(48)],
    "nested": {f"key-{i}": i for i in range(16)},
    "note": "x" * 64,
}


def _produce(go: Callable[[], None], to: Any, items: int, obj: Any, warm: int = 0) -> None:
    for _ in range(warm):
        to.put(obj)
    go()
    for _ in range(items):
        to.put(obj)


def _produce_ints(go: Callable[[], None], to: Any, items: int) -> None:
    go()
    for i in range(items):
        to.put(i)


def consume(go: Callable[[], None], source: Any, items: int, warm: int = 0) -> None:
    for _ in range(warm):
        source.get()
    go()
    for _ in range(items):
        source.get()


def _consume_arrays(go: Callable[[], None], source: Any, items: int, warm: int) -> None:
    for _ in range(warm):
        source.get()
    go()
    for _ in range(items):
        check(source.get())


def small_ints(peer: str, producers: int, consumers: int, n: int) -> float:
    between = queue(peer)
    jobs = [Job(_produce_ints, (between, share)) for share in crew.shares(n, producers)]
    jobs += [Job(consume, (between, share)) for share in crew.shares(n, consumers)]
    return crew.run(context(peer), jobs).seconds


def objects(
    peer: str, obj: Any, consume: Callable[..., None], maxsize: int, max_bytes: int, n: int
) -> float:
    between = queue(peer, maxsize, max_bytes)
    # Memory that is touched for the first time is several times slower, for all.
    warm = 3 * maxsize if max_bytes // maxsize >= MIB else 0
    jobs = [Job(_produce, (between, n, obj, warm)), Job(consume, (between, n, warm))]
    return crew.run(context(peer), jobs).seconds


def arrays(peer: str, n: int) -> float:
    return objects(peer, array(), _consume_arrays, 2, math.ceil(2.1 * SIZE), n)


def _put_batches(go: Callable[[], None], to: Any, batches: int, timeout: dict[str, float]) -> None:
    batch = list(range(BATCH))
    go()
    for _ in range(batches):
        to.put_many(batch, **timeout)


def _get_batches(go: Callable[[], None], source: Any, items: int, options: dict[str, Any]) -> None:
    go()
    while items:
        items -= len(source.get_many(**options))


def batches(peer: str, timeout: dict[str, float], n: int) -> float:
    between = queue(peer)
    if not hasattr(between, "put_many"):
        raise Missing("put_many")
    most = {"max_messages_to_get" if peer == FIFO else "max_items": BATCH}
    jobs = [
        Job(_put_batches, (between, n, timeout)),
        Job(_get_batches, (between, n * BATCH, most | timeout)),
    ]
    return crew.run(context(peer), jobs).seconds


def _one_by_one(n: int) -> float:
    """The standard library's, which has no put_many."""
    return small_ints(STANDARD, 1, 1, n * BATCH)


def _put_and_join(go: Callable[[], None], to: Any, items: int) -> None:
    go()
    for i in range(items):
        to.put(i)
    to.join()


def _get_and_finish(go: Callable[[], None], source: Any, items: int) -> None:
    go()
    for _ in range(items):
        source.get()
        source.task_done()


def joinable(peer: str, n: int) -> float:
    ctx = context(peer)
    between = ctx.JoinableQueue()
    jobs = [Job(_put_and_join, (between, n)), Job(_get_and_finish, (between, n))]
    return crew.run(ctx, jobs).seconds


def _libraries(measure: Callable[..., float], *args: Any) -> dict[str, Measure]:
    peers = (STANDARD, FIFO, OURS) if has_fifo() else (STANDARD, OURS)
    return {peer: partial(measure, peer, *args) for peer in peers}


def _sized(name: str, title: str, size: int, depth: int, target: Target) -> Work:
    """bytes of a size, so many at most under way so that memory does not grow."""
    sides = _libraries(objects, bytes(size), consume, depth, depth * size + MIB)
    sides[MEMCPY] = partial(limits.copying, size)
    return Work(name, title, bandwidth(size), sides, target)


def works() -> Iterator[Work]:
    both = (STANDARD, FIFO)
    for producers, consumers in ((1, 1), (4, 1), (1, 4), (4, 4)):
        sides = _libraries(small_ints, producers, consumers)
        sides[PICKLE] = partial(limits.pickling, 1000)
        yield Work(
            f"queue-{producers}-{consumers}",
            f"Queue, small ints, {producers} to {consumers}",
            RATE,
            sides,
            Target(ratio=10 if producers == consumers == 1 else 8, against=both),
            least=4,
        )
    # faster-fifo waits ten seconds unless it is told otherwise.
    timeouts: dict[str, dict[str, float]] = {"": {}, "-timeout": {"timeout": 10.0}}
    for suffix, timeout in timeouts.items():
        yield Work(
            f"queue-many{suffix}",
            f"Queue, put_many, get_many of {BATCH}{', timeouts' if timeout else ''}",
            Unit("M/s", Kind.RATE, BATCH * 1e-6),
            {**_libraries(batches, timeout), STANDARD: _one_by_one},
            Target(ratio=15, against=both),
        )
    for name, title, obj, size in (
        ("queue-dict", "Queue, dicts of 1 KiB", RECORD, 1024),
        ("queue-16k", "Queue, bytes of 16 KiB", bytes(16384), 16384),
    ):
        sides = _libraries(objects, obj, consume, 1000, 1000 * size)
        sides[PICKLE] = partial(limits.pickling, obj)
        yield Work(name, title, RATE, sides, Target(ratio=5))
    yield _sized("queue-1m", "Queue, bytes of 1 MiB", MIB, 16, Target(ratio=1, against=both))
    yield _sized(
        "queue-100m",
        "Queue, bytes of 100 MiB",
        100 * MIB,
        2,
        Target(ratio=1, against=both, figure=2.5),
    )
    sides = _libraries(arrays)
    sides[MEMCPY] = partial(limits.copying, SIZE)
    yield Work(
        "queue-numpy",
        "Queue, numpy array of 100 MiB",
        bandwidth(SIZE),
        sides,
        Target(ratio=1 / 1.5, against=(MEMCPY,)),
    )
    yield Work(
        "queue-joinable",
        "JoinableQueue, put, get, task_done, join",
        RATE,
        {peer: partial(joinable, peer) for peer in (STANDARD, OURS)},
        Target(ratio=8),
    )
