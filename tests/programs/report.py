"""What pytest reports of a run, from its JUnit XML."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree


class Outcome(enum.IntEnum):
    """In order of weight: a test that passes and then fails its teardown has failed."""

    PASSED = 0
    XFAILED = 1
    SKIPPED = 2
    FAILED = 3


@dataclass(frozen=True)
class Result:
    outcome: Outcome
    message: str = ""


Results = dict[str, Result]


def _outcomes(case: ElementTree.Element) -> Iterator[Result]:
    yield Result(Outcome.PASSED)
    for child in case:
        message = f"{child.get('message', '')}\n{child.text or ''}"
        if child.tag in ("failure", "error"):
            yield Result(Outcome.FAILED, message)
        elif child.tag == "skipped":
            expected = child.get("type") == "pytest.xfail"
            yield Result(Outcome.XFAILED if expected else Outcome.SKIPPED, message)


def read(file: Path, implementation: str) -> Results:
    """The result of each test by its id, of a run with this implementation of multiprocessing."""
    tree = ElementTree.parse(file)
    for seen in tree.iterfind(".//property[@name='implementation']"):
        if seen.get("value") != implementation:
            raise RuntimeError(f"{file} is of a run with {seen.get('value')}")
    results: Results = {}
    for case in tree.iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        worst = max(_outcomes(case), key=lambda result: result.outcome)
        if name not in results or worst.outcome > results[name].outcome:
            results[name] = worst
    return results
