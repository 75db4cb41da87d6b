"""Signals during blocking calls: sent by kill(2) to a process that sleeps in the call."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .waiting import until_blocked

SCRIPT = Path(__file__).parent / "scripts" / "blocked.py"

CALLS = [
    "get",
    "get with timeout",
    "put",
    "put with timeout",
    "get_many",
    "put_many",
    "get_bytes",
    "put_bytes",
    "put of a large item",
    "join",
    "recv",
    "recv_bytes",
    "send",
    "poll",
    "recv_handle",
    "wait for a connection",
    "open_pipe",
    "acquire",
    "acquire with timeout",
    "acquire semaphore",
    "with",
    "wait",
    "wait with timeout",
    "acquire rlock",
    "wait for condition",
    "wait for condition with timeout",
    "wait at barrier",
    "wait at barrier with timeout",
]


@contextlib.contextmanager
def blocked_in(call: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, SCRIPT, call, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            until_blocked(process.pid)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("call", CALLS)
def test_interrupted(call: str) -> None:
    with blocked_in(call) as process:
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("interrupted\n", "")
        assert process.returncode == 0


@pytest.mark.parametrize("call", CALLS)
def test_a_handler_runs_and_the_call_goes_on(call: str) -> None:
    with blocked_in(call) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.send_signal(signal.SIGUSR1)
            assert process.stdout.readline() == "handled\n"
            until_blocked(process.pid)
        assert process.communicate("release\n", timeout=30) == ("returned\n", "")
        assert process.returncode == 0


@pytest.mark.parametrize("call", ["get", "put", "join", "recv", "send", "acquire", "wait"])
def test_a_signal_that_does_not_interrupt_the_sleep(call: str) -> None:
    """As one that comes just before it: the call finds it out by itself, within about a second."""
    with blocked_in(call, "masked") as process:
        assert process.stdout is not None
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.readline() == "handled\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("interrupted\n", "")


def test_terminated() -> None:
    """SIGTERM has its default effect."""
    with blocked_in("get") as process:
        process.terminate()
        assert process.wait(30) == -signal.SIGTERM


def test_signals_that_wait_for_sigwait() -> None:
    """The engine's threads take no signal that Python waits for."""
    program = (
        "import signal, os, goprocessing;"
        "goprocessing.Queue();"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2]);"
        "[(os.kill(os.getpid(), signal.SIGUSR2), signal.sigwait([signal.SIGUSR2]))"
        " for _ in range(100)];"
        "print('taken')"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "taken\n", "")
