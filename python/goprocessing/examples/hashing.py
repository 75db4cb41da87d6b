"""Hashes files: their names go out through one queue, their digests come back through another.

The workers are processes in Python, one for each CPU, or a program in Go that uses all
of them (`go build ./core/examples/hash`), which finds the queues by their names. The
results are checked against those of one process, and the times are printed side by side.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypedDict

import goprocessing

from .wordcount import SKIPPED_DIRECTORIES, existing, library, positive

Exits = Callable[[], "list[int | None]"]
"""The exit codes of workers, None of those that run."""


class Digest(TypedDict):
    """What a worker puts for a file."""

    path: str
    size: int
    sha256: str
    error: str


class WorkerDied(Exception):
    """A worker ended although there was work to do, or failed."""


def digest_of(path: str) -> Digest:
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"path": path, "size": file.tell(), "sha256": digest, "error": ""}
    except OSError as error:
        return {"path": path, "size": 0, "sha256": "", "error": error.strerror or str(error)}


def work(tasks: Any, digests: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends the others
    with contextlib.suppress(goprocessing.ShutDown):
        while True:
            digests.put(digest_of(tasks.get()))


def find_files(paths: list[Path]) -> list[str]:
    """All files named, and all below the directories named."""
    found: list[str] = []
    for path in paths:
        if not path.is_dir():
            found.append(str(path))
        for directory, below, names in os.walk(path):
            below[:] = sorted(set(below) - SKIPPED_DIRECTORIES)
            found += (os.path.join(directory, name) for name in sorted(names))
    return [path for path in found if os.path.isfile(path) and is_text(path)]


def is_text(path: str) -> bool:
    """Whether JSON can carry it: a file's name can be any bytes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextlib.contextmanager
def workers_in_python(count: int, tasks: Any, digests: Any) -> Iterator[Exits]:
    workers = [
        goprocessing.Process(target=work, args=(tasks, digests), daemon=True) for _ in range(count)
    ]
    for worker in workers:
        worker.start()
    try:
        yield lambda: [worker.exitcode for worker in workers]
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


@contextlib.contextmanager
def workers_in_go(program: Path, count: int, tasks: str, digests: str) -> Iterator[Exits]:
    env = {**os.environ, "GOMAXPROCS": str(count)}
    with subprocess.Popen([program.absolute(), tasks, digests], env=env) as process:
        try:
            yield lambda: [process.poll()]
        finally:
            process.terminate()


def collect(digests: Any, count: int, exits: Exits) -> dict[str, Digest]:
    found: list[Digest] = []
    while len(found) < count:
        # Before the look for more: what a worker put that has ended is in the queue.
        codes = exits()
        try:
            found += digests.get_many(timeout=1 if None in codes else 0)
        except queue.Empty:
            if any(codes) or None not in codes:
                raise WorkerDied(f"a worker has ended: {codes}") from None
    return {digest["path"]: digest for digest in found}


def hash_parallel(files: list[str], workers: int, go: Path | None) -> dict[str, Digest]:
    names = [f"hashing-{os.getpid()}-{end}" for end in ("tasks", "digests")]
    with contextlib.ExitStack() as stack:
        queues = []
        for name in names:
            queues.append(goprocessing.open_queue(name, create=True, codec="json"))
            stack.callback(goprocessing.unlink, name)
        tasks, digests = queues
        crew = (
            workers_in_python(workers, tasks, digests)
            if go is None
            else workers_in_go(go, workers, *names)
        )
        exits = stack.enter_context(crew)
        tasks.put_many(files)
        tasks.shutdown()  # the workers end when there is no more
        return collect(digests, len(files), exits)


def timed(job: Callable[..., dict[str, Digest]], *args: Any) -> tuple[float, dict[str, Digest]]:
    begin = time.perf_counter()
    result = job(*args)
    return time.perf_counter() - begin, result


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m goprocessing.examples.hashing", description=__doc__
    )
    parser.add_argument(
        "paths",
        nargs="*",
        type=existing,
        metavar="PATH",
        help=f"a file, or a directory (default: the interpreter's library, {library()})",
    )
    parser.add_argument(
        "--workers",
        type=positive,
        default=len(os.sched_getaffinity(0)),
        metavar="N",
        help="default: one for each CPU",
    )
    parser.add_argument(
        "--go", type=existing, metavar="PROGRAM", help="the workers in Go, core/examples/hash"
    )
    return parser.parse_args(arguments)


def main() -> int:
    options = parse()
    files = find_files(options.paths or [library()])
    if not files:
        print("hashing: no files found", file=sys.stderr)
        return 2

    def hash_plain() -> dict[str, Digest]:
        return {path: digest_of(path) for path in files}

    wanted = hash_plain()  # which brings the files into the page cache
    jobs = {"one process": timed(hash_plain)}
    try:
        jobs["workers in Python"] = timed(hash_parallel, files, options.workers, None)
        if options.go is not None:
            jobs["workers in Go"] = timed(hash_parallel, files, options.workers, options.go)
    except WorkerDied as error:
        print(f"hashing: {error}", file=sys.stderr)
        return 1

    size = sum(digest["size"] for digest in wanted.values())
    print(f"{len(files):,} files, {size / 1e6:.1f} MB; {options.workers} workers")
    for name, (seconds, _) in jobs.items():
        print(f"{name:18} {seconds:8.3f} s {len(files) / seconds:10,.0f} files/s")
    wrong = [
        name
        for name, (_, digests) in jobs.items()
        if any(digest["sha256"] != digests[path]["sha256"] for path, digest in wanted.items())
    ]
    if wrong:
        print(f"hashing: {', '.join(wrong)}: not the digests of one process", file=sys.stderr)
        return 1
    print("the results agree")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
