"""Rounds of samples: in each round every side is measured in turn."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field

from .peers import OURS, STANDARD
from .work import Measure, Missing, Work


@dataclass(frozen=True)
class Effort:
    rounds: int
    seconds: float  # that a sample takes, about
    share: float  # of the amount that a work asks for


FULL = Effort(rounds=5, seconds=0.25, share=1)
QUICK = Effort(rounds=3, seconds=0.06, share=0.2)


@dataclass(frozen=True)
class Spread:
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass
class Result:
    """The figures of one work: of each side, one a round."""

    work: Work
    figures: dict[str, list[float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def figure(self, side: str) -> Spread | None:
        return Spread.of(self.figures[side]) if side in self.figures else None

    def ratios(self, *peers: str) -> list[float]:
        """Of each round, how many times better goprocessing is than the best of the peers."""
        measured = [self.figures[peer] for peer in peers if peer in self.figures]
        if not measured or OURS not in self.figures:
            return []
        better = self.work.unit.ratio
        found = []
        for ours, *theirs in zip(self.figures[OURS], *measured, strict=True):
            each = [ratio for their in theirs if (ratio := better(ours, their)) is not None]
            if each:
                found.append(min(each))
        return found

    def ratio(self, *peers: str) -> Spread | None:
        ratios = self.ratios(*(peers or self.work.target.against))
        return Spread.of(ratios) if ratios else None

    @property
    def reached(self) -> bool | None:
        """Whether the medians reach the target; None if there is none, or no figure."""
        target, unit, ours = self.work.target, self.work.unit, self.figure(OURS)
        if ours is None:
            return None
        verdicts = []
        if target.ratio is not None:
            if (ratio := self.ratio()) is None:
                return None
            verdicts.append(ratio.median >= target.ratio)
        if target.figure is not None:
            lower, higher = sorted((ours.median, target.figure))
            verdicts.append(ours.median == (lower if unit.lower else higher))
        if target.excess is not None:
            if STANDARD not in self.figures:
                return None
            pairs = zip(self.figures[OURS], self.figures[STANDARD], strict=True)
            excess = statistics.median(mine - theirs for mine, theirs in pairs)
            verdicts.append(excess <= target.excess)
        return all(verdicts) if verdicts else None


def _amount(work: Work, side: Measure, effort: Effort) -> int:
    """How many operations last about as long as a sample is to last."""
    if work.amount is not None:
        return max(work.least, round(work.amount * effort.share))
    n = work.least
    while (seconds := side(n)) < effort.seconds / 3:
        n = max(n + 1, int(n * min(16, effort.seconds / max(seconds, 1e-9))))
    return max(work.least, int(n * effort.seconds / seconds))


def measure(work: Work, effort: Effort, sampled: Callable[[str], None]) -> Result:
    """Measures the work, and says before each sample which one it is."""
    result = Result(work)
    amounts: dict[str, int] = {}
    for name, side in work.sides.items():
        sampled(f"{name}, warming up")
        try:
            amounts[name] = _amount(work, side, effort)
        except Missing as missing:
            result.missing[name] = str(missing)
    for i in range(effort.rounds):
        for name, n in amounts.items():
            sampled(f"{name}, round {i + 1} of {effort.rounds}")
            try:
                figure = work.unit.figure(n, work.sides[name](n))
            except Missing as missing:
                result.missing[name] = str(missing)
            else:
                result.figures.setdefault(name, []).append(figure)
    return result
