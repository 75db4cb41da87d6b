"""What came of the tests of a class, and how two implementations compare."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["COUNTED", "ENVIRONMENT", "Comparison", "Result", "ShippedClass"]

# How the name begins under which processes or threads that dangle after a class are noted.
ENVIRONMENT = "(environment"
GOOD = ("passed", "expected failure")
COUNTED = ("tests", "passed", "skipped", "failed", "errors", "expected failures")


@dataclass(frozen=True)
class ShippedClass:
    suite: str
    """A start method, or "futures"."""
    module: str
    name: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        if self.suite == "futures":
            return f"{self.module.rpartition('.')[2]}.{self.name}"
        return self.name

    def full_name(self, test: str) -> str:
        return f"{self.suite}/{self}.{test}"


@dataclass(frozen=True)
class Result:
    outcome: str
    """As the worker's journal says it, or "hung", "crashed", "left behind" or "altered"."""
    seconds: float = 0.0
    text: str = ""

    @property
    def good(self) -> bool:
        return self.outcome in GOOD

    @property
    def counted(self) -> str:
        """As which of COUNTED it counts."""
        names = {"expected failure": "expected failures", "unexpected success": "failed"}
        name = names.get(self.outcome, self.outcome)
        return name if name in COUNTED else "errors"


@dataclass(frozen=True)
class Comparison:
    """A class over the standard library, if that was measured, and over this package."""

    cls: ShippedClass
    stdlib: dict[str, Result] | None
    ours: dict[str, Result]

    def result(self, results: dict[str, Result], test: str) -> Result:
        """The result of a test, or of what is no test and is noted only when it is wrong."""
        missing = Result("missing") if test in self.cls.tests else Result("passed")
        return results.get(test, missing)

    def failed(self, results: dict[str, Result]) -> dict[str, Result]:
        """What did not pass, and was not skipped either."""
        found = {name: self.result(results, name) for name in (*self.cls.tests, *results)}
        return {
            name: result
            for name, result in found.items()
            if not (result.good or result.outcome == "skipped")
        }

    def amended(self, implementation: str, again: Mapping[str, Result]) -> Comparison:
        """With what passed when it was run again, over "stdlib" or "ours"."""
        passed = {test: result for test, result in again.items() if result.good}
        results: dict[str, Result] = getattr(self, implementation) | passed
        # What is no test is noted only when it is wrong.
        gone = passed.keys() - set(self.cls.tests)
        kept = {test: result for test, result in results.items() if test not in gone}
        return dataclasses.replace(self, **{implementation: kept})

    def worse(self) -> dict[str, Result]:
        """What passes with the standard library and does not pass here."""
        if self.stdlib is None:
            return {}
        worse = {
            test: self.result(self.ours, test)
            for test in {**dict.fromkeys(self.cls.tests), **self.ours}
            if self.result(self.stdlib, test).good and not self.result(self.ours, test).good
        }
        # A test that fails does not get to its end, where it joins what it started.
        others = {test: worse[test] for test in worse if not test.startswith(ENVIRONMENT)}
        return others or worse

    def counts(self, results: dict[str, Result]) -> Counter[str]:
        counted: Counter[str] = Counter()
        for test, result in results.items():
            counted[result.counted] += 1
            counted["tests"] += test in self.cls.tests
        return counted

    @staticmethod
    def seconds(results: dict[str, Result]) -> float:
        return sum(result.seconds for result in results.values())
