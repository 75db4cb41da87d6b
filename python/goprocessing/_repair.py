"""`python -m goprocessing repair`"""

from __future__ import annotations

import argparse
import sys

from . import inspect
from ._blocked import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m goprocessing repair",
        description="Complete what processes left undone that were killed: puts and gets, items"
        " that are to be delivered again, memory of large items, places of those who waited."
        " Programs do that by themselves when they use an object next.",
    )
    parser.add_argument("object", nargs="*", help="its id or name, as ps shows it; without, all")
    parser.add_argument(
        "--free",
        action="store_true",
        help="instead, make these locks free, whose holders have died: if what they guard"
        " is sound, and nobody else is about to release them",
    )
    options = parser.parse_args(arguments)
    if options.free and not options.object:
        parser.error("--free: which lock is required")
    work = inspect.free if options.free else inspect.repair
    try:
        repaired = work(*options.object)
    except RuntimeError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    for thing in repaired:
        print(f"{thing.kind} {shown(thing.name or thing.id)}: {thing.done or thing.problem}")
    sys.exit(any(thing.problem for thing in repaired))
