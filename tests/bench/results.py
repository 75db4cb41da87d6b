"""Results as they are kept in results.json, which the pictures and the README are made from."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import TypedDict

from .peers import OURS
from .sampling import Result, Spread
from .scaling import Plot

FILE = Path(__file__).with_name("results.json")

Range = tuple[float, float, float]  # low, median, high


class Record(TypedDict):
    subject: str
    title: str
    unit: str
    figures: dict[str, Range]
    ratio: Range | None  # to what the target names
    ratios: dict[str, Range]
    target: str
    target_ratio: float | None
    reached: bool | None
    missing: dict[str, str]


class CurveRecord(TypedDict):
    title: str
    across: str
    unit: str
    points: dict[str, list[tuple[int, float, float, float]]]
    ends: dict[str, str]


class Results(TypedDict):
    date: str
    machine: dict[str, str]
    works: dict[str, Record]
    scaling: dict[str, CurveRecord]


def _round(value: float) -> float:
    return float(f"{value:.4g}")


def _range(spread: Spread) -> Range:
    return _round(spread.low), _round(spread.median), _round(spread.high)


def record(subject: str, result: Result) -> Record:
    work = result.work
    ratio = result.ratio()
    ratios = {peer: found for peer in work.peers if (found := result.ratio(peer))}
    return Record(
        subject=subject,
        title=work.title,
        unit=work.unit.name,
        figures={side: _range(Spread.of(some)) for side, some in result.figures.items()},
        ratio=_range(ratio) if ratio else None,
        ratios={peer: _range(found) for peer, found in ratios.items()},
        target=work.target.text(work.unit),
        target_ratio=work.target.ratio,
        reached=result.reached,
        missing=result.missing,
    )


def curve_record(plot: Plot) -> CurveRecord:
    return CurveRecord(
        title=plot.curve.title,
        across=plot.curve.across,
        unit=plot.curve.unit,
        points={
            peer: [(x, _round(low), _round(middle), _round(high)) for x, low, middle, high in some]
            for peer, some in plot.points.items()
        },
        ends=plot.ends,
    )


def load() -> Results:
    results: Results = json.loads(FILE.read_text())
    return results


def merged(new: Results, names: list[str]) -> Results:
    """The results of a part of the works and curves, put into those that are kept."""
    kept = load() if FILE.exists() else new
    if kept["machine"] != new["machine"]:
        raise SystemExit(
            f"{FILE.name} is of another machine or of other versions: save a whole run"
        )
    works, scaling = {**kept["works"], **new["works"]}, {**kept["scaling"], **new["scaling"]}
    return Results(
        date=new["date"],
        machine=new["machine"],
        works={name: works[name] for name in names if name in works},
        scaling={name: scaling[name] for name in names if name in scaling},
    )


def save(results: Results) -> None:
    FILE.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def ours(record: Record) -> Range | None:
    return record["figures"].get(OURS)
