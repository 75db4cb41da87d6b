"""One program, run with the standard library and with goprocessing."""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import ported, report
from .environment import PYTEST, Environment, variables
from .group import run
from .program import Program, Tests
from .report import Outcome, Results

HERE = Path(__file__).parent
TEST_LIMIT = 120


@dataclass
class Comparison:
    program: Program
    version: str = ""
    plain: Results = field(default_factory=dict)
    ours: Results = field(default_factory=dict)
    # Runs that pytest did not bring to an end.
    broken: list[str] = field(default_factory=list)

    @staticmethod
    def passed(results: Results) -> set[str]:
        return {name for name, result in results.items() if result.outcome is Outcome.PASSED}

    def differences(self) -> list[str]:
        """What passes with the standard library and not with goprocessing.

        That a test passes which its authors mark as expected to fail says nothing.
        """
        lost = self.passed(self.plain) - self.passed(self.ours)
        return sorted(
            name
            for name in lost
            if name not in self.ours or self.ours[name].outcome is not Outcome.XFAILED
        )

    def excuse(self, name: str) -> str | None:
        for pattern, reason in self.program.excused.items():
            if fnmatch.fnmatchcase(name, pattern):
                return reason
        return None

    def faults(self) -> Iterator[str]:
        """Why the comparison fails, if it does."""
        yield from self.broken
        if not self.passed(self.plain):
            yield "no test passes with the standard library"
        for name in self.differences():
            if self.excuse(name) is None:
                message = self.ours[name].message if name in self.ours else "it did not run"
                yield f"{name}\n{message}"
        if self.program.where is Tests.EXAMPLE:
            for results in self.plain, self.ours:
                for name, result in results.items():
                    if result.outcome is not Outcome.PASSED and name not in self.differences():
                        yield f"{name}\n{result.message}"


def _tests_directory(program: Program, environment: Environment, module: str) -> Path:
    """Where pytest is started, for a run with this module as multiprocessing."""
    directory = environment.directory / module
    match program.where:
        case Tests.SDIST:
            return environment.unpack_source(program.packages[0], directory)
        case Tests.PACKAGE:
            directory.mkdir()
        case Tests.PORTED:
            ported.copy(environment.packages(), module, directory)
        case Tests.EXAMPLE:
            shutil.copytree(HERE / "examples", directory)
    return directory


def compare(program: Program, wheel: Path, directory: Path) -> Comparison:
    """Runs the tests in an environment made in directory, which also gets the logs."""
    environment = Environment(directory)
    environment.install(wheel, *PYTEST, *program.packages)
    name = program.packages[0].partition("[")[0].partition("=")[0]
    comparison = Comparison(program, environment.versions()[name])
    for module, results in (
        ("multiprocessing", comparison.plain),
        ("goprocessing", comparison.ours),
    ):
        tests = _tests_directory(program, environment, module)
        substituted = module == "goprocessing" and program.where is not Tests.PORTED
        env = variables(HERE / "plugin", *((tests,) if program.where is Tests.PORTED else ()))
        for number, test in enumerate(program.tests):
            log = directory / f"{module}-{number}.log"
            xml = log.with_suffix(".xml")
            status = run(
                [
                    environment.python,
                    *(("-m", "goprocessing") if substituted else ()),
                    *("-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "witness"),
                    *("-o", "addopts=", "--timeout", str(TEST_LIMIT), "--junitxml", xml),
                    *program.options,
                    *(("--pyargs",) if program.where is Tests.PACKAGE else ()),
                    f"{ported.NAME}/{test}" if program.where is Tests.PORTED else test,
                ],
                log=log,
                limit=program.limit,
                cwd=tests,
                env=env,
            )
            if status in (0, 1):
                seen = "goprocessing" if substituted else "multiprocessing"
                results.update(report.read(xml, seen))
            else:
                end = f"exit status {status}" if status is not None else "killed at its limit"
                last = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
                comparison.broken.append(f"{module}, {test}: {end}\n{last}")
    return comparison
