"""Waiting for a state, with a limit that only a fault reaches."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

LIMIT = 60.0


def eventually(
    state: Callable[[], object],
    otherwise: Callable[[], str] = lambda: "never happened",
    limit: float = LIMIT,
) -> None:
    """Returns once state() is true."""
    deadline = time.monotonic() + limit
    while not state():
        if time.monotonic() > deadline:
            raise AssertionError(otherwise())
        time.sleep(0.002)


def _sleeps(task: Path) -> tuple[bool, int]:
    """Whether a thread sleeps in the kernel, and how often it has gone to sleep."""
    stat = (task / "stat").read_text()
    state = stat[stat.rindex(")") + 2]
    for line in (task / "status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches"):
            return state == "S", int(line.split()[1])
    raise AssertionError(f"{task}/status has no voluntary_ctxt_switches")


def until_blocked(pid: int, tid: int | None = None) -> None:
    """Returns once the thread, by default the first one of the process, sleeps for good.

    To be called when what the thread does next is the call that should block.
    """
    task = Path(f"/proc/{pid}/task/{tid or pid}")
    before = None

    def settled() -> bool:
        nonlocal before
        now = _sleeps(task)
        same = now == before
        before = now
        time.sleep(0.05)
        return same and now[0]

    eventually(settled, lambda: f"thread {tid or pid} of {pid} does not block")
