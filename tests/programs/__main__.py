"""python -m tests.programs [NAME...]: the programs' tests, plain and with goprocessing."""

from __future__ import annotations

import argparse
import contextlib
import platform
import sys
import tempfile
from pathlib import Path

from .catalogue import PROGRAMS
from .comparison import Comparison, compare
from .environment import build_wheel

COLUMNS = "{:24}{:>10}{:>8}{:>8}{:>14}{:>12}"


def row(comparison: Comparison) -> str:
    return COLUMNS.format(
        comparison.program.name,
        comparison.version,
        len(comparison.plain),
        len(comparison.passed(comparison.plain)),
        len(comparison.passed(comparison.ours)),
        len(comparison.differences()),
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.programs", description=__doc__)
    names = [program.name for program in PROGRAMS]
    parser.add_argument("name", nargs="*", help=f"by default all of: {', '.join(names)}")
    parser.add_argument("--wheel", type=Path, help="of goprocessing, by default made anew")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave environments and logs here")
    args = parser.parse_args()
    if unknown := set(args.name) - set(names):
        parser.error(f"no such program: {', '.join(sorted(unknown))}")
    faults = []
    with contextlib.ExitStack() as stack:
        directory = args.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        wheel = args.wheel or build_wheel(directory)
        print(f"CPython {platform.python_version()}, {wheel.name}; tests that pass:")
        print(COLUMNS.format("program", "version", "tests", "plain", "goprocessing", "differences"))
        for program in PROGRAMS:
            if args.name and program.name not in args.name:
                continue
            (directory / program.name).mkdir(parents=True)
            comparison = compare(program, wheel.resolve(), (directory / program.name).resolve())
            print(row(comparison), flush=True)
            for name in comparison.differences():
                if reason := comparison.excuse(name):
                    print(f"    {name}: {reason}")
            faults += [f"{program.name}: {fault}" for fault in comparison.faults()]
    for fault in faults:
        print(f"\n== {fault}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
