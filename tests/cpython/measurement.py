"""Running classes over both implementations, several at a time, and what failed once more alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from . import runner
from .environment import Environment
from .results import Comparison, Result, ShippedClass

__all__ = ["Measurement", "Repetition"]


@dataclass(frozen=True)
class Repetition:
    """A test that passed with the standard library alone, and both when run again."""

    cls: ShippedClass
    test: str
    first: Result
    stdlib: Result
    ours: Result

    @property
    def flaky(self) -> bool:
        """Whether it passes, too, or fails with the standard library as well."""
        return self.ours.good or not self.stdlib.good


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

    async def repeat(self, cls: ShippedClass, worse: Mapping[str, Result]) -> list[Repetition]:
        """Runs some tests of a class again, alone; all of them for what is no test."""
        tests = worse if worse.keys() <= set(cls.tests) else cls.tests
        stdlib, ours = [
            await runner.run(self.environments[implementation], cls, self.limit, tests)
            for implementation in ("stdlib", "ours")
        ]
        again = Comparison(cls, stdlib, ours)
        return [
            Repetition(cls, test, first, again.result(stdlib, test), again.result(ours, test))
            for test, first in worse.items()
        ]
