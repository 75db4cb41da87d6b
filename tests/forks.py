"""Processes made by a plain os.fork(), and interpreters without an engine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable

from goprocessing import _engine

from .waiting import LIMIT


def fork(function: Callable[[], object]) -> int:
    """The pid of a child that runs the function, and exits with 0 unless it raises."""
    if pid := os.fork():
        return pid
    status = 1
    try:
        limit_time()
        threading.excepthook = _fail
        function()
        status = 0
    except SystemExit as exit:
        status = int(exit.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _fail(of: threading.ExceptHookArgs) -> None:
    traceback.print_exception(of.exc_value)
    sys.stderr.flush()
    os._exit(1)


def limit_time() -> None:
    """Lets the kernel end this process if it hangs, also when its parent is gone."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(LIMIT))


def exit_code(pid: int) -> int:
    """Waits for a child: its status, or -N if signal N ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def descend(*lives: Callable[[], object]) -> int:
    """Runs each function in a child of the process that ran the one before.

    Returns 0, or what failed: the last child's status or signal number.
    """

    def live() -> None:
        lives[0]()
        if lives[1:]:
            sys.exit(descend(*lives[1:]))

    return abs(exit_code(fork(live)))


def run_fresh(function: Callable[..., object], *args: object) -> int | None:
    """The exit code of an interpreter that runs the function, and had not loaded the engine."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=args)
    process.start()
    process.join(LIMIT)
    process.kill()
    process.join()
    code = process.exitcode
    process.close()
    return code


def use_engine() -> None:
    """Waits in the engine, which only a sound one returns from."""
    semaphore = _engine.Semaphore(0)
    assert semaphore.acquire(True, 0.002) is False
    semaphore.release()
    assert semaphore.acquire() is True
