"""Running classes over both implementations, several at a time, and what failed again, alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from . import runner
from .environment import Environment
from .results import Comparison, Result, ShippedClass

__all__ = ["Measurement", "Repetition"]


# How often a test that failed is run again, until it passes. Some of the standard
# library's own tests are races.
TIMES = 3
# The time for that, beyond some of what they took.
PATIENCE = 20.0


@dataclass(frozen=True)
class Repetition:
    """A test that passed with the standard library alone, and both when run again."""

    cls: ShippedClass
    test: str
    first: Result
    stdlib: list[Result]
    ours: list[Result]

    @property
    def flaky(self) -> bool:
        """Whether it passes once, or fails with the standard library as well."""
        return any(again.good for again in self.ours) or not all(
            again.good for again in self.stdlib
        )


@dataclass(frozen=True)
class Measurement:
    environments: Mapping[str, Environment]
    limit: float
    jobs: int
    baseline: bool

    async def compare(
        self, classes: Iterable[ShippedClass], done: Callable[[Comparison], None]
    ) -> list[Comparison]:
        """Calls done with each comparison as it is made; returns all in the order of classes."""
        slots = asyncio.Semaphore(self.jobs)

        async def one(implementation: str, cls: ShippedClass) -> dict[str, Result]:
            async with slots:
                return await runner.run(self.environments[implementation], cls, self.limit)

        async def both(cls: ShippedClass) -> Comparison:
            async with asyncio.TaskGroup() as group:
                stdlib = group.create_task(one("stdlib", cls)) if self.baseline else None
                ours = group.create_task(one("ours", cls))
            comparison = Comparison(cls, stdlib.result() if stdlib else None, ours.result())
            done(comparison)
            return comparison

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(both(cls)) for cls in classes]
        return [task.result() for task in tasks]

    async def _again(
        self, implementation: str, comparison: Comparison, failed: Collection[str]
    ) -> dict[str, Result]:
        """Runs some tests of a class again, alone; all of them for what is no test."""
        cls = comparison.cls
        tests = failed if set(failed) <= set(cls.tests) else cls.tests
        took = max(
            sum(comparison.result(results, test).seconds for test in tests)
            for results in (comparison.stdlib or {}, comparison.ours)
        )
        limit = min(self.limit, PATIENCE + 5 * took)
        results = await runner.run(self.environments[implementation], cls, limit, tests)
        return {test: comparison.result(results, test) for test in failed}

    async def repeat(self, comparison: Comparison, worse: Mapping[str, Result]) -> list[Repetition]:
        """Runs what passed with the standard library alone again, with both."""
        again = [Repetition(comparison.cls, test, first, [], []) for test, first in worse.items()]
        for _ in range(TIMES):
            stdlib = await self._again("stdlib", comparison, worse)
            ours = await self._again("ours", comparison, worse)
            for repetition in again:
                repetition.stdlib.append(stdlib[repetition.test])
                repetition.ours.append(ours[repetition.test])
            if all(repetition.flaky for repetition in again):
                break
        return again

    async def repeat_baseline(self, comparison: Comparison) -> dict[str, Result]:
        """What came at last of the tests that failed with the standard library, run again, alone.

        Those are compared with nothing otherwise. What hangs again is left at that.
        """
        last = {} if comparison.stdlib is None else comparison.failed(comparison.stdlib)
        left = list(last)
        for _ in range(TIMES):
            if not left:
                break
            last |= await self._again("stdlib", comparison, left)
            left = [test for test in left if not last[test].good and last[test].outcome != "hung"]
        return last
