"""Runs one test class and writes each event into a journal, a line of JSON each."""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import signal
import sys
import time
import unittest
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
)

# Of several outcomes of one test, with subtests or a failing tearDown, the first counts.
OUTCOMES = ("error", "failed", "unexpected success", "expected failure", "skipped", "passed")


class Journal(unittest.TestResult):
    """Opens its file for each line, since tests count open descriptors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._events: list[tuple[str, str]] | None = None
        self._start = 0.0

    def write(self, **event: Any) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(event) + "\n")

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._events = []
        self._start = time.monotonic()
        self.write(started=test._testMethodName)

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        if self._events is None:
            return  # skipped before it was started, as in CPython 3.12.1
        events, self._events = self._events, None
        outcome = min((event[0] for event in events), key=OUTCOMES.index, default="passed")
        self.write(
            ended=test._testMethodName,
            outcome=outcome,
            seconds=time.monotonic() - self._start,
            text="\n".join(text for _, text in events if text),
        )

    def _note(self, test: unittest.TestCase, outcome: str, text: str = "") -> None:
        if self._events is not None:
            self._events.append((outcome, text))
        else:
            # Also setUpClass, tearDownModule and the like: "setUpClass (module.Class)".
            self.write(ended=str(test).partition(" ")[0], outcome=outcome, seconds=0, text=text)

    def addSuccess(self, test: unittest.TestCase) -> None:
        self._note(test, "passed")

    def addError(self, test: unittest.TestCase, err: ExcInfo) -> None:
        self._note(test, "error", self._exc_info_to_string(err, test))

    def addFailure(self, test: unittest.TestCase, err: ExcInfo) -> None:
        self._note(test, "failed", self._exc_info_to_string(err, test))

    def addSubTest(
        self, test: unittest.TestCase, subtest: unittest.TestCase, err: ExcInfo | None
    ) -> None:
        if err is not None:
            failed = err[0] is not None and issubclass(err[0], test.failureException)
            text = f"{subtest}\n{self._exc_info_to_string(err, test)}"
            self._note(test, "failed" if failed else "error", text)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._note(test, "skipped", reason)

    def addExpectedFailure(self, test: unittest.TestCase, err: ExcInfo) -> None:
        self._note(test, "expected failure")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._note(test, "unexpected success", "passed, although it is expected to fail")


def substituted() -> bool:
    substitution = sys.modules.get(f"{__package__}.substitution")
    return substitution is not None and substitution.in_force()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("implementation")
    parser.add_argument("module")
    parser.add_argument("class_name")
    parser.add_argument("journal", type=Path)
    parser.add_argument("tests", nargs="*")
    args = parser.parse_args()
    if substituted() != (args.implementation != "stdlib"):
        sys.exit(f"this interpreter was to use {args.implementation}, but does not")
    # How the runner asks where a hung process is. Not faulthandler's own timer,
    # which is a thread: os.fork would warn of it.
    faulthandler.register(signal.SIGUSR2)
    journal = Journal(args.journal)
    cls = getattr(importlib.import_module(args.module), args.class_name)
    unittest.TestSuite(map(cls, args.tests)).run(journal)
    from test import support

    journal.write(finished=True, altered=support.environment_altered)


if __name__ == "__main__":
    main()
