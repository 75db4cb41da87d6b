"""What a run prints: progress, a table for each suite, and at the end what is wrong."""

from __future__ import annotations

import contextlib
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from .exceptions import Exceptions
from .results import COUNTED, Comparison
from .verdict import Verdict

__all__ = ["Report"]

HEADINGS = {
    "tests": "tests",
    "passed": "pass",
    "skipped": "skip",
    "failed": "fail",
    "errors": "err",
    "expected failures": "xfail",
    "": "s",
}
# The end of a traceback or of a process's output says most.
LINES = 40
# Of a table.
WIDTH = 170


def _said(counts: Counter[str], seconds: float) -> str:
    said = [f"{counts[name]} {name}" for name in COUNTED[1:] if counts[name]]
    return f"{', '.join(said) or 'nothing'} in {seconds:.1f} s"


def _cells(counts: Counter[str], seconds: float) -> list[str]:
    return [*(str(counts[name] or "") for name in COUNTED), f"{seconds:.1f}" if counts else ""]


class Report:
    def __init__(self, exceptions: Exceptions) -> None:
        self._exceptions = exceptions
        self._console = Console(highlight=False)
        # Rather wider than a narrow terminal than with numbers cut off.
        self._wide = Console(width=max(self._console.width, WIDTH))

    def say(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style), soft_wrap=True)

    def heading(self, text: str) -> None:
        self.say(f"\n{text}", "bold")

    def claim(self, text: str, holds: bool) -> None:
        self.say(f"{'holds' if holds else 'FAILS'}  {text}", "" if holds else "bold red")

    def wrong(self, title: str, text: str = "") -> None:
        self.say(title, "red")
        for line in text.splitlines()[-LINES:]:
            self.say(f"    {line}")

    @contextlib.contextmanager
    def progress(self, total: int) -> Iterator[Callable[[Comparison], None]]:
        """What to call for each class that has run. Shows a bar, on a terminal."""
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(
            *columns,
            TextColumn("{task.description}", style="dim"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        ) as progress:
            task = progress.add_task("", total=total)

            def done(comparison: Comparison) -> None:
                cls = comparison.cls
                progress.update(task, advance=1, description=f"{cls.suite}/{cls}")
                self._compared(comparison)

            yield done

    def _compared(self, comparison: Comparison) -> None:
        cls = comparison.cls
        for test, result in comparison.worse().items():
            if not self._exceptions.reason(cls, test):
                self.say(f"{cls.full_name(test)}: {result.outcome}", "red")
        if not self._console.is_terminal:
            runs = {"goprocessing": comparison.ours}
            if comparison.stdlib is not None:
                runs["standard library"] = comparison.stdlib
            said = [
                f"{implementation} {_said(comparison.counts(of), comparison.seconds(of))}"
                for implementation, of in runs.items()
            ]
            self.say(f"{cls.suite}/{cls}: {'; '.join(said)}")

    def tables(self, comparisons: Sequence[Comparison]) -> None:
        """One for each suite, and one of them all."""
        suites: dict[str, list[Comparison]] = {}
        for comparison in comparisons:
            suites.setdefault(comparison.cls.suite, []).append(comparison)
        version = f"CPython {platform.python_version()}"
        for suite, its in suites.items():
            self._table(f"{version}: {suite}", {str(one.cls): [one] for one in its}, total="all")
        if len(suites) > 1:
            self._table(version, suites)

    def _table(self, title: str, rows: Mapping[str, Sequence[Comparison]], total: str = "") -> None:
        """A row for each name, of the comparisons under it, and one of all of them."""
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        table.add_column(no_wrap=True)
        for implementation in "stdlib", "goprocessing":
            for name, heading in HEADINGS.items():
                above = implementation if name == "tests" else ""
                table.add_column(f"{above}\n{heading}", justify="right", no_wrap=True)
        if total:
            everything = [comparison for comparisons in rows.values() for comparison in comparisons]
            rows = {**rows, total: everything}
        for name, comparisons in rows.items():
            cells = []
            for runs in (
                [(one, one.stdlib) for one in comparisons if one.stdlib is not None],
                [(one, one.ours) for one in comparisons],
            ):
                counts = sum((one.counts(results) for one, results in runs), Counter[str]())
                seconds = sum(one.seconds(results) for one, results in runs)
                cells += _cells(counts, seconds)
            worse = any(one.worse() for one in comparisons)
            table.add_row(name, *cells, style="red" if worse else "bold" if name == total else "")
        self._console.print()
        self._wide.print(table)

    def verdict(self, verdict: Verdict) -> None:
        for test, reason in verdict.excepted():
            self.say(f"not expected to pass: {test}: {reason}")
        for test in verdict.stale():
            self.wrong(f"STALE  {test} passes, but exceptions.txt has it")
        for test, stdlib, ours in verdict.slower():
            self.say(f"SLOW   {test}: {ours:.1f} s, standard library {stdlib:.1f} s", "yellow")
        for test, result in verdict.uncompared():
            self.wrong(f"FAILED {test}: {result.outcome}, with nothing to compare", result.text)
        for repetition in verdict.repetitions:
            word = "FLAKY " if repetition.flaky else "FAILED"
            self.wrong(
                f"{word} {repetition.cls.full_name(repetition.test)}: {repetition.first.outcome};"
                f" again, alone: {', '.join(again.outcome for again in repetition.ours)}; standard"
                f" library: {', '.join(again.outcome for again in repetition.stdlib)}",
                repetition.first.text,
            )
        claims = [text for text, holds in verdict.claims if not holds]
        if claims:
            self.wrong("The substitution did not take effect", "\n".join(claims))
        failed = sum(not repetition.flaky for repetition in verdict.repetitions)
        flaky = sum(repetition.flaky for repetition in verdict.repetitions)
        excepted, stale = len(list(verdict.excepted())), len(list(verdict.stale()))
        said = f"{failed} failed, {flaky} flaky, {excepted} excepted, {stale} stale"
        if all(comparison.stdlib is None for comparison in verdict.comparisons):
            said = "nothing was compared"
        self.heading(f"{'All is well' if verdict.sound else 'NOT well'}: {said}")
