"""python -m tests.cpython: CPython's own tests over this package, beside the standard library.

Whatever passes with the standard library has to pass over this package, but for what
tests/cpython/exceptions.txt lists. What does not is run again, alone, and is flaky if it
passes then; what fails with the standard library is run again as well. The tables have
what came of it at last.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from . import proof
from .environment import Environment
from .exceptions import Exceptions
from .measurement import Measurement
from .report import Report
from .results import ShippedClass
from .selection import METHODS, SUITES, NotShipped, Selection, shipped
from .verdict import Verdict


def parse() -> argparse.Namespace:
    summary, _, description = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m tests.cpython",
        description=f"{summary.partition(': ')[2]} {description}",
        epilog="Exit status: 0 when all is well, 1 when not.",
    )
    parser.add_argument(
        "--method",
        dest="suites",
        action="append",
        choices=SUITES,
        help="a start method, or test.test_concurrent_futures; may be given again; default all",
    )
    parser.add_argument(
        "--class",
        dest="patterns",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only classes of such names, as '*TestQueue'; may be given again",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="all of fork, and the essential classes of the others: a few minutes",
    )
    parser.add_argument(
        "--by",
        choices=("install", "import"),
        default="install",
        help="substitute by goprocessing.install(), the default, or as if the tests"
        " said `import goprocessing as multiprocessing`",
    )
    parser.add_argument(
        "--time-limit",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="for each class, default %(default)g",
    )
    parser.add_argument(
        "--without-baseline",
        action="store_true",
        help="leave the standard library out: only report, with nothing to compare with",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="classes at a time, default %(default)s",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results into a file")
    return parser.parse_args()


def select(
    options: argparse.Namespace, environment: Environment, report: Report
) -> list[ShippedClass]:
    selection = Selection(options.patterns, options.quick)
    classes: list[ShippedClass] = []
    for suite in options.suites or SUITES:
        try:
            classes += [cls for cls in shipped(environment, suite) if cls in selection]
        except NotShipped as reason:
            report.say(f"{suite}: {reason}", "yellow")
    return classes


async def run(options: argparse.Namespace, folder: Path) -> Verdict:
    verdict = Verdict(Exceptions.load(options.by))
    report = Report(verdict.exceptions)
    names = ("stdlib", "ours", *proof.BROKEN)
    environments = {name: Environment.make(name, options.by, folder) for name in names}
    measurement = Measurement(
        environments, options.time_limit, options.jobs, baseline=not options.without_baseline
    )
    classes = select(options, environments["stdlib"], report)
    if not classes:
        return verdict

    report.heading("The substitution")
    methods = [method for method in METHODS if any(cls.suite == method for cls in classes)]
    async for text, holds in proof.claims(environments, methods or METHODS, options.time_limit):
        verdict.claims.append((text, holds))
        report.claim(text, holds)
    if not verdict.sound:
        report.verdict(verdict)
        return verdict

    report.heading("The tests")
    with report.progress(len(classes)) as done:
        verdict.comparisons = await measurement.compare(classes, done)

    for place, comparison in enumerate(verdict.comparisons):
        if again := await measurement.repeat_baseline(comparison):
            said = ", ".join(f"{test} {result.outcome}" for test, result in again.items())
            cls = comparison.cls
            report.say(f"Again, alone, with the standard library: {cls.suite}/{cls}: {said}", "dim")
            verdict.comparisons[place] = comparison.amended("stdlib", again)
    for place, comparison in enumerate(verdict.comparisons):
        if worse := verdict.unexcused(comparison):
            cls = comparison.cls
            report.say(f"Again, alone: {cls.suite}/{cls}: {', '.join(worse)}", "dim")
            repetitions = await measurement.repeat(comparison, worse)
            verdict.repetitions += repetitions
            passed = {each.test: again for each in repetitions for again in each.ours if again.good}
            verdict.comparisons[place] = comparison.amended("ours", passed)
    report.tables(verdict.comparisons)
    report.verdict(verdict)
    return verdict


async def interruptible(work: Coroutine[Any, Any, Verdict]) -> Verdict:
    """Ends the work, and all processes it has started, at SIGTERM as at Ctrl-C."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory(prefix="cpython-suite-") as folder:
        try:
            verdict = asyncio.run(interruptible(run(options, Path(folder))))
        except (KeyboardInterrupt, asyncio.CancelledError):
            sys.exit("interrupted")
    if options.patterns and not verdict.comparisons:
        sys.exit("no class that the interpreter ships has such a name")
    if options.json:
        options.json.write_text(verdict.as_json())
    sys.exit(not verdict.sound)


if __name__ == "__main__":
    main()
