"""The results as pictures, the same for the same results, legible on white and on black."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from .peers import FIFO, MEMCPY, OURS, SPINNING, STANDARD
from .results import Results

RATIOS = Path(__file__).with_name("ratios.svg")
SCALING = Path(__file__).with_name("scaling.svg")

_GREY = "#768390"
_COLOURS = {STANDARD: "#d0742b", FIFO: "#8b6fd0", OURS: "#2f81c7"}
_REACHED = {True: "#2f9e5a", False: "#d0742b", None: "#2f81c7"}

_STYLE = {
    "svg.hashsalt": "goprocessing",
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": _GREY,
    "axes.facecolor": "none",
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _GREY,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "grid.color": _GREY,
    "grid.alpha": 0.25,
    "legend.frameon": False,
}


def _write(figure: Figure, file: Path) -> None:
    metadata: dict[str, Any] = {"Date": None, "Creator": None}
    figure.savefig(file, format="svg", transparent=True, metadata=metadata)


def _times(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _count(value: float) -> str:
    """Powers of 1024 as such, other numbers in thousands."""
    for base, names in ((1024, ("Ki", "Mi", "Gi")), (1000, ("k", "M", "G"))):
        for power, name in reversed(list(enumerate(names, 1))):
            if value >= base**power and (base == 1000 or value % base**power == 0):
                return f"{value / base**power:g} {name}"
    return f"{value:g}"


def ratios(results: Results, file: Path = RATIOS) -> None:
    works = [record for record in results["works"].values() if record["ratio"]]
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9, 0.8 + 0.23 * len(works)), layout="constrained")
        axes = figure.subplots()
        axes.set_xscale("log")
        for y, record in enumerate(works):
            low, middle, high = record["ratio"] or (1.0, 1.0, 1.0)
            colour = _REACHED[record["reached"]]
            axes.barh(y, middle - 1, left=1, height=0.62, color=colour, alpha=0.85)
            axes.plot([low, high], [y, y], color=_GREY, linewidth=1)
            if target := record["target_ratio"]:
                axes.plot(target, y, "|", color=_GREY, markersize=11, markeredgewidth=2.2)
            end = max(high, record["target_ratio"] or 0, 1)
            axes.annotate(_times(middle), (end, y), (5, 0), textcoords="offset points", va="center")
        axes.set_yticks(
            range(len(works)), [_label(record["title"], record["target"]) for record in works]
        )
        axes.set_ylim(len(works) - 0.4, -0.6)
        axes.axvline(1, color=_GREY, linewidth=1)
        axes.xaxis.set_major_formatter(lambda value, _: _times(value))
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labeltop=True)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        axes.set_xlabel(
            "times better than the best peer; line: range; mark: target; green: reached"
        )
        _write(figure, file)


def _label(title: str, target: str) -> str:
    limits = [limit for limit in (MEMCPY, SPINNING) if limit in target]
    return f"{title}, to {limits[0]}" if limits else title


def scaling(results: Results, file: Path = SCALING) -> None:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9, 6.4), layout="constrained")
        panels = list(figure.subplots(2, 2).flat)
        for axes, curve in zip(panels, results["scaling"].values(), strict=False):
            for peer, points in curve["points"].items():
                x, low, middle, high = zip(*points, strict=True)
                axes.plot(x, middle, "o-", color=_COLOURS[peer], label=peer, markersize=4)
                axes.fill_between(x, low, high, color=_COLOURS[peer], alpha=0.25, linewidth=0)
            axes.set(xscale="log", yscale="log", title=curve["title"])
            axes.set(xlabel=curve["across"], ylabel=curve["unit"])
            axes.set_xticks(sorted({x for some in curve["points"].values() for x, *_ in some}))
            axes.set_xticks([], minor=True)
            axes.xaxis.set_major_formatter(lambda value, _: _count(value))
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.grid(which="major")
        panels[0].legend()
        _write(figure, file)
