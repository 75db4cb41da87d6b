"""Runs the tests of a class in a process group of their own, of which nothing stays."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from . import groups
from .environment import Environment
from .results import ENVIRONMENT, Result, ShippedClass

__all__ = ["run"]

# For a fork server or a resource tracker to see that nobody needs it any more.
GRACE = 10.0
# For a hung process to write its stacks.
STACKS = 1.0
# How much of a process's output goes into a result.
TAIL = 20_000
# How test.support says what dangles, and of a thread what it calls.
COMPLAINT = re.compile(r"Warning -- (?!threading_cleanup\(\) |Dangling thread: <_MainThread)(\S.*)")
DANGLING = re.compile(r"Dangling thread: <Thread\(Thread-\d+ \((\w+)\), ")


async def _execute(
    environment: Environment, cls: ShippedClass, tests: Collection[str], folder: Path, limit: float
) -> str:
    """Runs a worker until it ends or is killed; returns what is wrong with its end, if anything."""
    (folder / "cwd").mkdir()
    with (folder / "output").open("wb") as output:
        worker = await asyncio.create_subprocess_exec(
            *(environment.python, "-m", "tests.cpython.inside.worker"),
            *(environment.implementation, cls.module, cls.name, str(folder / "journal"), *tests),
            cwd=folder / "cwd",
            env=environment.variables(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    group = worker.pid
    wrong = ""
    left: list[int] = []
    try:
        async with asyncio.timeout(limit):
            status = await worker.wait()
        if status:
            wrong = f"crashed: exit status {status}"
        left = await groups.end(group, GRACE)
    except TimeoutError:
        wrong = f"hung: did not end within {limit:.0f} s"
        groups.show_stacks(group)
        await asyncio.sleep(STACKS)
    finally:
        await groups.end(group)
        await worker.wait()
    if not wrong and left:
        wrong = f"left behind: {len(left)} processes"
    return wrong


def _read(journal: Path) -> list[dict[str, Any]]:
    """The events of a worker, of which it may have been killed while writing the last."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def _environment(output: str) -> str:
    """The name of what dangles: "(environment:run)" if it is only threads that call run()."""
    threads = [DANGLING.match(complaint) for complaint in COMPLAINT.findall(output)]
    calls = sorted({thread[1] for thread in threads if thread}) if all(threads) else []
    return ":".join([ENVIRONMENT, *calls]) + ")"


def _results(events: list[dict[str, Any]], wrong: str, output: str) -> dict[str, Result]:
    """Results by test; what is wrong goes to the test during which it happened."""
    results = {
        event["ended"]: Result(event["outcome"], event["seconds"], event["text"])
        for event in events
        if "ended" in event
    }
    started = {event["started"] for event in events if "started" in event} - results.keys()
    for event in events:
        if event.get("altered"):
            results[_environment(output)] = Result("altered", text=output)
    if wrong:
        result = Result(wrong.partition(":")[0], text=f"{wrong}\n{output}")
        results |= dict.fromkeys(started or {"(end)"}, result)
    return results


async def run(
    environment: Environment, cls: ShippedClass, limit: float, tests: Collection[str] = ()
) -> dict[str, Result]:
    """The results of some tests of a class, by default of all.

    When a process hangs or crashes, another one runs the rest. What is not the
    fault of one test has its result under a name in parentheses.
    """
    left = list(tests or cls.tests)
    results: dict[str, Result] = {}
    while left:
        folder = Path(tempfile.mkdtemp(dir=environment.temporary))
        wrong = await _execute(environment, cls, left, folder, limit)
        output = (folder / "output").read_text(errors="replace")[-TAIL:]
        results |= _results(_read(folder / "journal"), wrong, output)
        shutil.rmtree(folder, ignore_errors=True)
        before, left = left, [test for test in left if test not in results]
        if not wrong or left == before:
            break
    return results
