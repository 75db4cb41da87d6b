"""The logger of the package, and the logging cookbook's programs for several processes."""

from __future__ import annotations

import itertools
import logging
import logging.config
import logging.handlers
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from .test_scripts import SCRIPTS
from .test_scripts import run as run_script

WORKERS, RECORDS = 3, 20
LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR)

LOG_TO_STDERR = """
import logging
import {library} as multiprocessing
from {library} import util

def run():
    multiprocessing.get_logger().info("in the child")

if __name__ == "__main__":
    multiprocessing.set_start_method({method!r})
    logger = multiprocessing.log_to_stderr(logging.INFO)
    assert logger is multiprocessing.get_logger() is util.get_logger()
    child = multiprocessing.Process(target=run, name="worker")
    child.start()
    child.join()
    logger.warning("doomed")
"""


@pytest.fixture(params=["Queue", "JoinableQueue"])
def queue(ctx: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    queue = getattr(ctx, request.param)()
    yield queue
    queue.close()
    queue.join_thread()


@pytest.fixture
def logger(request: pytest.FixtureRequest) -> Iterator[logging.Logger]:
    """A logger of the test's own, below none of pytest's handlers."""
    logger = logging.getLogger(request.node.name)
    logger.propagate = False
    yield logger
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
    del logging.Logger.manager.loggerDict[logger.name]


def log(name: str, worker: int) -> None:
    logger = logging.getLogger(name)
    for number in range(RECORDS):
        logger.log(LEVELS[number % len(LEVELS)], "record %d of worker %d", number, worker)


def configure(queue: Any, name: str) -> None:
    """What a worker does first: all that it logs goes into the queue."""
    logger = logging.getLogger(name)
    logger.handlers = [logging.handlers.QueueHandler(queue)]
    logger.propagate = False
    logger.setLevel(logging.DEBUG)


def work(queue: Any, name: str, worker: int) -> None:
    configure(queue, name)
    log(name, worker)


def work_configured(queue: Any, name: str, worker: int) -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            # By its "class", 3.12 wants a listener's handlers too.
            "handlers": {"queue": {"()": logging.handlers.QueueHandler, "queue": queue}},
            "loggers": {name: {"handlers": ["queue"], "level": "DEBUG", "propagate": False}},
        }
    )
    log(name, worker)


def work_in_pool(arguments: tuple[str, int]) -> None:
    log(*arguments)


def expected(worker: int, least: int = logging.DEBUG) -> list[str]:
    return [
        f"record {number} of worker {worker}"
        for number in range(RECORDS)
        if LEVELS[number % len(LEVELS)] >= least
    ]


def check(messages: list[str], least: int = logging.DEBUG) -> None:
    """All records are there, and those of a worker in their order."""
    assert len(messages) == WORKERS * len(expected(0, least))
    for worker in range(WORKERS):
        mine = [message for message in messages if message.endswith(f" {worker}")]
        assert mine == expected(worker, least)


class Collecting(logging.Handler):
    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def run(start: Any, target: Any, queue: Any, name: str) -> None:
    workers = [start(target, queue, name, worker) for worker in range(WORKERS)]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0


def test_log_to_stderr(module: ModuleType, method: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(LOG_TO_STDERR.format(library=module.__name__, method=method))
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    lines = result.stderr.splitlines()
    assert "[WARNING/MainProcess] doomed" in lines
    assert "[INFO/worker] in the child" in lines
    assert "[INFO/worker] child process calling self.run()" in lines


def logged(*files: Path) -> dict[str, list[str]]:
    """What each process has logged, without the time, from files in their order."""
    found: dict[str, list[str]] = {}
    for line in itertools.chain.from_iterable(file.read_text().splitlines() for file in files):
        _date, _time, process, record = line.split(maxsplit=3)
        found.setdefault(process, []).append(record)
    return found


def rotated(folder: Path) -> list[Path]:
    """The files of log_file.py, the oldest first."""
    return sorted(folder.glob("mptest.log*"), key=lambda path: -int(path.suffix.strip(".log") or 0))


def compare(script: str, *arguments: str, folder: Path) -> Iterator[tuple[list[str], Path]]:
    """What a program prints, in some order, plain and with goprocessing, and where it was run."""
    for name, options in ("plain", ()), ("ours", ("-m", "goprocessing")):
        cwd = folder / name
        cwd.mkdir()
        result = run_script(*options, SCRIPTS / script, *arguments, cwd=cwd)
        assert result.returncode == 0
        # The resource tracker of the standard library has something to say now and then.
        assert name == "plain" or not result.stderr
        yield sorted(result.stdout.splitlines()), cwd


def test_a_process_that_listens(method: str, tmp_path: Path) -> None:
    (plain, plain_folder), (ours, our_folder) = compare(
        "log_file.py", method, "processes", folder=tmp_path
    )
    assert ours == plain
    assert len(ours) == 2 * WORKERS
    assert logged(*rotated(our_folder)) == logged(*rotated(plain_folder))
    assert [len(records) for records in logged(*rotated(our_folder)).values()] == [10] * WORKERS


def test_a_process_that_listens_to_an_executor(method: str, tmp_path: Path) -> None:
    """Which process has done how many of the calls is another question."""
    found = []
    for output, folder in compare("log_file.py", method, "executor", folder=tmp_path):
        events = [line.partition(":")[0] for line in output]
        records = itertools.chain.from_iterable(logged(*rotated(folder)).values())
        found.append((events, sorted(records)))
    assert found[0] == found[1]
    events, records = found[0]
    assert (len(events), len(records)) == (2 * WORKERS, 10 * WORKERS)


def test_a_thread_of_the_main_process_that_listens(method: str, tmp_path: Path) -> None:
    (plain, plain_folder), (ours, our_folder) = compare("log_thread.py", method, folder=tmp_path)
    assert ours == plain
    assert len(ours) == 80 * WORKERS
    for name, number in ("mplog.log", 100), ("mplog-foo.log", 51), ("mplog-errors.log", 40):
        records = logged(our_folder / name)
        assert records == logged(plain_folder / name)
        assert [len(of_one) for of_one in records.values()] == [number] * WORKERS


@pytest.mark.parametrize("target", [work, work_configured])
def test_a_thread_that_listens(start: Any, queue: Any, logger: logging.Logger, target: Any) -> None:
    every, errors = Collecting(), Collecting(logging.ERROR)
    listener = logging.handlers.QueueListener(queue, every, errors, respect_handler_level=True)
    listener.start()
    run(start, target, queue, logger.name)
    listener.stop()
    check(every.messages)
    check(errors.messages, logging.ERROR)


def test_a_pool(ctx: Any, queue: Any, logger: logging.Logger) -> None:
    handler = Collecting()
    listener = logging.handlers.QueueListener(queue, handler)
    listener.start()
    tasks = [(logger.name, worker) for worker in range(WORKERS)]
    with ProcessPoolExecutor(2, ctx, configure, (queue, logger.name)) as executor:
        list(executor.map(work_in_pool, tasks))
    listener.stop()
    check(handler.messages)


def test_the_queue_of_a_manager(ctx: Any, logger: logging.Logger) -> None:
    handler = Collecting()
    tasks = [(logger.name, worker) for worker in range(WORKERS)]
    with ctx.Manager() as manager:
        queue = manager.Queue()
        listener = logging.handlers.QueueListener(queue, handler)
        listener.start()
        with ctx.Pool(2, configure, (queue, logger.name)) as pool:
            pool.map(work_in_pool, tasks)
        listener.stop()
    check(handler.messages)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="dictConfig makes listeners since 3.12")
@pytest.mark.parametrize("given", ["queue", "factory"])
def test_a_listener_by_configuration(
    start: Any, queue: Any, logger: logging.Logger, given: str
) -> None:
    if given == "queue" and sys.version_info < (3, 12, 5):
        pytest.skip("dictConfig takes a queue of processes since 3.12.5")
    handler = Collecting()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "collecting": {"()": lambda: handler},
                "queue": {
                    "class": "logging.handlers.QueueHandler",
                    "queue": queue if given == "queue" else {"()": lambda: queue},
                    "handlers": ["collecting"],
                    "respect_handler_level": True,
                },
            },
            "loggers": {logger.name: {"handlers": ["queue"], "level": "DEBUG"}},
        }
    )
    queue_handler: Any = logging.getHandlerByName("queue")
    assert queue_handler.queue is queue
    queue_handler.listener.start()
    run(start, work, queue, logger.name)
    log(logger.name, WORKERS)
    queue_handler.listener.stop()
    own = expected(WORKERS)
    assert [message for message in handler.messages if message.endswith(f" {WORKERS}")] == own
    check([message for message in handler.messages if message not in own])
