"""Proof that the tests run over this package: in children and scripts, and that they can fail."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Collection, Mapping

from . import groups, runner
from .environment import Environment
from .results import Result, ShippedClass

__all__ = ["BROKEN", "claims"]

BROKEN = {"broken-parent": "the parent", "broken-child": "children"}
OURS = "goprocessing.queues.Queue"
# Items of the parent, then of a child, which the parent gets.
CLASS, TEST = "WithProcessesTestQueue", "test_fork"


async def _probe(
    environment: Environment, methods: Collection[str], limit: float
) -> dict[str, str]:
    """What `multiprocessing.Queue` makes, by where."""
    process = await asyncio.create_subprocess_exec(
        *(environment.python, "-m", "tests.cpython.inside.probe", *methods),
        cwd=environment.temporary,
        env=environment.variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(limit):
            output, _ = await process.communicate()
    except TimeoutError:
        return {"the process itself": "no answer"}
    finally:
        await groups.end(process.pid)
        await process.wait()
    if process.returncode:
        return {"the process itself": f"exit status {process.returncode}"}
    found: dict[str, str] = json.loads(output)
    return found


async def claims(
    environments: Mapping[str, Environment], methods: Collection[str], limit: float
) -> AsyncIterator[tuple[str, bool]]:
    """What was found, and whether it is as it should be."""
    for where, found in (await _probe(environments["ours"], methods, limit)).items():
        yield f"Queue() in {where}: {found}", found == OURS
    for method in methods:
        cls = ShippedClass(method, f"tests.cpython.inside.{method}", CLASS, (TEST,))
        for broken, where in BROKEN.items():
            results = await runner.run(environments[broken], cls, limit)
            outcome = results.get(TEST, Result("missing")).outcome
            yield f"{method}/{CLASS}.{TEST}, put broken in {where}: {outcome}", outcome == "failed"
