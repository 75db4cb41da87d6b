"""The run over CPython's own tests: it notices whatever goes wrong, and leaves no process."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from .cpython import runner
from .cpython.environment import Environment
from .cpython.measurement import Measurement
from .cpython.results import Comparison, Result, ShippedClass

MODULE = """
import os, signal, subprocess, sys, threading, time, unittest

def sleep():
    time.sleep(600)

def start_another():
    process = subprocess.Popen(["sleep", "600"])
    with open({pids!r}, "a") as file:
        file.write(f"{{process.pid}}\\n")
    return process

class Tests(unittest.TestCase):
    def test_passes(self):
        pass

    def test_fails_in_a_part(self):
        with self.subTest(of="it"):
            self.fail("on purpose")

    def test_hangs(self):
        start_another().wait()

    def test_crashes(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def test_leaves_a_process(self):
        start_another().returncode = 0

    @unittest.skip("on purpose")
    def test_skipped(self):
        pass

    @unittest.expectedFailure
    def test_expected(self):
        self.fail("on purpose")

    def test_leaves_a_thread(self):
        from test.support import threading_helper
        before = threading_helper.threading_setup()
        threading.Thread(target=sleep, daemon=True).start()
        threading_helper.threading_cleanup(*before)

    def test_leaves_a_child(self):
        from test import support
        child = subprocess.Popen(["true"])
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        support.reap_children()
        child.returncode = 0

    def test_fails_once(self):
        if not os.path.exists({pids!r}):
            open({pids!r}, "w").close()
            self.fail("on purpose")

class NotReady(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise OSError("on purpose")

    def test(self):
        pass
"""


@pytest.fixture
def pids(tmp_path: Path) -> Path:
    return tmp_path / "pids"


@pytest.fixture
def environment(tmp_path: Path, pids: Path) -> Environment:
    environment = Environment.make("stdlib", "install", tmp_path)
    (environment.packages / "troubles.py").write_text(MODULE.format(pids=str(pids)))
    return environment


def outcomes(environment: Environment, cls: str, *tests: str, limit: float = 60) -> dict[str, str]:
    pytest.importorskip("test.support", reason="not shipped by this interpreter")
    results = asyncio.run(
        runner.run(environment, ShippedClass("fork", "troubles", cls, tests), limit)
    )
    return {test: result.outcome for test, result in results.items()}


def running(pids: Path) -> list[int]:
    return [int(pid) for pid in pids.read_text().split() if os.path.exists(f"/proc/{pid}/cwd")]


def test_outcomes(environment: Environment) -> None:
    expected = {
        "test_passes": "passed",
        "test_fails_in_a_part": "failed",
        "test_skipped": "skipped",
        "test_expected": "expected failure",
    }
    assert outcomes(environment, "Tests", *expected) == expected


def test_the_rest_runs_after_a_crash(environment: Environment) -> None:
    assert outcomes(environment, "Tests", "test_crashes", "test_passes") == {
        "test_crashes": "crashed",
        "test_passes": "passed",
    }


def test_the_rest_runs_after_a_hang(environment: Environment, pids: Path) -> None:
    assert outcomes(environment, "Tests", "test_hangs", "test_passes", limit=20) == {
        "test_hangs": "hung",
        "test_passes": "passed",
    }
    assert not running(pids)


def test_a_process_left_behind(environment: Environment, pids: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(runner, "GRACE", 0.1)
    assert outcomes(environment, "Tests", "test_leaves_a_process") == {
        "test_leaves_a_process": "passed",
        "(end)": "left behind",
    }
    assert not running(pids)


def test_what_dangles(environment: Environment) -> None:
    thread, child = "test_leaves_a_thread", "test_leaves_a_child"
    assert "(environment:sleep)" in outcomes(environment, "Tests", thread)
    assert "(environment)" in outcomes(environment, "Tests", child)
    assert "(environment)" in outcomes(environment, "Tests", thread, child)


def test_what_failed_with_the_standard_library_runs_again(
    environment: Environment, pids: Path
) -> None:
    before = {
        "test_passes": "passed",
        "test_skipped": "skipped",
        "test_fails_once": "failed",
        "test_fails_in_a_part": "failed",
        "(environment)": "altered",
    }
    pytest.importorskip("test.support", reason="not shipped by this interpreter")
    tests = tuple(before)[:-1]
    results = {test: Result(outcome) for test, outcome in before.items()}
    comparison = Comparison(ShippedClass("fork", "troubles", "Tests", tests), results, {})
    measurement = Measurement({"stdlib": environment}, 60, 1, baseline=True)
    again = asyncio.run(measurement.repeat_baseline(comparison))
    outcome = {test: result.outcome for test, result in again.items()}
    assert outcome == {
        "test_fails_once": "passed",
        "test_fails_in_a_part": "failed",
        "(environment)": "passed",
    }
    amended = comparison.amended("stdlib", again).stdlib or {}
    assert {test: result.outcome for test, result in amended.items()} == {
        "test_passes": "passed",
        "test_skipped": "skipped",
        "test_fails_once": "passed",
        "test_fails_in_a_part": "failed",
    }


def test_no_test_is_missed(environment: Environment) -> None:
    results = outcomes(environment, "NotReady", "test")
    assert results == {"setUpClass": "error"}
    passed = {"test": Result("passed")}
    cls = ShippedClass("fork", "troubles", "NotReady", ("test",))
    comparison = Comparison(cls, passed, {"setUpClass": Result("error")})
    assert comparison.worse() == {"test": Result("missing"), "setUpClass": Result("error")}


def test_the_stacks_of_a_hung_test(environment: Environment) -> None:
    cls = ShippedClass("fork", "troubles", "Tests", ("test_hangs",))
    results = asyncio.run(runner.run(environment, cls, limit=20))
    assert "in test_hangs" in results["test_hangs"].text
