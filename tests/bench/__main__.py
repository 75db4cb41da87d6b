"""python -m tests.bench: each figure of goprocessing beside those of its peers."""

from __future__ import annotations

import argparse
import dataclasses
import warnings
from collections.abc import Callable
from fnmatch import fnmatchcase

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from . import catalogue, guard, machine, picture, report, results, scaling
from .results import Results
from .sampling import FULL, QUICK, Effort, measure
from .work import Work

Sampled = Callable[[str], None]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure; * is allowed")
    parser.add_argument("--list", action="store_true", help="list the names")
    parser.add_argument("--rounds", type=int, help="rounds, 5, or 3 with --quick")
    parser.add_argument("--quick", action="store_true", help="take shorter samples")
    parser.add_argument(
        "--save",
        action="store_true",
        help="write results.json, the pictures, and the table of README.md",
    )
    parser.add_argument(
        "--check", action="store_true", help="compare the ratios with those of results.json"
    )
    args = parser.parse_args()
    if args.save and (args.quick or args.check):
        parser.error("what is saved is a full measurement, without --quick or --check")
    return args


def _named(names: list[str], patterns: list[str]) -> list[str]:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise SystemExit(f"there is nothing to measure by the name {pattern}; see --list")
    matches = (name for name in names if any(fnmatchcase(name, p) for p in patterns))
    return list(matches) if patterns else names


class Session:
    def __init__(self, effort: Effort, chosen: list[str]) -> None:
        self.effort = effort
        self.chosen = chosen
        self.failed: list[str] = []
        self.console = Console()
        if not self.console.is_terminal:
            self.console = Console(width=report.WIDTH)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            auto_refresh=False,  # by a thread, which would take its share of the CPUs
        )
        self.task = self.progress.add_task("", total=len(chosen))

    def each(self, name: str, work: Callable[[Sampled], None]) -> None:
        """Does one thing that was chosen, and goes on if it fails."""

        def sampled(what: str) -> None:
            self.progress.update(self.task, description=f"{name}: {what}", refresh=True)

        try:
            work(sampled)
        except (RuntimeError, OSError, AssertionError) as error:
            self.console.print(f"[red]{name} failed:[/red]", f"{type(error).__name__}: {error}")
            self.failed.append(name)
        self.progress.advance(self.task)


def _measure(session: Session, curves: dict[str, scaling.Curve]) -> Results:
    found = Results(date=results.today(), machine=machine.facts(), works={}, scaling={})
    session.console.print(machine.sentence(found["machine"]), "\n", highlight=False)
    for subject, works in catalogue.subjects():
        records = []
        for work in works:

            def run(sampled: Sampled, work: Work = work, subject: str = subject) -> None:
                record = results.record(subject, measure(work, session.effort, sampled))
                found["works"][work.name] = record

            if work.name in session.chosen:
                session.each(work.name, run)
            if work.name in found["works"]:
                records.append(found["works"][work.name])
        if records:
            session.console.print(report.table(subject, records), "", highlight=False)
    for name, curve in curves.items():

        def draw(sampled: Sampled, name: str = name, curve: scaling.Curve = curve) -> None:
            plot = scaling.measure(curve, session.effort, sampled)
            found["scaling"][name] = results.curve_record(plot)
            session.console.print(report.curve_table(found["scaling"][name]), "", highlight=False)

        if name in session.chosen:
            session.each(name, draw)
    return found


def _save(found: Results, names: list[str], whole: bool) -> None:
    if not whole:
        found = results.merged(found, names)
    results.save(found)
    picture.ratios(found)
    picture.scaling(found)
    report.update_readme(found)


def _check(session: Session, works: dict[str, Work]) -> None:
    for name in session.chosen:

        def run(sampled: Sampled, name: str = name) -> None:
            passed, said = guard.check(works[name], session.effort, sampled)
            verdict = "ok    " if passed else "[red]SLOWER[/red]"
            session.console.print(f"{name:20} {verdict} {said}", highlight=False)
            if not passed:
                session.failed.append(name)

        session.each(name, run)


def main() -> None:
    # The engine's threads are in this process, and the standard library's fork warns of them.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    args = _arguments()
    works = catalogue.works()
    curves = {f"scaling-{curve.name}": curve for curve in scaling.curves(args.quick)}
    names = [*works] if args.check else [*works, *curves]
    chosen = _named(names, args.names)
    if args.list:
        titles = {name: work.title for name, work in works.items()}
        titles |= {name: curve.title for name, curve in curves.items()}
        print("\n".join(f"{name:20} {titles[name]}" for name in chosen))
        return
    effort = QUICK if args.quick or args.check else FULL
    if args.rounds:
        effort = dataclasses.replace(effort, rounds=args.rounds)
    session = Session(effort, chosen)
    try:
        with session.progress:
            if args.check:
                _check(session, works)
            else:
                found = _measure(session, curves)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    if args.save and not session.failed:
        _save(found, names, whole=chosen == names)
    if session.failed:
        raise SystemExit(f"failed: {', '.join(session.failed)}")


if __name__ == "__main__":
    main()
