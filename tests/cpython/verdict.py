"""What a run has found, and whether that is well."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import goprocessing

from .exceptions import Exceptions
from .measurement import Repetition
from .results import Comparison, Result

__all__ = ["Verdict"]

# Passed, but so much slower that something waits for a time limit.
SLOWER, SECONDS = 3.0, 5.0


@dataclass
class Verdict:
    exceptions: Exceptions
    claims: list[tuple[str, bool]] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    repetitions: list[Repetition] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return (
            all(holds for _, holds in self.claims)
            and not any(not repetition.flaky for repetition in self.repetitions)
            and not list(self.stale())
        )

    def excepted(self) -> Iterable[tuple[str, str]]:
        """Tests that fail, and may, each with the reason."""
        for comparison in self.comparisons:
            for test in comparison.worse():
                if reason := self.exceptions.reason(comparison.cls, test):
                    yield comparison.cls.full_name(test), reason

    def unexcused(self, comparison: Comparison) -> dict[str, Result]:
        """What fails of a class, and may not."""
        return {
            test: result
            for test, result in comparison.worse().items()
            if not self.exceptions.reason(comparison.cls, test)
        }

    def uncompared(self) -> Iterable[tuple[str, Result]]:
        """What fails where the standard library was not measured."""
        for comparison in self.comparisons:
            for test, result in comparison.ours.items():
                if comparison.stdlib is None and not (result.good or result.outcome == "skipped"):
                    yield comparison.cls.full_name(test), result

    def stale(self) -> Iterable[str]:
        """Tests that are said to fail, and pass."""
        for comparison in self.comparisons:
            for test, result in comparison.ours.items():
                if result.good and self.exceptions.fails(comparison.cls, test):
                    yield comparison.cls.full_name(test)

    def slower(self) -> Iterable[tuple[str, float, float]]:
        """Tests that pass here much later than with the standard library: both times."""
        for comparison in self.comparisons:
            for test, ours in comparison.ours.items():
                stdlib = comparison.result(comparison.stdlib or comparison.ours, test)
                if stdlib.good and ours.good and ours.seconds > SLOWER * stdlib.seconds + SECONDS:
                    yield comparison.cls.full_name(test), stdlib.seconds, ours.seconds

    def as_json(self) -> str:
        def results(of: dict[str, Result] | None) -> Any:
            return of and {test: dataclasses.asdict(result) for test, result in of.items()}

        return json.dumps(
            {
                "python": platform.python_version(),
                "goprocessing": goprocessing.__version__,
                "sound": self.sound,
                "claims": [{"claim": text, "holds": holds} for text, holds in self.claims],
                "classes": [
                    {
                        "suite": comparison.cls.suite,
                        "class": str(comparison.cls),
                        "stdlib": results(comparison.stdlib),
                        "ours": results(comparison.ours),
                    }
                    for comparison in self.comparisons
                ],
                "repeated": [
                    {
                        "test": repetition.cls.full_name(repetition.test),
                        "flaky": repetition.flaky,
                        "first": dataclasses.asdict(repetition.first),
                        "stdlib": [dataclasses.asdict(again) for again in repetition.stdlib],
                        "ours": [dataclasses.asdict(again) for again in repetition.ours],
                    }
                    for repetition in self.repetitions
                ],
                "excepted": dict(self.excepted()),
                "stale": list(self.stale()),
                "slower": {test: [stdlib, ours] for test, stdlib, ours in self.slower()},
            },
            indent=1,
        )
