"""The CPU time that processes use while they are blocked."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ..waiting import until_blocked
from .peers import OURS, STANDARD, context
from .work import Kind, Target, Unit, Work


def _cpu_time(pid: int) -> float:
    """Of another process, to the nanosecond: clock_getcpuclockid(3), as glibc makes it."""
    return time.clock_gettime((~pid << 3) | 2)


def _await(condition: Any) -> None:
    with condition:
        condition.wait()


def _wait(wait: Callable[[], object]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # to end by Ctrl-C without a word
    wait()


def blocked(peer: str, milliseconds: int) -> float:
    """CPU time a second of one waiter, over waiters of each kind."""
    ctx = context(peer)
    lock = ctx.Lock()
    lock.acquire()
    queue, event, condition, (reader, writer) = (
        ctx.Queue(),
        ctx.Event(),
        ctx.Condition(),
        ctx.Pipe(),
    )
    waits = [queue.get, lock.acquire, event.wait, reader.recv, partial(_await, condition)]
    processes = [ctx.Process(target=_wait, args=(wait,), daemon=True) for wait in waits]
    try:
        for process in processes:
            process.start()
        for process in processes:
            until_blocked(process.pid)
        before = [_cpu_time(process.pid) for process in processes]
        time.sleep(milliseconds / 1000)
        after = [_cpu_time(process.pid) for process in processes]
    finally:
        for process in processes:
            if process.pid is not None:
                process.kill()
                process.join()
            process.close()
        reader.close()
        writer.close()
    return (sum(after) - sum(before)) / len(processes) / milliseconds * 1000


def works() -> Iterator[Work]:
    yield Work(
        "waiters",
        "CPU time of a blocked process",
        Unit("us/s", Kind.FIGURE, 1e6, lower=True),
        {peer: partial(blocked, peer) for peer in (STANDARD, OURS)},
        Target(figure=0),
        amount=1100,
    )
