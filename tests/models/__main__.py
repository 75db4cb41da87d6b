"""Checks the models of the engine's protocols with spin: python -m tests.models [NAME...]."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

HERE = Path(__file__).parent
SAFETY = ["-DSAFETY"]
CYCLES = ["-DNP"]


@dataclass
class Run:
    """A line of a model's comment.

    check: the model holds in all its states. ends: besides, no execution goes on for
    ever. long: a check that is too long for every day. mistake: with that mistake,
    which is a macro, the model does not hold, or not end.
    """

    model: Path
    kind: str
    definitions: list[str]
    result: str = ""
    passed: bool = False

    def __str__(self) -> str:
        return f"{self.model.stem:10} {self.kind:7} {' '.join(self.definitions)}"


@dataclass
class Search:
    holds: bool
    states: int


class SpinFailed(Exception):
    pass


def runs_of(model: Path) -> Iterator[Run]:
    for line in re.finditer(r"^ \* (check|ends|long|mistake): (.*)$", model.read_text(), re.M):
        kind, words = line[1], line[2].split()
        if kind == "mistake":
            words[0] = f"-D{words[0]}"
        yield Run(model, kind, words)


def search(run: Run, mode: list[str]) -> Search:
    """Visits all states, or those before the first violation."""

    def call(*command: str) -> str:
        done = subprocess.run(
            command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode != 0:
            raise SpinFailed(f"{' '.join(command)}:\n{done.stdout}")
        return done.stdout

    with tempfile.TemporaryDirectory() as directory:
        call("spin", "-a", *run.definitions, str(run.model))
        call("gcc", "-O1", *mode, "-w", "-DNOCLAIM", "-DMEMLIM=3000", "-o", "pan", "pan.c")
        # -E: threads may wait for ever; Clock in futex.h tells which.
        output = call("./pan", "-E", "-m1000000", *(["-l"] if mode == CYCLES else []))
    errors = re.search(r"errors: (\d+)", output)
    states = re.search(r"(\d+) states, stored", output)
    violated = re.search(r"^pan:\d+: (assertion violated|non-progress cycle)", output, re.M)
    if errors is None or states is None or (errors[1] != "0") != bool(violated):
        raise SpinFailed(output)
    if not violated and ("not completed" in output or "too small" in output):
        raise SpinFailed(output)
    return Search(not violated, int(states[1]))


def execute(run: Run) -> Run:
    start = monotonic()
    try:
        found = search(run, CYCLES if run.kind == "ends" else SAFETY)
        if run.kind == "mistake":
            if found.holds:
                found = search(run, CYCLES)
            run.passed = not found.holds
        else:
            run.passed = found.holds
        run.result = f"{found.states:10,} states {monotonic() - start:6.1f} s"
    except SpinFailed as failure:
        run.result = str(failure)
    return run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.models", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="the models, else all")
    parser.add_argument("--long", action="store_true", help="also what takes minutes")
    arguments = parser.parse_args()
    models = {path.stem: path for path in sorted(HERE.glob("*.pml"))}
    if unknown := set(arguments.names) - set(models):
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    runs = [
        run
        for name in arguments.names or models
        for run in runs_of(models[name])
        if arguments.long or run.kind != "long"
    ]
    if shutil.which("spin") is None:
        parser.error("there is no spin on PATH (https://spinroot.com; Debian's package spin)")
    failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for run in pool.map(execute, runs):
            failed += not run.passed
            print(f"{'passed' if run.passed else 'FAILED'}  {run!s:60} {run.result}", flush=True)
    if failed:
        sys.exit(f"{failed} of {len(runs)} failed; to see how: spin -a, gcc, pan, spin -t -p")


if __name__ == "__main__":
    main()
