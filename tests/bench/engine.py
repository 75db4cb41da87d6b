"""Go to Go: core.Queue between two Go processes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

from . import limits, program, toolchain
from .peers import OURS, SPINNING
from .work import RATE, Kind, Target, Unit, Work


@cache
def _program() -> Path:
    return toolchain.build_go("engine")


def go(what: str, n: int) -> float:
    return float(program.output(_program(), what, str(n)))


def works() -> Iterator[Work]:
    yield Work(
        "go-rate",
        "Go to Go, items of 64 bytes",
        RATE,
        {OURS: partial(go, "rate")},
        Target(figure=10),
    )
    yield Work(
        "go-latency",
        "Go to Go, 64 bytes, one way",
        Unit("us", Kind.TIME, 1e6 / 2, lower=True),
        {OURS: partial(go, "trips"), SPINNING: limits.spinning},
        Target(figure=1),
        steady=False,
    )
