"""python -m tests.crash: kill processes that use each primitive at random instants.

Those that live on must finish: no hang, no item lost but what the dead had taken, none
twice, none torn, and nothing left behind.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from fnmatch import fnmatchcase

import goprocessing

from . import locks, traffic, tree, waiters
from .crew import Failure
from .scenario import Scenario, descriptors

SCENARIOS: dict[str, type[Scenario | tree.Tree]] = {
    "queue": traffic.Queue,
    "many": traffic.Many,
    "joinable-queue": traffic.JoinableQueue,
    "redelivery": traffic.Redelivery,
    "simple-queue": traffic.SimpleQueue,
    "pipe": traffic.Pipe,
    "lock": locks.OfLock,
    "rlock": locks.OfRLock,
    "robust-lock": locks.OfRobustLock,
    "semaphore": locks.OfSemaphore,
    "condition": waiters.Condition,
    "event": waiters.Event,
    "barrier": waiters.Barrier,
    "tree": tree.Tree,
}

PART = 200
"""Kills after which all is made anew."""


def parse() -> argparse.Namespace:
    summary, _, description = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash",
        description=f"{summary.partition(': ')[2]} {description}",
        epilog="Exit status: 0 when all is well, 1 when not.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="PRIMITIVE",
        help=f"{', '.join(SCENARIOS)}; * is allowed; default all",
    )
    parser.add_argument("--kills", type=int, default=1000, help="of each, default %(default)s")
    parser.add_argument(
        "--seed", type=int, help="choose the same victims and pauses as a run that printed it"
    )
    args = parser.parse_args()
    for pattern in args.names:
        if not any(fnmatchcase(name, pattern) for name in SCENARIOS):
            parser.error(f"there is no {pattern}")
    return args


def run(name: str, kills: int, seed: int) -> None:
    """Runs a scenario, and fails if that leaves a descriptor open."""
    before = descriptors()
    scenario = SCENARIOS[name](random.Random(seed))
    begin = time.monotonic()
    done = 0
    for done in scenario.run(kills):
        if sys.stdout.isatty():
            print(f"{name}: {done} of {kills}", end="\r", flush=True)
    print(f"{name}: {done} kills, {time.monotonic() - begin:.1f} s, seed {seed}", flush=True)
    del scenario
    if (after := descriptors()) != before:
        raise Failure(f"{after - before} descriptors are left open")


def open_once() -> None:
    """Opens what stays open: the engine's arena of locks, and its copy for children."""
    goprocessing.Lock()
    process = goprocessing.get_context("fork").Process()
    process.start()
    process.join()
    process.close()


def main() -> int:
    args = parse()
    names = [
        name
        for name in SCENARIOS
        if not args.names or any(fnmatchcase(name, pattern) for pattern in args.names)
    ]
    failed = 0
    open_once()
    for name in names:
        seed = args.seed if args.seed is not None else random.SystemRandom().randrange(2**32)
        for left in range(args.kills, 0, -PART):
            kills = min(left, PART)
            try:
                run(name, kills, seed)
            except Failure as failure:
                print(f"{name}: {failure}; again: --seed {seed} --kills {kills} {name}")
                failed += 1
            seed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
