"""The results as a table, in a terminal and in the README."""

from __future__ import annotations

from rich.table import Table

from .machine import sentence
from .peers import FIFO, LIBRARIES, OURS, STANDARD
from .results import CurveRecord, Range, Record, Results
from .toolchain import ROOT

README = ROOT / "README.md"
BEGIN, END = "<!-- bench -->\n", "<!-- /bench -->\n"

COLUMNS = {  # and their widths in a terminal
    "work": 45,
    "unit": 5,
    STANDARD: 15,
    FIFO: 11,
    OURS: 12,
    "limit": 19,
    "times better": 22,
    "target": 19,
}
WIDTH = sum(COLUMNS.values()) + 2 * len(COLUMNS)


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def spread(found: Range | None) -> str:
    if found is None:
        return ""
    low, middle, high = map(number, found)
    return f"{middle} ({low} to {high})"


def _limit(record: Record) -> str:
    limits = (side for side in record["figures"] if side not in LIBRARIES)
    return ", ".join(f"{number(record['figures'][side][1])} {side}" for side in limits)


def row(record: Record) -> list[str]:
    figures = {side: number(found[1]) for side, found in record["figures"].items()}
    for side in record["missing"]:
        figures[side] = "missing"
    if record["ratio"] is None and OURS in record["figures"]:
        figures[OURS] = spread(record["figures"][OURS])
    mark = {True: " ✓", False: " ✗", None: ""}[record["reached"]]
    return [
        record["title"],
        record["unit"],
        figures.get(STANDARD, ""),
        figures.get(FIFO, ""),
        figures.get(OURS, ""),
        _limit(record),
        spread(record["ratio"]),
        record["target"] + mark,
    ]


def table(subject: str, records: list[Record]) -> Table:
    made = Table(title=subject, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name, width in COLUMNS.items():
        made.add_column(name, width=width, justify="right" if name in LIBRARIES else "left")
    for record in records:
        style = {True: "green", False: "yellow", None: None}[record["reached"]]
        made.add_row(*row(record), style=style)
    return made


def curve_table(record: CurveRecord) -> Table:
    made = Table(
        title=f"{record['title']}, {record['unit']}",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        caption_justify="left",
    )
    made.add_column(record["across"], justify="right")
    for peer in record["points"]:
        made.add_column(peer, width=30, justify="right")
    found = {
        peer: {x: spread((low, middle, high)) for x, low, middle, high in points}
        for peer, points in record["points"].items()
    }
    for x in sorted({x for points in found.values() for x in points}):
        made.add_row(f"{x:,}", *(points.get(x, "") for points in found.values()))
    why = (f"{peer} ends {reason}" for peer, reason in record["ends"].items())
    made.caption = "\n".join(why) or None
    return made


def markdown(results: Results) -> str:
    lines = [
        f"Measured on {results['date']}: {sentence(results['machine'])}. Medians; the range of"
        " the ratio is that of the rounds, in each of which all were measured in turn.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---|---|" + "---:|" * 3 + "---|---|---|",
    ]
    lines += ["| " + " | ".join(row(record)) + " |" for record in results["works"].values()]
    lines += [
        "",
        "![How many times better than the best peer](tests/bench/ratios.svg)",
        "",
        "![Rates by size, processes, depth and number of queues](tests/bench/scaling.svg)",
    ]
    return "\n".join(lines) + "\n"


def update_readme(results: Results) -> None:
    text = README.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{README.name} has no {BEGIN.strip()} and {END.strip()}")
    README.write_text(before + BEGIN + "\n" + markdown(results) + "\n" + END + after)
