"""make bench-check: whether ratios have fallen below half of those committed."""

from __future__ import annotations

from collections.abc import Callable

from . import results
from .report import number
from .results import Record
from .sampling import Effort, measure
from .work import Work

# A noisy machine changes a ratio by less than this factor, in the median of its rounds.
FACTOR = 2.0
TRIES = 3


def _verdict(before: Record, now: Record) -> tuple[bool, str]:
    if before["ratio"] and now["ratio"]:
        old, new = before["ratio"][1], now["ratio"][1]
        said = f"{number(new)} times better; committed: {number(old)}, {new / old - 1:+.0%}"
        return new * FACTOR >= old, said
    old_figure, new_figure = results.ours(before), results.ours(now)
    if old_figure is None or new_figure is None:
        return old_figure is None, "no figure"
    said = f"{number(new_figure[1])} {now['unit']}; committed: {number(old_figure[1])}"
    return bool(now["reached"]) or not before["reached"], said


def check(work: Work, effort: Effort, sampled: Callable[[str], None]) -> tuple[bool, str]:
    """Whether the work is as fast as it was, and what was found; measured again if not."""
    before = results.load()["works"].get(work.name)
    if before is None:
        return True, f"not in {results.FILE.name}"
    if not work.steady:
        return True, "not compared: it depends on where the scheduler puts the processes"
    for attempt in range(TRIES):
        passed, said = _verdict(before, results.record("", measure(work, effort, sampled)))
        if attempt:
            said += f" (measured {attempt + 1} times)"
        if passed:
            break
    return passed, said
