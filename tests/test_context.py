"""Contexts and start methods: what the package exports, and where the state is."""

from __future__ import annotations

import inspect
import multiprocessing
import subprocess
import sys
from multiprocessing import connection as stdlib_connection
from multiprocessing import context as stdlib_context
from multiprocessing import queues as stdlib_queues
from multiprocessing import synchronize as stdlib_synchronize
from typing import Any

import goprocessing
import pytest
from goprocessing import connection, queues, synchronize

OURS = {
    "Queue": queues.Queue,
    "JoinableQueue": queues.JoinableQueue,
    "Lock": synchronize.Lock,
    "Semaphore": synchronize.Semaphore,
    "BoundedSemaphore": synchronize.BoundedSemaphore,
    "Event": synchronize.Event,
}


@pytest.fixture
def unset() -> Any:
    """No start method chosen yet; put back afterwards."""
    multiprocessing.set_start_method(None, force=True)
    yield
    multiprocessing.set_start_method(None, force=True)


def report_start_methods(answers: Any) -> None:
    answers.put((goprocessing.get_start_method(), multiprocessing.get_start_method()))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (queues.Queue, stdlib_queues.Queue),
        (queues.JoinableQueue, stdlib_queues.JoinableQueue),
        (synchronize.Event, stdlib_synchronize.Event),
        (synchronize.Semaphore, stdlib_synchronize.Semaphore),
        (connection.PipeEnd, stdlib_connection.Connection),
    ],
)
def test_our_methods_have_the_standard_signatures(ours: type, theirs: type) -> None:
    def parameters(function: Any) -> list[tuple[str, Any]]:
        return [(p.name, p.default) for p in inspect.signature(function).parameters.values()]

    for name, function in inspect.getmembers(theirs, inspect.isfunction):
        if not name.startswith("_"):
            assert parameters(getattr(ours, name)) == parameters(function), name


def test_contexts(method: str) -> None:
    ctx = goprocessing.get_context(method)
    assert ctx.get_start_method() == method
    assert ctx.get_context() is ctx
    assert ctx.get_context("fork") is goprocessing.get_context("fork")
    assert type(ctx).__name__.lower().startswith(method)
    assert ctx.Process.__name__.lower().startswith(method)
    assert isinstance(ctx, stdlib_context.BaseContext)
    assert isinstance(ctx, type(multiprocessing.get_context(method)))
    with pytest.raises(ValueError, match="cannot set start method of concrete context"):
        ctx.set_start_method("fork")
    with pytest.raises(ValueError, match="cannot find context for 'nonsense'"):
        ctx.get_context("nonsense")


@pytest.mark.parametrize("name", OURS)
def test_factories(method: str, name: str) -> None:
    assert type(getattr(goprocessing.get_context(method), name)()) is OURS[name]
    assert type(getattr(goprocessing, name)()) is OURS[name]


def test_pipe_factory(method: str) -> None:
    for make in goprocessing.get_context(method).Pipe, goprocessing.Pipe, connection.Pipe:
        a, b = make()
        assert type(a) is type(b) is connection.PipeEnd
        a.close()
        b.close()


def test_set_start_method(method: str, unset: None) -> None:
    assert goprocessing.get_start_method(allow_none=True) is None
    goprocessing.set_start_method(method)
    assert goprocessing.get_start_method() == method
    assert multiprocessing.get_start_method() == method
    assert goprocessing.get_context() is goprocessing.get_context(method)
    with pytest.raises(RuntimeError, match="context has already been set"):
        goprocessing.set_start_method(method)
    with pytest.raises(RuntimeError, match="context has already been set"):
        multiprocessing.set_start_method(method)
    goprocessing.set_start_method("spawn", force=True)
    assert multiprocessing.get_start_method() == "spawn"
    with pytest.raises(ValueError, match="cannot find context for 'nonsense'"):
        goprocessing.set_start_method("nonsense", force=True)
    goprocessing.set_start_method(None, force=True)
    assert multiprocessing.get_start_method(allow_none=True) is None


def test_one_state_for_both_modules(method: str, unset: None) -> None:
    multiprocessing.set_start_method(method)
    assert goprocessing.get_start_method(allow_none=True) == method
    assert goprocessing.get_context() is goprocessing.get_context(method)


def test_all_start_methods() -> None:
    assert goprocessing.get_all_start_methods() == multiprocessing.get_all_start_methods()


def test_a_child_has_the_start_method_of_its_context(our_ctx: Any, our_start: Any) -> None:
    answers = our_ctx.Queue()
    our_start(report_start_methods, answers)
    assert answers.get() == (our_ctx.get_start_method(),) * 2


def test_the_default_process_class(method: str, unset: None) -> None:
    goprocessing.set_start_method(method)
    answers = goprocessing.Queue()
    child = goprocessing.Process(target=report_start_methods, args=(answers,))
    child.start()
    assert answers.get() == (method, method)
    child.join()
    child.close()


class Answering(goprocessing.Process):
    def __init__(self, answers: Any) -> None:
        super().__init__()
        self.answers = answers

    def run(self) -> None:
        self.answers.put(type(self).__name__)


def test_a_subclass_of_process(method: str, unset: None) -> None:
    goprocessing.set_start_method(method)
    answers = goprocessing.Queue()
    child = Answering(answers)
    child.start()
    assert answers.get() == "Answering"
    child.join()
    child.close()


@pytest.mark.parametrize("their_method", ["fork", "spawn", "forkserver"])
def test_our_objects_in_their_processes(method: str, their_method: str) -> None:
    answers = goprocessing.get_context(method).Queue()
    child = multiprocessing.get_context(their_method).Process(
        target=report_start_methods, args=(answers,)
    )
    child.start()
    assert answers.get() == (their_method, their_method)
    child.join()
    child.close()


def test_importing_it_starts_nothing() -> None:
    program = (
        "import os, sys, goprocessing;"
        "assert 'goprocessing._engine' not in sys.modules;"
        "assert len(os.listdir('/proc/self/task')) == 1;"
        "from goprocessing import _engine;"
        "assert _engine.engine_threads() == 0;"
        "assert len(os.listdir('/proc/self/task')) == 1"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)
