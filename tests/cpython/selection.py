"""Which classes run: those the interpreter ships, those asked for, and the quick ones."""

from __future__ import annotations

import fnmatch
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from .environment import Environment
from .results import ShippedClass

__all__ = ["METHODS", "SUITES", "NotShipped", "Selection", "shipped"]

METHODS = ("fork", "spawn", "forkserver")
SUITES = (*METHODS, "futures")
# What a quick run has of the other suites than fork: the classes whose objects are passed
# to processes, and what is built on those objects, but for some that take long.
QUICK = (
    "MiscTestCase",
    "TestCloseFds",
    "TestForkAwareThreadLock",
    "TestIgnoreEINTR",
    "TestInitializers",
    "TestNamedResource",
    "TestNoForkBomb",
    "TestResourceTracker",
    "TestSimpleQueue",
    "TestStartMethod",
    "WithProcessesTestArray",
    "WithProcessesTestCondition",
    "WithProcessesTestConnection",
    "WithProcessesTestEvent",
    "WithProcessesTestFinalize",
    "WithProcessesTestLock",
    "WithProcessesTestLogging",
    "WithProcessesTestPicklingConnections",
    "WithProcessesTestPoll",
    "WithProcessesTestPool*",
    "WithProcessesTestQueue",
    "WithProcessesTestSemaphore",
    "WithProcessesTestSharedCTypes",
    "WithProcessesTestSubclassingProcess",
    "WithProcessesTestValue",
    "*.ProcessPool*ExecutorTest",
)


class NotShipped(Exception):
    pass


def shipped(environment: Environment, suite: str) -> list[ShippedClass]:
    """The classes of a suite that the interpreter ships."""
    answer = json.loads(
        subprocess.run(
            [environment.python, "-m", "tests.cpython.inside.classes", suite],
            cwd=environment.temporary,
            env=environment.variables(),
            stdout=subprocess.PIPE,
            check=True,
            timeout=60,
        ).stdout
    )
    if "modules" not in answer:
        raise NotShipped(f"{answer['shipped']}: not shipped by this interpreter")
    return [
        ShippedClass(suite, module, name, tuple(tests))
        for module, classes in answer["modules"].items()
        for name, tests in classes.items()
    ]


@dataclass(frozen=True)
class Selection:
    patterns: Sequence[str] = ()
    quick: bool = False

    def __contains__(self, cls: ShippedClass) -> bool:
        if self.quick and cls.suite != "fork" and not _matches(cls, QUICK):
            return False
        return not self.patterns or _matches(cls, self.patterns)


def _matches(cls: ShippedClass, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(str(cls), pattern) for pattern in patterns)
