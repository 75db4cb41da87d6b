"""Signals, fatal ones included, in a process with an engine and in those forked from it."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import resource
import signal
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from goprocessing import _engine

from .forks import descend, exit_code, limit_time, run_fresh, use_engine
from .waiting import eventually, until_blocked

Lives = list[Callable[[], object]]


def nothing() -> None:
    pass


def raise_segv() -> None:
    ctypes.string_at(0)


def raise_signal(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


# The way to die, the signal, and whether faulthandler reports it.
DEATHS: list[tuple[Callable[[], object], int, bool]] = [
    (raise_segv, signal.SIGSEGV, True),
    (raise_signal(signal.SIGSEGV), signal.SIGSEGV, True),
    (os.abort, signal.SIGABRT, True),
    (raise_signal(signal.SIGBUS), signal.SIGBUS, True),
    (raise_signal(signal.SIGFPE), signal.SIGFPE, True),
    (raise_signal(signal.SIGTERM), signal.SIGTERM, False),
    (raise_signal(signal.SIGINT), signal.SIGINT, False),
    (raise_signal(signal.SIGURG), 0, False),
]

# What the generations do before the last one dies.
FAMILIES: dict[str, Lives] = {
    "the process": [],
    "its child": [nothing],
    "its child, with an engine": [use_engine],
    "its grandchild": [nothing, nothing],
    "its grandchild, with an engine": [use_engine, use_engine],
}


@pytest.mark.parametrize("enable", ["never", "before", "after"])
@pytest.mark.parametrize("family", FAMILIES)
def test_fatal_signals(family: str, enable: str) -> None:
    """The right signal ends the process, and faulthandler writes its one report.

    Whether it was enabled before the engine was loaded, or after.
    """
    assert run_fresh(die_in_all_ways, family, enable) == 0


def die_in_all_ways(family: str, enable: str) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for death, number, reported in DEATHS:
        with tempfile.TemporaryFile() as log:
            result = descend(*lives(family, enable, death, log.fileno()))
            log.seek(0)
            text = log.read().decode()
        assert result == number, f"{result} for {number}\n{text}"
        if enable != "never" and reported:
            assert text.count("Fatal Python error") == 1, text
            assert "in the_end" in text, text
        else:
            assert not text, text


def lives(family: str, enable: str, death: Callable[[], object], log: int) -> Lives:
    def begin() -> None:
        os.dup2(log, 2)
        if enable == "before":
            faulthandler.enable()
        use_engine()
        if enable == "after":
            faulthandler.enable()

    def the_end() -> None:
        death()

    first, *later = [*FAMILIES[family], the_end]
    return [lambda: (begin(), first()), *later]


def status(task: str) -> dict[str, str]:
    lines = Path(f"/proc/self/task/{task}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def test_handlers_of_a_child_are_those_of_before() -> None:
    assert run_fresh(compare_handlers) == 0


def compare_handlers() -> None:
    seen: list[int] = []
    signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    limit_time()  # as in the children
    before = handlers()

    def check() -> None:
        assert handlers() == before
        use_engine()
        assert handlers()["SigBlk"] == before["SigBlk"]
        assert handlers()["SigIgn"] == before["SigIgn"]
        seen.clear()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert seen == [signal.SIGUSR1]

    check()
    assert descend(check, check) == 0
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    before["SigCgt"] &= ~(1 << signal.SIGUSR1 - 1)

    def check_changed() -> None:
        assert handlers() == before
        use_engine()

    assert descend(check_changed, check_changed) == 0


def handlers() -> dict[str, int]:
    mine = status(str(os.getpid()))
    # Without those that glibc takes once there are threads.
    valid = sum(1 << number - 1 for number in signal.valid_signals())
    return {name: int(mine[name], 16) & valid for name in ("SigBlk", "SigIgn", "SigCgt")}


def test_a_broken_pipe_ends_a_program_that_wants_it() -> None:
    """SIGPIPE has the effect that was chosen before the engine was loaded."""

    def write(action: Any) -> Callable[[], None]:
        def write() -> None:
            signal.signal(signal.SIGPIPE, action)
            use_engine()
            reader, writer = os.pipe()
            os.close(reader)
            with pytest.raises(BrokenPipeError):
                os.write(writer, b"x")

        return write

    assert descend(write(signal.SIG_IGN), write(signal.SIG_DFL)) == signal.SIGPIPE


def engine_threads() -> list[dict[str, str]]:
    found = []
    for task in os.listdir("/proc/self/task"):
        with suppress(OSError):  # it has ended meanwhile
            found.append(status(task))
    return [thread for thread in found if thread["Name"] == "goprocessing"]


def test_the_threads_are_counted_and_named() -> None:
    def check() -> None:
        use_engine()
        eventually(lambda: 0 < _engine.engine_threads() == len(engine_threads()))

    check()
    assert descend(check, check) == 0


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGUSR1,
        signal.SIGALRM,
        signal.SIGRTMAX,
    ],
)
def test_a_blocked_signal_is_left_to_sigwait(number: int) -> None:
    """No thread of the engine takes it."""

    def check() -> None:
        use_engine()
        signal.pthread_sigmask(signal.SIG_BLOCK, [number])
        for _ in range(20):
            os.kill(os.getpid(), number)
            use_engine()
            assert signal.sigwait([number]) == number

    assert descend(check, check) == 0


def test_a_handler_may_fork_while_a_call_waits() -> None:
    """Both processes go on with the call, the child in an engine of its own."""
    assert descend(wait_through_a_fork, nothing) == 0


def wait_through_a_fork() -> None:
    semaphore = _engine.Semaphore(0)
    pids = []
    main = threading.get_ident()

    def fork_here(number: int, frame: object) -> None:
        pids.append(os.fork())
        limit_time()

    def interrupt() -> None:
        until_blocked(os.getpid())
        signal.pthread_kill(main, signal.SIGUSR1)
        eventually(lambda: pids)
        semaphore.release()
        semaphore.release()

    signal.signal(signal.SIGUSR1, fork_here)
    thread = threading.Thread(target=interrupt)
    thread.start()
    assert semaphore.acquire() is True
    (pid,) = pids
    if pid == 0:
        use_engine()
        os._exit(0)
    thread.join()
    assert exit_code(pid) == 0
