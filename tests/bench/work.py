"""What is measured: a work, done by each of its sides, and the target it is to reach."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .peers import OURS, STANDARD

# Does n operations. Returns the seconds they took, or, for a unit that says so,
# the figure itself.
Measure = Callable[[int], float]


class Missing(Exception):
    """A side cannot be measured here: a package, a function or a second CPU is missing."""


class Kind(enum.Enum):
    RATE = enum.auto()  # operations per second
    TIME = enum.auto()  # seconds per operation
    FIGURE = enum.auto()  # what the measure returns


@dataclass(frozen=True)
class Unit:
    name: str
    kind: Kind
    scale: float = 1.0
    lower: bool = False  # whether lower is better

    def figure(self, n: int, measured: float) -> float:
        if self.kind is Kind.RATE:
            return n / measured * self.scale
        if self.kind is Kind.TIME:
            return measured / n * self.scale
        return measured * self.scale

    def ratio(self, figure: float, other: float) -> float | None:
        """How many times better the figure is than the other, if that can be said."""
        better, worse = (other, figure) if self.lower else (figure, other)
        return better / worse if better > 0 and worse > 0 else None


RATE = Unit("M/s", Kind.RATE, 1e-6)
NANOSECONDS = Unit("ns", Kind.TIME, 1e9, lower=True)
MICROSECONDS = Unit("us", Kind.TIME, 1e6, lower=True)
MILLISECONDS = Unit("ms", Kind.TIME, 1e3, lower=True)


def bandwidth(size: int) -> Unit:
    return Unit("GB/s", Kind.RATE, size * 1e-9)


@dataclass(frozen=True)
class Target:
    """What goprocessing is to reach: all that is given."""

    ratio: float | None = None  # so many times better than the best of `against`
    against: tuple[str, ...] = (STANDARD,)
    figure: float | None = None  # the figure itself
    excess: float | None = None  # at most so much more than the standard library

    def text(self, unit: Unit) -> str:
        said = []
        if self.ratio is not None:
            peers = "" if STANDARD in self.against else f" {', '.join(self.against)}"
            times = f"{self.ratio:g} x" if self.ratio >= 1 else f"1/{1 / self.ratio:g} of"
            said.append(times + peers)
        if self.figure is not None:
            said.append(f"{'≤' if unit.lower else '≥'} {self.figure:g} {unit.name}")
        if self.excess is not None:
            said.append(f"≤ +{self.excess:g} {unit.name}")
        return ", ".join(said)


@dataclass(frozen=True)
class Work:
    name: str  # to be given on the command line
    title: str
    unit: Unit
    sides: Mapping[str, Measure]
    target: Target = field(default_factory=Target)
    # How many operations a sample has; None: so many that it lasts long enough.
    amount: int | None = None
    # The least that makes sense, which finding out how many begins with.
    least: int = 1
    # False: the scheduler's placement alone changes it by more than bench-check allows.
    steady: bool = True

    @property
    def peers(self) -> list[str]:
        return [side for side in self.sides if side != OURS]
