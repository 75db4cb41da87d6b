"""Processes that start to work at one moment, and the time until the last is done."""

from __future__ import annotations

import math
import os
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

from .work import Missing

# Longer than any sample takes; a crew that takes longer hangs.
LIMIT = 180.0

# What a process reports: its index, when it was done (not a number: it is
# ready), what its work returned. Writes of this size are atomic (pipe(7)).
_REPORT = struct.Struct("qdd")


@dataclass(frozen=True)
class Job:
    """What one process does: work(go, *args), which calls go() once it is ready."""

    work: Callable[..., float | None]
    args: tuple[Any, ...] = ()
    cpus: frozenset[int] | None = None


@dataclass(frozen=True)
class Outcome:
    seconds: float
    values: list[float]


def cpus(number: int) -> list[frozenset[int]]:
    """Some CPUs that can be used, each by itself."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < number:
        raise Missing(f"{number} CPUs")
    return [frozenset([cpu]) for cpu in usable[:number]]


def _member(
    ctx: Any, job: Job, index: int, gate: int, reports: int, leave: int, errors: int
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # to end by Ctrl-C without a word
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    try:
        _work(ctx, job, index, gate, reports)
        # To exit takes a millisecond of a CPU on which others are still at work.
        os.read(leave, 1)
    except Exception:
        os.write(errors, traceback.format_exc().encode())
        sys.exit(1)


def _work(ctx: Any, job: Job, index: int, gate: int, reports: int) -> None:
    if job.cpus is not None:
        os.sched_setaffinity(0, job.cpus)
    # Whatever is done at the first use in a process is done before the clock starts.
    first = ctx.SimpleQueue()
    first.put(None)
    first.get()

    def go() -> None:
        os.write(reports, _REPORT.pack(index, math.nan, math.nan))
        os.read(gate, 1)

    value = job.work(go, *job.args)
    done = time.perf_counter()  # the same clock in all processes
    os.write(reports, _REPORT.pack(index, done, math.nan if value is None else value))


class _Crew:
    def __init__(self, ctx: Any, jobs: Sequence[Job]) -> None:
        self.reports, writer = os.pipe()
        reader, self.gate = os.pipe()
        leave, self.exit = os.pipe()
        self.errors = os.memfd_create("errors")
        self.processes: list[Any] = []
        # In a handler of os.register_at_fork, KeyboardInterrupt would get lost.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            for index, job in enumerate(jobs):
                args = (ctx, job, index, reader, writer, leave, self.errors)
                process = ctx.Process(target=_member, args=args, daemon=True)
                process.start()
                self.processes.append(process)
        except BaseException:
            self.dismiss()
            raise
        finally:
            for fd in (reader, writer, leave):
                os.close(fd)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def hear(self) -> dict[int, tuple[float, float]]:
        """One report of each process."""
        heard: dict[int, tuple[float, float]] = {}
        watched = {process.sentinel: process for process in self.processes}
        deadline = time.monotonic() + LIMIT
        while len(heard) < len(self.processes):
            found = connection.wait([self.reports, *watched], deadline - time.monotonic())
            if not found:
                raise TimeoutError(f"the processes have not done their work within {LIMIT} s")
            if self.reports in found:
                read = os.read(self.reports, 64 * _REPORT.size)
                for index, done, value in _REPORT.iter_unpack(read):
                    heard[index] = (done, value)
                if read:
                    continue
            for sentinel in set(found) - {self.reports}:
                process = watched.pop(sentinel)
                self.check(process)
            if not watched and len(heard) < len(self.processes):
                raise RuntimeError("a process ended without a report")
        return heard

    def join(self) -> None:
        for process in self.processes:
            self.check(process)

    def check(self, process: Any) -> None:
        process.join(LIMIT)
        if process.exitcode != 0:
            said = os.pread(self.errors, 1 << 16, 0).decode()
            raise RuntimeError(f"a process ended with {process.exitcode}\n{said}".strip())

    def dismiss(self) -> None:
        for process in self.processes:
            if process.is_alive():
                process.kill()
            process.join()
            process.close()
        for fd in (self.gate, self.exit, self.reports, self.errors):
            os.close(fd)


def run(ctx: Any, jobs: Sequence[Job]) -> Outcome:
    """The time from when all processes are ready until each has done its job."""
    crew = _Crew(ctx, jobs)
    try:
        crew.hear()
        start = time.perf_counter()
        os.write(crew.gate, bytes(len(jobs)))
        heard = crew.hear()
        os.write(crew.exit, bytes(len(jobs)))
        crew.join()
    finally:
        crew.dismiss()
    ends, values = zip(*(heard[index] for index in range(len(jobs))), strict=True)
    return Outcome(max(ends) - start, list(values))


def shares(n: int, parts: int) -> list[int]:
    """n in so many parts that differ by at most one."""
    return [n // parts + (i < n % parts) for i in range(parts)]
