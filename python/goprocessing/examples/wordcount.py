"""Counts the words of text files: producers read, consumers tokenise and count.

Producers put blocks of lines into a JoinableQueue; consumers count their words
and send their counts back through a Queue. The result is checked against a
plain count in one process, and the same job runs on the standard library.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import queue
import re
import signal
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import goprocessing

LINES_PER_BLOCK = 16
BLOCKS_IN_QUEUE = 4096
SKIPPED_DIRECTORIES = {"__pycache__", "site-packages", "dist-packages", "node_modules"}
WORD = re.compile(r"[^\W\d_]+")


class FileRead(NamedTuple):
    """What a producer reports when it has put the whole of a file into the queue."""

    path: str
    size: int
    blocks: int
    problem: str | None


class Total(NamedTuple):
    """The result of a job."""

    words: Counter[str]
    files: int
    size: int
    blocks: int
    seconds: float


class WorkerDied(Exception):
    """A process of the job ended early."""


class Progress(Protocol):
    def update(self, n: int) -> object: ...
    def write(self, text: str) -> object: ...
    def close(self) -> object: ...


class Quiet:
    """The progress bar where there is no terminal, or no tqdm."""

    def update(self, n: int) -> None:
        pass

    def write(self, text: str) -> None:
        print(text, file=sys.stderr)

    def close(self) -> None:
        pass


def progress_bar(title: str, files: int) -> Progress:
    if not sys.stderr.isatty():
        return Quiet()
    try:
        from tqdm import tqdm
    except ImportError:
        return Quiet()
    bar: Progress = tqdm(total=files, desc=title, unit="file", leave=False)
    return bar


def library() -> Path:
    """The interpreter's own library: real text that every machine has."""
    return Path(sysconfig.get_path("stdlib"))


def find_files(paths: list[Path]) -> list[str]:
    """All files named, and all Python sources and texts below the directories named."""
    found: list[str] = []
    for path in paths:
        if not path.is_dir():
            found.append(str(path))
            continue
        for directory, below, names in os.walk(path, onerror=report_directory):
            below[:] = sorted(set(below) - SKIPPED_DIRECTORIES)
            found += (
                os.path.join(directory, name)
                for name in sorted(names)
                if name.endswith((".py", ".txt", ".rst", ".md"))
            )
    return found


def report_directory(error: OSError) -> None:
    print(f"wordcount: skipped {error.filename}: {error.strerror}", file=sys.stderr)


def blocks_of(path: str) -> Iterator[str]:
    with open(path, encoding="utf-8", errors="replace") as file:
        while lines := list(itertools.islice(file, LINES_PER_BLOCK)):
            yield "".join(lines)


def words_in(block: str) -> list[str]:
    return WORD.findall(block.lower())


def produce(paths: list[str], tasks: Any, reports: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends the others
    for path in paths:
        size = blocks = 0
        problem = None
        try:
            for block in blocks_of(path):
                tasks.put(block)
                size += len(block)
                blocks += 1
        except OSError as error:
            problem = error.strerror or str(error)
        reports.put(FileRead(path, size, blocks, problem))
    tasks.join()


def consume(tasks: Any, reports: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    words: Counter[str] = Counter()
    while (block := tasks.get()) is not None:
        words.update(words_in(block))
        tasks.task_done()
    reports.put(words)


def check(workers: list[BaseProcess]) -> None:
    for worker in workers:
        if worker.exitcode:
            raise WorkerDied(f"{worker.name} ended with {worker.exitcode}")


def next_report(reports: Any, workers: list[BaseProcess]) -> Any:
    """The next report, while no worker has failed."""
    while True:
        try:
            return reports.get(timeout=1)
        except queue.Empty:
            check(workers)


def wait_for(some: list[BaseProcess], workers: list[BaseProcess]) -> None:
    """Waits until some have ended, while no worker has failed."""
    running = [worker.sentinel for worker in some]
    others = [worker.sentinel for worker in workers if worker not in some]
    while running:
        ended = connection.wait(running + others)
        check(workers)
        running = [sentinel for sentinel in running if sentinel not in ended]


def count_parallel(
    ctx: BaseContext, files: list[str], producers: int, consumers: int, progress: Progress
) -> Total:
    begin = time.perf_counter()
    tasks = ctx.JoinableQueue(BLOCKS_IN_QUEUE)
    reports = ctx.Queue()
    process: type[BaseProcess] = ctx.Process  # type: ignore[attr-defined]
    workers = [
        process(
            target=produce,
            args=(files[i::producers], tasks, reports),
            name=f"producer {i}",
            daemon=True,
        )
        for i in range(producers)
    ]
    workers += [
        process(target=consume, args=(tasks, reports), name=f"consumer {i}", daemon=True)
        for i in range(consumers)
    ]
    words: Counter[str] = Counter()
    size = blocks = 0
    try:
        for worker in workers:
            worker.start()
        for _ in files:
            done: FileRead = next_report(reports, workers)
            size += done.size
            blocks += done.blocks
            if done.problem:
                progress.write(f"wordcount: skipped {done.path}: {done.problem}")
            progress.update(1)
        # A producer ends when all blocks were counted. Before that a None could
        # overtake blocks that the standard library's queue still has to send.
        wait_for(workers[:producers], workers)
        for _ in range(consumers):
            tasks.put(None)
        for _ in range(consumers):
            words += next_report(reports, workers)
    except BaseException:
        for worker in workers:
            if worker.pid is not None:
                worker.terminate()
        raise
    finally:
        for worker in workers:
            if worker.pid is not None:
                worker.join()
        for each in tasks, reports:
            each.close()
            each.cancel_join_thread()
    return Total(words, len(files), size, blocks, time.perf_counter() - begin)


def count_plain(files: list[str], progress: Progress) -> Total:
    begin = time.perf_counter()
    words: Counter[str] = Counter()
    size = blocks = 0
    for path in files:
        try:
            for block in blocks_of(path):
                words.update(words_in(block))
                size += len(block)
                blocks += 1
        except OSError:
            pass  # the producers report it
        progress.update(1)
    return Total(words, len(files), size, blocks, time.perf_counter() - begin)


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def existing(text: str) -> Path:
    path = Path(text)
    try:
        path.stat()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from None
    return path


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m goprocessing.examples.wordcount", description=__doc__
    )
    parser.add_argument(
        "paths",
        nargs="*",
        type=existing,
        metavar="PATH",
        help="a text file, or a directory of .py, .txt, .rst and .md files"
        f" (default: the interpreter's library, {library()})",
    )
    parser.add_argument("--producers", type=positive, default=1, metavar="N")
    parser.add_argument(
        "--consumers",
        type=positive,
        default=max(1, len(os.sched_getaffinity(0)) - 1),
        metavar="N",
        help="default: one for each CPU but one",
    )
    parser.add_argument("--start-method", choices=goprocessing.get_all_start_methods())
    parser.add_argument(
        "--no-compare", action="store_true", help="do not run the standard library's job"
    )
    parser.add_argument("--top", type=positive, default=10, metavar="N", help="words to print")
    return parser.parse_args(arguments)


def run(module: ModuleType, files: list[str], options: argparse.Namespace) -> Total:
    progress = progress_bar(module.__name__, len(files))
    try:
        return count_parallel(
            module.get_context(options.start_method),
            files,
            options.producers,
            options.consumers,
            progress,
        )
    finally:
        progress.close()


def main() -> int:
    options = parse()
    files = find_files(options.paths or [library()])
    if not files:
        print("wordcount: no text files found", file=sys.stderr)
        return 2
    # First, so that it is this one that brings the files into the page cache.
    progress = progress_bar("one process", len(files))
    plain = count_plain(files, progress)
    progress.close()
    try:
        jobs = {"goprocessing": run(goprocessing, files, options)}
        if not options.no_compare:
            jobs["multiprocessing"] = run(multiprocessing, files, options)
    except WorkerDied as error:
        print(f"wordcount: {error}", file=sys.stderr)
        return 1

    print(
        f"{plain.files:,} files, {plain.size / 1e6:.1f} million characters in"
        f" {plain.blocks:,} blocks of {LINES_PER_BLOCK} lines:"
        f" {plain.words.total():,} words, {len(plain.words):,} different"
    )
    for word, times in plain.words.most_common(options.top):
        print(f"{times:10,}  {word}")
    print(f"processes: {options.producers} to produce, {options.consumers} to consume")
    print(f"{'one process':16} {plain.seconds:8.3f} s")
    for name, job in jobs.items():
        print(f"{name:16} {job.seconds:8.3f} s {job.blocks / job.seconds:12,.0f} blocks/s")
    wrong = [name for name, job in jobs.items() if job[:4] != plain[:4]]
    if wrong:
        print(f"wordcount: {', '.join(wrong)}: not the plain count's result", file=sys.stderr)
        return 1
    print("the results agree")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
