"""python -m tests.bench: each figure of the standard library and of goprocessing in turn."""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
from collections.abc import Callable
from functools import partial
from types import ModuleType

import goprocessing

from . import machine, throughput

# What is measured: a name, and a function that takes a module and a number of
# items and returns a rate.
WORK: dict[str, Callable[[ModuleType, int], float]] = {
    f"Queue, {p} producer{'s' * (p > 1)} {c} consumer{'s' * (c > 1)}, small ints": partial(
        throughput.small_ints, producers=p, consumers=c
    )
    for p, c in ((1, 1), (4, 1), (1, 4), (4, 4))
}


def spread(rates: list[float]) -> str:
    low, middle, high = min(rates), statistics.median(rates), max(rates)
    return f"{middle / 1e6:6.3f} ({low / 1e6:.3f} to {high / 1e6:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds, default %(default)s")
    parser.add_argument(
        "--items", type=int, default=100_000, help="items a round, default %(default)s"
    )
    args = parser.parse_args()
    print(machine.facts())
    print("Placement is left to the scheduler. Millions of items per second: median (range)")
    print(f"of {args.rounds} rounds of {args.items} items; the ratio is that of each round.\n")
    print(f"{'':42} {'standard library':24} {'goprocessing':24} ratio")
    for name, rate in WORK.items():
        theirs, ours = [], []
        for _ in range(args.rounds):
            theirs.append(rate(multiprocessing, args.items))
            ours.append(rate(goprocessing, args.items))
        ratio = statistics.median(b / a for a, b in zip(theirs, ours, strict=True))
        print(f"{name:42} {spread(theirs):24} {spread(ours):24} {ratio:5.1f}", flush=True)


if __name__ == "__main__":
    main()
