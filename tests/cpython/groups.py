"""Process groups: who is in one, and ending it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

__all__ = ["end", "running", "show_stacks"]


def _fields(pid: str) -> list[str]:
    """State, parent, group and so on: what follows the name in /proc/pid/stat."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat[stat.rindex(")") + 2 :].split()


def running(group: int) -> list[int]:
    """Its processes. One that ended, and that nobody has waited for, does not run."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it ended meanwhile
            state, _, its_group = _fields(pid)[:3]
            if int(its_group) == group and state not in "ZX":
                found.append(int(pid))
    return found


def _catches(pid: int, signum: int) -> bool:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signum - 1) & 1)
    return False


def show_stacks(group: int) -> None:
    """Asks those for their stacks that would answer: see faulthandler.register in the worker."""
    for pid in running(group):
        with contextlib.suppress(OSError):
            if _catches(pid, signal.SIGUSR2):
                os.kill(pid, signal.SIGUSR2)


async def end(group: int, grace: float = 0.0) -> list[int]:
    """Kills what still runs in the group after a moment's grace, and returns it."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + grace
    while (left := running(group)) and loop.time() < deadline:
        await asyncio.sleep(0.02)
    if left:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        while running(group):
            await asyncio.sleep(0.02)
    return left
