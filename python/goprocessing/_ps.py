"""`python -m goprocessing ps`"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys

from . import inspect
from ._blocked import blocked, idle
from ._listing import listing, used_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m goprocessing ps",
        description="List your queues, pipes, locks and the like: what is in them, who holds"
        " them and who waits for them. Threads are process:thread; of a first thread only"
        " the process is shown.",
    )
    parser.add_argument("pid", type=int, nargs="*", help="only what one of these processes uses")
    parser.add_argument(
        "--all", action="store_true", help="also locks and the like that nobody has or awaits"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="as JSON, with all that goprocessing.inspect tells, and who is blocked or idle",
    )
    options = parser.parse_args(arguments)
    snapshot = used_by(inspect.snapshot(), options.pid)
    if options.json:
        found = dataclasses.asdict(snapshot)
        found |= {"blocked": [*blocked(snapshot)], "idle": [*idle(snapshot)]}
        print(json.dumps(found, indent=2))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
        for line in listing(snapshot, options.all, width):
            print(line)
    users = {process.pid for process in snapshot.processes}
    failed = False
    for pid in sorted({*options.pid} - users):
        exists = os.path.exists(f"/proc/{pid}")
        failed = failed or not exists
        reason = f"no objects of process {pid}" if exists else f"no such process: {pid}"
        print(f"{parser.prog}: {reason}", file=sys.stderr)
    sys.exit(failed)
