"""Processes, and what a program asks about them."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import goprocessing
import pytest
from goprocessing import connection

from .waiting import LIMIT


def describe(library: str, answers: Any) -> None:
    module = importlib.import_module(library)
    process, parent = module.current_process(), module.parent_process()
    answers.put(
        {
            "name": process.name,
            "daemon": process.daemon,
            "authkey": bytes(process.authkey),
            "pid": process.pid == os.getpid(),
            "parent": (parent.pid, parent.name, parent.is_alive()),
            "children": module.active_children(),
            "mark": os.environ.get("MARK"),
        }
    )


def block(ready: Any) -> None:
    ready.set()
    signal.pause()


def leave(code: object) -> None:
    sys.exit(code)  # type: ignore[arg-type]


class Doubling(goprocessing.Process):
    def __init__(self, numbers: Any) -> None:
        super().__init__(name="doubling", daemon=True)
        self.numbers = numbers

    def run(self) -> None:
        self.numbers.put(self.numbers.get() * 2)


def test_what_a_child_knows(module: ModuleType, ctx: Any, start: Callable[..., Any]) -> None:
    answers = ctx.SimpleQueue()
    child = start(describe, module.__name__, answers)
    child.join()
    assert answers.get() == {
        "name": child.name,
        "daemon": True,
        "authkey": bytes(module.current_process().authkey),
        "pid": True,
        "parent": (os.getpid(), module.current_process().name, True),
        "children": [],
        "mark": None,
    }
    answers.close()


def test_the_life_of_a_child(module: ModuleType, ctx: Any) -> None:
    ready = ctx.Event()
    child = ctx.Process(target=block, args=(ready,), daemon=True)
    assert (child.pid, child.exitcode, child.is_alive()) == (None, None, False)
    child.start()
    assert ready.wait(LIMIT)
    assert child in module.active_children()
    assert child.is_alive()
    assert connection.wait([child.sentinel], timeout=0) == []
    child.terminate()
    assert connection.wait([child.sentinel], timeout=LIMIT) == [child.sentinel]
    child.join()
    assert child.exitcode == -signal.SIGTERM
    assert child not in module.active_children()
    child.close()
    with pytest.raises(ValueError, match="process object is closed"):
        child.is_alive()


@pytest.mark.parametrize(("code", "status"), [(None, 0), (3, 3), ("a message", 1)])
def test_exit_codes(ctx: Any, start: Callable[..., Any], code: object, status: int) -> None:
    child = start(leave, code)
    child.join()
    assert child.exitcode == status


def test_a_subclass(in_force: str) -> None:
    numbers = goprocessing.JoinableQueue()
    numbers.put(21)
    child = Doubling(numbers)
    child.start()
    child.join()
    assert numbers.get() == 42
    child.close()


@pytest.mark.parametrize("method", ["spawn"])
def test_set_executable(module: ModuleType, method: str, tmp_path: Path) -> None:
    spawn = importlib.import_module(f"{module.__name__}.spawn")
    ctx = module.get_context(method)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nMARK=set exec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    answers, before = ctx.SimpleQueue(), spawn.get_executable()
    module.set_executable(str(python))
    try:
        assert os.fsdecode(spawn.get_executable()) == str(python)
        child = ctx.Process(target=describe, args=(module.__name__, answers))
        child.start()
        child.join()
        child.close()
        assert answers.get()["mark"] == "set"
    finally:
        module.set_executable(before)
        answers.close()


def test_the_rest_of_the_module(module: ModuleType) -> None:
    assert module.cpu_count() == os.cpu_count()
    assert module.freeze_support() is None
    assert module.allow_connection_pickling() is None
    assert module.parent_process() is None
    assert module.current_process().name == "MainProcess"
    assert module.get_logger().name == "multiprocessing"
    assert issubclass(module.TimeoutError, module.ProcessError)
    assert issubclass(module.BufferTooShort, module.ProcessError)
    assert issubclass(module.AuthenticationError, module.ProcessError)


def test_the_reducer(ctx: Any, module: ModuleType) -> None:
    """There is one for all contexts."""
    before = ctx.reducer
    assert before is module.reducer
    other = object()
    try:
        ctx.reducer = other
        assert ctx.reducer is other
        assert module.get_context("fork").reducer is other
    finally:
        ctx.reducer = before
