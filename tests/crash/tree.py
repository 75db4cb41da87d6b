"""A whole tree of processes is killed at once, and nothing is left of it and of what it made."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import goprocessing

from .crew import LIMIT, Failure
from .items import make

PR_SET_CHILD_SUBREAPER = 36

METHODS = "fork", "fork", "spawn", "forkserver"
MOST = 0.6  # seconds that a tree lives at most, of those that it takes to grow


def pass_items(q: Any, connection: Any, lock: Any, event: Any) -> None:
    kept = []
    for n in range(1 << 60):
        q.put(make(0, n))
        kept.append(q.get())
        del kept[:-4]
        with lock:
            connection.send(n)
            connection.recv()
        event.set()


def double(number: int) -> int:
    return 2 * number


def use_pool(ctx: Any) -> None:
    with ctx.Pool(2) as pool:
        while True:
            pool.map(double, range(10))


def use_manager(ctx: Any) -> None:
    with ctx.Manager() as manager:
        numbers, q = manager.list(), manager.Queue()
        while True:
            numbers.append(1)
            q.put(1)
            q.get()


def grow(method: str) -> None:
    """What the first process does: it has children, and threads that have some."""
    ctx = goprocessing.get_context(method)
    q, lock, event, condition = ctx.Queue(), ctx.Lock(), ctx.Event(), ctx.Condition()
    total, (ours, theirs) = ctx.Value("q", 0), ctx.Pipe()
    for _ in range(2):
        ctx.Process(target=pass_items, args=(q, theirs, lock, event)).start()
    for use in use_pool, use_manager:
        threading.Thread(target=use, args=(ctx,)).start()
    while True:
        ours.send(ours.recv())
        with total, condition:
            total.value += 1
            condition.notify()
        objects = ctx.Queue(), ctx.Lock(), ctx.Pipe()
        q.put(objects[0])
        del objects


def children() -> list[int]:
    pid = os.getpid()
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def mapped() -> set[str]:
    """The files of this package's that this process has mapped."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {line.split(maxsplit=5)[5] for line in lines if "memfd:goprocessing" in line}


class Tree:
    """queues, pipes, locks, a pool, a manager and values, of all processes of a program"""

    def __init__(self, random: random.Random) -> None:
        self.random = random

    def run(self, kills: int) -> Iterator[int]:
        """Yields after each process killed how many there were."""
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        done = 0
        while done < kills:
            done += self._kill_one()
            yield done

    def _kill_one(self) -> int:
        before = mapped(), {*children()}
        with tempfile.TemporaryDirectory() as directory:
            method = self.random.choice(METHODS)
            root = os.fork()
            if not root:
                self._live(method, directory)
            time.sleep(self.random.uniform(0, MOST))
            killed = self._kill(root, before[1])
            # The standard library's sockets of managers are in directories pymp-*.
            left = [name for name in os.listdir(directory) if not name.startswith("pymp-")]
        if left or (mapped(), {*children()}) != before:
            raise Failure(f"left of a tree: {left}, {mapped()}, {children()}")
        return killed

    def _live(self, method: str, directory: str) -> None:
        try:
            os.setsid()
            tempfile.tempdir = os.environ["TMPDIR"] = directory
            grow(method)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def _kill(self, root: int, before: set[int]) -> int:
        """Kills the session of root; returns how many processes it had, once none is left."""
        with contextlib.suppress(ProcessLookupError):  # it has none yet
            os.killpg(root, signal.SIGKILL)
        os.kill(root, signal.SIGKILL)
        killed = 0
        deadline = time.monotonic() + LIMIT
        while left := {*children()} - before:
            for pid in left:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    killed += 1
                    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
                        raise Failure(f"a process of a tree ended with status {status:#x}")
            if time.monotonic() > deadline:
                raise Failure(f"{left} outlive their tree")
            time.sleep(0.001)
        return killed
