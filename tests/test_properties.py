"""Random operations against naive references; HYPOTHESIS_PROFILE=long looks much longer."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import goprocessing
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
SETTINGS = settings(
    max_examples=2000 if LONG else 15,
    stateful_step_count=200 if LONG else 30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

OBJECTS = st.one_of(
    st.integers(),
    st.text(max_size=30),
    st.binary(max_size=100),
    st.integers(2000, 200_000).map(bytes),
    st.lists(st.floats(allow_nan=False), max_size=5),
)


@contextmanager
def as_reference(reference: Any, *args: Any) -> Iterator[Any]:
    """Yields a call of the reference; what is done meanwhile has to raise what that raised."""
    try:
        expected = reference(*args)
    except Exception as error:
        with pytest.raises(type(error)):
            yield None
    else:
        yield expected


class QueueMachine(RuleBasedStateMachine):
    """A JoinableQueue beside a queue.Queue."""

    @initialize(maxsize=st.sampled_from([0, 1, 3]))
    def create(self, maxsize: int) -> None:
        self.ours = goprocessing.JoinableQueue(maxsize)
        self.reference: queue.Queue[Any] = queue.Queue(maxsize)

    @rule(obj=OBJECTS)
    def put(self, obj: object) -> None:
        with as_reference(self.reference.put_nowait, obj):
            self.ours.put_nowait(obj)

    @rule(obj=OBJECTS)
    def put_in_vain(self, obj: object) -> None:
        if self.reference.full():
            with pytest.raises(queue.Full):
                self.ours.put(obj, timeout=0.0001)

    @rule()
    def get(self) -> None:
        with as_reference(self.reference.get_nowait) as expected:
            assert self.ours.get_nowait() == expected

    @rule(objects=st.lists(OBJECTS, max_size=8))
    def put_many(self, objects: list[object]) -> None:
        maxsize = self.reference.maxsize
        if maxsize and self.reference.qsize() + len(objects) > maxsize:
            return  # how many are put is then for the standard library to wonder
        self.ours.put_many(objects, block=False)
        for obj in objects:
            self.reference.put_nowait(obj)

    @precondition(lambda self: not self.reference.empty())
    @rule(most=st.one_of(st.none(), st.integers(1, 10)))
    def get_many(self, most: int | None) -> None:
        got = self.ours.get_many(most, block=False)
        assert 1 <= len(got) <= (most or len(got))
        assert got == [self.reference.get_nowait() for _ in got]

    @rule()
    def task_done(self) -> None:
        with as_reference(self.reference.task_done):
            self.ours.task_done()

    @precondition(lambda self: self.reference.unfinished_tasks == 0)
    @rule()
    def join(self) -> None:
        self.ours.join()

    @rule()
    def ask(self) -> None:
        assert self.ours.qsize() == self.reference.qsize()
        assert self.ours.empty() == self.reference.empty()
        assert self.ours.full() == self.reference.full()

    def teardown(self) -> None:
        if hasattr(self, "ours"):
            self.ours.close()


class PipeMachine(RuleBasedStateMachine):
    """A duplex Pipe beside two deques."""

    ends = st.integers(0, 1)

    @initialize()
    def create(self) -> None:
        self.connections = goprocessing.Pipe()
        self.toward: tuple[deque[object], deque[object]] = (deque(), deque())

    def teardown(self) -> None:
        for connection in getattr(self, "connections", ()):
            connection.close()

    @rule(end=ends, obj=OBJECTS)
    def send(self, end: int, obj: object) -> None:
        if len(self.toward[1 - end]) < 2:  # more may not fit
            self.connections[end].send(obj)
            self.toward[1 - end].append(obj)

    @rule(end=ends, data=st.binary(max_size=5000), offset=st.integers(0, 10))
    def send_bytes(self, end: int, data: bytes, offset: int) -> None:
        if len(self.toward[1 - end]) < 2 and offset <= len(data):
            # As the pickle that recv is to find.
            self.connections[end].send(data[offset:])
            self.toward[1 - end].append(data[offset:])

    @rule(end=ends)
    def receive(self, end: int) -> None:
        assert self.connections[end].poll() == bool(self.toward[end])
        if self.toward[end]:
            assert self.connections[end].recv() == self.toward[end].popleft()


class LockMachine(RuleBasedStateMachine):
    """Locks, semaphores and an event beside those of threading."""

    @initialize(value=st.integers(0, 3))
    def create(self, value: int) -> None:
        self.pairs: list[tuple[Any, Any]] = [
            (goprocessing.Lock(), threading.Lock()),
            (goprocessing.RLock(), threading.RLock()),
            (goprocessing.Semaphore(value), threading.Semaphore(value)),
            (goprocessing.BoundedSemaphore(value), threading.BoundedSemaphore(value)),
        ]
        self.event, self.reference = goprocessing.Event(), threading.Event()

    which = st.integers(0, 3)

    @rule(which=which, wait=st.booleans())
    def acquire(self, which: int, wait: bool) -> None:
        ours, reference = self.pairs[which]
        timeout = {"timeout": 0.0001} if wait else {}
        assert ours.acquire(wait, **timeout) == reference.acquire(wait, **timeout)

    @rule(which=which)
    def release(self, which: int) -> None:
        ours, reference = self.pairs[which]
        try:
            reference.release()
        except (RuntimeError, ValueError):
            # multiprocessing's own types: AssertionError for an RLock.
            with pytest.raises((RuntimeError, ValueError, AssertionError)):
                ours.release()
        else:
            ours.release()

    @rule()
    def set(self) -> None:
        self.event.set()
        self.reference.set()

    @rule()
    def clear(self) -> None:
        self.event.clear()
        self.reference.clear()

    @rule()
    def wait(self) -> None:
        assert self.event.wait(0.0001) == self.reference.wait(0)
        assert self.event.is_set() == self.reference.is_set()


class ConditionMachine(RuleBasedStateMachine):
    """A Condition in one thread, where nobody waits: what is refused, and what times out."""

    @initialize()
    def create(self) -> None:
        self.ours, self.reference = goprocessing.Condition(), threading.Condition()
        self.depth = 0

    @rule()
    def acquire(self) -> None:
        assert self.ours.acquire(False) and self.reference.acquire(False)
        self.depth += 1

    @rule()
    def release(self) -> None:
        if self.depth:
            self.ours.release()
            self.reference.release()
            self.depth -= 1
        else:
            with pytest.raises((RuntimeError, AssertionError)):
                self.ours.release()

    @rule(n=st.integers(1, 3))
    def notify(self, n: int) -> None:
        if self.depth:
            self.ours.notify(n)
        else:
            with pytest.raises((RuntimeError, AssertionError)):
                self.ours.notify(n)

    @rule()
    def wait(self) -> None:
        if self.depth:
            assert self.ours.wait(0.0001) is False
        else:
            with pytest.raises((RuntimeError, AssertionError)):
                self.ours.wait(0.0001)


@pytest.mark.parametrize("machine", [QueueMachine, PipeMachine, LockMachine, ConditionMachine])
def test_properties(machine: type[RuleBasedStateMachine]) -> None:
    case = machine.TestCase
    case.settings = SETTINGS
    case("runTest").debug()
