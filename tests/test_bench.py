"""Each measurement of the benchmark, once, in its tiniest size."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from multiprocessing import heap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("rich")

from .bench import catalogue, crew, guard, machine, report, results, scaling
from .bench.peers import OURS
from .bench.sampling import Effort, measure
from .bench.work import Missing

# Hundreds of MiB, or thousands of objects, at the least.
BIG = {"queue-100m", "queue-numpy", "pipe-numpy"}
TINY = Effort(rounds=1, seconds=0, share=0.02)

WORKS = catalogue.works()
CURVES = {curve.name: curve for curve in scaling.curves(quick=True)}


@pytest.fixture(autouse=True)
def own_heap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shared memory of faster-fifo's queues, which the process would keep for the next."""
    monkeypatch.setattr(heap.BufferWrapper, "_heap", heap.Heap())


def sides() -> Iterator[tuple[str, str]]:
    for name, work in WORKS.items():
        for side in work.sides:
            yield name, side


@pytest.mark.parametrize(
    "name, side",
    [
        pytest.param(name, side, marks=pytest.mark.slow if name in BIG else ())
        for name, side in sides()
    ],
)
def test_a_sample(name: str, side: str) -> None:
    work = WORKS[name]
    n = work.least if work.amount is None else max(work.least, work.amount // 50)
    try:
        measured = work.sides[side](n)
    except Missing as missing:
        pytest.skip(f"missing: {missing}")
    assert work.unit.figure(n, measured) >= 0


@pytest.mark.parametrize("name", CURVES)
def test_a_step_of_a_curve(name: str) -> None:
    curve = dataclasses.replace(CURVES[name], steps=CURVES[name].steps[:1])
    plot = scaling.measure(curve, TINY, lambda what: None)
    assert plot.ends == {}
    assert set(plot.points) == set(scaling.PEERS)
    report.curve_table(results.curve_record(plot))


@pytest.fixture(scope="module")
def found() -> results.Results:
    work = WORKS["lock-pair"]
    record = results.record("Locks", measure(work, TINY, lambda what: None))
    plot = scaling.measure(
        dataclasses.replace(CURVES["size"], steps=[16, 256]), TINY, lambda what: None
    )
    return results.Results(
        date="2000-01-01",
        machine=machine.facts(),
        works={work.name: record},
        scaling={"scaling-size": results.curve_record(plot)},
    )


def test_report(found: results.Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report.table("Locks", [*found["works"].values()])
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}{report.END}after\n")
    monkeypatch.setattr(report, "README", readme)
    for _ in range(2):
        report.update_readme(found)
        text = readme.read_text()
        assert text.startswith("before\n") and text.endswith("after\n")
        assert text.count("Lock, acquire and release") == 1


# matplotlib keeps fonts open, so no test may be under way.
@pytest.fixture(scope="module")
def drawn(found: results.Results, tmp_path_factory: pytest.TempPathFactory) -> list[list[bytes]]:
    pytest.importorskip("matplotlib")
    from .bench import picture

    file = tmp_path_factory.mktemp("pictures") / "picture.svg"

    def draw(what: Callable[[results.Results, Path], None]) -> bytes:
        what(found, file)
        return file.read_bytes()

    return [[draw(what) for _ in range(2)] for what in (picture.ratios, picture.scaling)]


def test_pictures_are_the_same_for_the_same_results(drawn: list[list[bytes]]) -> None:
    for first, second in drawn:
        assert first == second


@pytest.mark.parametrize("factor, passes", [(0.001, True), (1000, False)])
def test_check(
    found: results.Results,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    factor: float,
    passes: bool,
) -> None:
    record = found["works"]["lock-pair"]
    low, middle, high = record["ratio"] or (1.0, 1.0, 1.0)
    committed = {**record, "ratio": (low * factor, middle * factor, high * factor)}
    file = tmp_path / "results.json"
    file.write_text(json.dumps({**found, "works": {"lock-pair": committed}}))
    monkeypatch.setattr(results, "FILE", file)
    passed, said = guard.check(WORKS["lock-pair"], TINY, lambda what: None)
    assert passed is passes, said
    assert ("measured 3 times" in said) is not passes


def _waits_for_ever(go: Callable[[], None], lock: Any) -> None:
    go()
    lock.acquire()


def _fails(go: Callable[[], None]) -> None:
    go()
    raise ValueError("on purpose")


def test_a_process_that_fails_ends_the_measurement(module: ModuleType) -> None:
    ctx = module.get_context("fork")
    held = ctx.Lock()
    held.acquire()
    with pytest.raises(RuntimeError, match="ValueError: on purpose"):
        crew.run(ctx, [crew.Job(_waits_for_ever, (held,)), crew.Job(_fails)])


def test_every_work_measures_goprocessing() -> None:
    assert all(OURS in work.sides for work in WORKS.values())
