"""Whether a process grows while it does the same thing over and over."""

from __future__ import annotations

import dataclasses
import gc
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 6
"""What grows in each of so many rounds is a leak; what once did not is noise."""

MOST = 1_000_000
"""Uses, of which a round has half."""

KIB = 1024


@dataclasses.dataclass(frozen=True)
class Holdings:
    """What the process holds."""

    descriptors: int
    mappings: int
    threads: int
    children: int
    blocks: int
    """Of Python's allocator: one for each object, or about."""
    memory: int
    """Bytes that are resident, and those of the memfds that are open."""

    @classmethod
    def now(cls) -> Holdings:
        gc.collect()
        pid = os.getpid()
        descriptors = os.listdir("/proc/self/fd")
        rollup = Path("/proc/self/smaps_rollup").read_text()
        resident = re.search(r"^Rss: +(\d+) kB", rollup, re.MULTILINE)
        assert resident is not None
        return cls(
            descriptors=len(descriptors),
            mappings=Path("/proc/self/maps").read_text().count("\n"),
            threads=len(os.listdir("/proc/self/task")),
            children=len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()),
            blocks=sys.getallocatedblocks(),
            memory=int(resident[1]) * KIB + sum(map(of_memfd, descriptors)),
        )


def of_memfd(descriptor: str) -> int:
    path = f"/proc/self/fd/{descriptor}"
    try:
        if os.readlink(path).startswith("/memfd:"):
            return os.stat(path).st_blocks * 512
    except FileNotFoundError:  # that of the listing itself
        pass
    return 0


def tolerated(uses: int) -> Holdings:
    """How much more may be noise. A resource for each use, or for some, is not."""
    few = uses // 100
    return Holdings(
        descriptors=few,
        mappings=few,
        threads=few,
        children=few,
        blocks=50 + few,
        memory=max(256 * KIB, 8 * uses),
    )


@dataclasses.dataclass(frozen=True)
class Leak:
    what: str
    amount: int
    uses: int

    def __str__(self) -> str:
        return f"{self.amount} {self.what} more after {self.uses} uses, in each of {ROUNDS} rounds"


def repeat(use: Callable[[], object], seconds: float, most: int) -> int:
    """Does it as often as it can be done in the time, and says how often."""
    end = time.monotonic() + seconds
    for done in range(1, most + 1):
        use()
        if time.monotonic() >= end:
            return done
    return most


def leaks(use: Callable[[], object], seconds: float, most: int = MOST) -> list[Leak]:
    """What grows in each round: a quarter of the time warms up, a round takes as long at most."""
    for _ in range(2):
        use()
    before = Holdings.now()  # what looking allocates, it allocates now
    uses = max(2, repeat(use, seconds / 4, most // 2))
    suspects = {field.name for field in dataclasses.fields(Holdings)}
    grown: dict[str, int] = {}
    before = Holdings.now()
    for _ in range(ROUNDS):
        for _ in range(uses):
            use()
        after, limit = Holdings.now(), tolerated(uses)
        grown = {
            what: growth
            for what in suspects
            if (growth := getattr(after, what) - getattr(before, what)) > getattr(limit, what)
        }
        suspects &= grown.keys()
        before = after
        if not suspects:
            break
    return [Leak(what, grown[what], uses) for what in sorted(suspects)]
