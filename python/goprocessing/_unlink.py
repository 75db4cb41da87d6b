"""`python -m goprocessing unlink`"""

from __future__ import annotations

import argparse
import errno
import os
import sys

from . import inspect, names, unlink
from ._blocked import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m goprocessing unlink",
        description="Take names of objects away. Who uses an object goes on; it goes with the"
        " last of them.",
    )
    parser.add_argument("name", nargs="*")
    parser.add_argument(
        "--stale",
        action="store_true",
        help="only those that nobody uses, and say which; without a name, of all",
    )
    options = parser.parse_args(arguments)
    if options.stale:
        try:
            unlinked, problems = inspect._unlink_stale(options.name)
        except RuntimeError as error:
            parser.exit(1, f"{parser.prog}: {error}\n")
        for name in unlinked:
            print(shown(name))
        for problem in problems.values():
            for line in problem.splitlines():
                print(f"{parser.prog}: {line}", file=sys.stderr)
        left = {*options.name}.difference(unlinked, problems)
        used = left.intersection(names())
        for name in sorted(left):
            code = errno.EBUSY if name in used else errno.ENOENT
            print(f"{parser.prog}: {shown(name)}: {os.strerror(code)}", file=sys.stderr)
        sys.exit(bool(problems or left))
    if not options.name:
        parser.error("a name is required, or --stale")
    failed = False
    for name in options.name:
        try:
            unlink(name)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            print(f"{parser.prog}: {shown(name)}: {reason}", file=sys.stderr)
            failed = True
    sys.exit(failed)
