"""The logger of the package, and the logging cookbook's queue of records."""

from __future__ import annotations

import logging
import logging.config
import logging.handlers
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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


def log(records: Any, name: str) -> None:
    root = logging.getLogger()
    root.handlers[:] = [logging.handlers.QueueHandler(records)]
    root.setLevel(logging.DEBUG)
    logging.getLogger(name).info("%s says %d", name, 7)


class Keeping(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(f"{record.name}: {record.getMessage()}")


def test_log_to_stderr(module: ModuleType, method: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(LOG_TO_STDERR.format(library=module.__name__, method=method))
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0
    lines = result.stderr.splitlines()
    assert "[WARNING/MainProcess] doomed" in lines
    assert "[INFO/worker] in the child" in lines
    assert "[INFO/worker] child process calling self.run()" in lines


def test_a_listener_in_the_parent(ctx: Any, start: Any) -> None:
    """From the logging cookbook: children log into a queue that a thread of the parent reads."""
    records, keeping = ctx.Queue(), Keeping()
    listener = logging.handlers.QueueListener(records, keeping)
    listener.start()
    children = [start(log, records, name) for name in ("first", "second")]
    for child in children:
        child.join()
        assert child.exitcode == 0
    listener.stop()
    assert sorted(keeping.messages) == ["first: first says 7", "second: second says 7"]
    records.close()
    records.join_thread()


@pytest.mark.skipif(sys.version_info < (3, 13), reason="refused by dictConfig before 3.13")
def test_configured_by_a_dictionary(ctx: Any) -> None:
    records = ctx.Queue()
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"queued": {"class": "logging.handlers.QueueHandler", "queue": records}},
            "loggers": {"configured": {"handlers": ["queued"], "level": "INFO"}},
        }
    )
    logger = logging.getLogger("configured")
    try:
        logger.info("hello")
        assert records.get(timeout=60).getMessage() == "hello"
    finally:
        logger.handlers.clear()
        records.close()
        records.join_thread()
