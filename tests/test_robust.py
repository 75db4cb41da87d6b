"""Locks and semaphores whose holder is killed: robust=True."""

from __future__ import annotations

import os
import pickle
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import goprocessing
import pytest
from goprocessing import OwnerDied, synchronize

from .conftest import starter
from .forks import descend
from .waiting import LIMIT, eventually, until_blocked

# BoundedSemaphore is the same as Semaphore.
KINDS = {
    "Lock": lambda ctx: ctx.Lock(robust=True),
    "RLock": lambda ctx: ctx.RLock(robust=True),
    "Semaphore": lambda ctx: ctx.Semaphore(1, robust=True),
}


@pytest.fixture(params=("fork", "spawn"))
def method(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=KINDS)
def lock(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param](goprocessing)


@pytest.fixture
def fork() -> Iterator[Callable[..., Any]]:
    """Starts processes where the start method does not matter."""
    with starter(goprocessing.get_context("fork")) as run:
        yield run


def hold(connection: Any, *locks: Any) -> None:
    """Acquires locks, tells how that went, and is killed."""
    connection.send([attempt(lock.acquire) for lock in locks])
    connection.recv()


def attempt(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return type(error)


def kill(process: Any) -> None:
    process.kill()
    process.join()


def die_with(start: Any, *locks: Any) -> None:
    """Has a process acquire the locks and die."""
    ours, theirs = goprocessing.Pipe()
    process = start(hold, theirs, *locks)
    ours.recv()
    kill(process)


def is_free(lock: Any) -> bool:
    """Whether the lock is free, and marked by no death."""
    return lock.acquire(False) is True and lock.release() is None


def test_the_next_is_told(lock: Any, our_ctx: Any, our_start: Any) -> None:
    ours, theirs = our_ctx.Pipe()
    child = our_start(hold, theirs, lock)
    assert ours.recv() == [True]
    assert lock.locked()
    assert not lock._is_mine()
    assert lock.acquire(False) is False
    assert lock.acquire(timeout=0.01) is False
    kill(child)
    with pytest.raises(OwnerDied, match="died that held the lock"):
        lock.acquire()
    assert lock.locked()
    assert lock._is_mine()
    assert lock._count() == 1
    lock.release()
    assert is_free(lock)


def test_one_who_sleeps_is_told(lock: Any, fork: Any) -> None:
    ours, theirs = goprocessing.Pipe()
    holder = fork(hold, theirs, lock)
    assert ours.recv() == [True]
    waiter = fork(hold, theirs, lock)
    until_blocked(waiter.pid)
    kill(holder)
    assert ours.recv() == [OwnerDied]


def test_without_waiting(lock: Any, fork: Any) -> None:
    die_with(fork, lock)
    eventually(lambda: attempt(lambda: lock.acquire(False)) is OwnerDied)
    lock.release()
    assert is_free(lock)
    die_with(fork, lock)
    with pytest.raises(OwnerDied):
        lock.acquire(timeout=LIMIT)
    lock.release()


def test_a_with_statement_leaves_the_mark(lock: Any, fork: Any) -> None:
    die_with(fork, lock)
    for _ in range(3):
        with pytest.raises(OwnerDied), lock:
            pytest.fail("the body ran")
        assert not lock.locked()
    with pytest.raises(OwnerDied):
        lock.acquire()
    lock.release()
    with lock as entered:
        assert entered is True
    assert is_free(lock)


def test_a_with_statement_that_ends_by_owner_died_leaves_the_mark(lock: Any, fork: Any) -> None:
    die_with(fork, lock)
    with pytest.raises(OwnerDied):
        lock.acquire()
    with pytest.raises(OwnerDied):
        try:
            raise OwnerDied
        except OwnerDied as died:
            lock.__exit__(type(died), died, died.__traceback__)
            raise
    assert attempt(lock.acquire) is OwnerDied
    with pytest.raises(KeyError):
        try:
            raise KeyError
        except KeyError as error:
            lock.__exit__(type(error), error, error.__traceback__)
            raise
    assert is_free(lock)


def test_owner_died_of_another_lock_marks_nothing(lock: Any) -> None:
    with pytest.raises(OwnerDied), lock:
        raise OwnerDied
    assert is_free(lock)


def test_one_who_was_told_and_dies(lock: Any, fork: Any) -> None:
    die_with(fork, lock)
    ours, theirs = goprocessing.Pipe()
    child = fork(hold, theirs, lock)
    assert ours.recv() == [OwnerDied]
    kill(child)
    assert attempt(lock.acquire) is OwnerDied
    lock.release()
    assert is_free(lock)


def test_released_by_another(lock: Any, fork: Any) -> None:
    expected = AssertionError if isinstance(lock, synchronize.RLock) else ValueError
    with pytest.raises(expected):
        lock.release()
    ours, theirs = goprocessing.Pipe()
    fork(hold, theirs, lock)
    assert ours.recv() == [True]
    with pytest.raises(expected):
        lock.release()
    assert lock.locked()


def test_a_fork_copies_nothing(lock: Any) -> None:
    lock.acquire()

    def look() -> None:
        assert not lock._is_mine()
        assert lock.acquire(False) is False
        assert attempt(lock.release) in (ValueError, AssertionError)

    assert descend(look, look) == 0
    lock.release()
    assert is_free(lock)


def test_between_threads(lock: Any) -> None:
    """The holder is the process; only an RLock belongs to a thread."""
    results: list[Any] = []

    def use() -> None:
        results.append((lock.acquire(False), attempt(lock.release)))

    assert lock.acquire() is True
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    recursive = isinstance(lock, synchronize.RLock)
    assert results == [(False, AssertionError if recursive else None)]
    assert lock.locked() is recursive


def test_a_lock_is_not_recursive() -> None:
    lock = goprocessing.Lock(robust=True)
    with lock:
        assert lock.acquire(False) is False
        assert lock.acquire(timeout=0.01) is False
    assert is_free(lock)


def test_an_rlock_is_recursive(fork: Any) -> None:
    lock = goprocessing.RLock(robust=True)
    die_with(fork, lock)
    assert attempt(lock.acquire) is OwnerDied
    with lock:
        assert lock.acquire(False) is True
        assert lock._count() == 3
        assert repr(lock) == "<RobustRLock(MainProcess, 3)>"
        lock.release()
    lock.release()
    assert is_free(lock)


@pytest.mark.parametrize("kind", ["Semaphore", "BoundedSemaphore"])
def test_permits(fork: Any, kind: str) -> None:
    semaphore = getattr(goprocessing, kind)(3, robust=True)
    assert semaphore.get_value() == 3
    die_with(fork, semaphore, semaphore)
    assert semaphore.get_value() == 1
    assert [attempt(semaphore.acquire) for _ in range(3)].count(OwnerDied) == 2
    assert semaphore.acquire(False) is False
    for _ in range(3):
        semaphore.release()
    with pytest.raises(ValueError, match="more often"):
        semaphore.release()
    assert [semaphore.acquire(False) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("value", [-1, 0, 16385])
def test_numbers_of_permits(value: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 16384"):
        goprocessing.Semaphore(value, robust=True)


def test_many_permits(fork: Any) -> None:
    semaphore = goprocessing.Semaphore(1000, robust=True)
    die_with(fork, *[semaphore] * 1000)
    assert [attempt(semaphore.acquire) for _ in range(1000)] == [OwnerDied] * 1000


def test_what_it_is(lock: Any) -> None:
    name = type(lock).__name__.removeprefix("Robust")
    assert isinstance(lock, getattr(synchronize, name))
    assert isinstance(lock, getattr(goprocessing.synchronize, name))
    assert not isinstance(getattr(goprocessing, name)(), type(lock))
    assert not isinstance(getattr(goprocessing, name)(robust=False), type(lock))
    assert goprocessing.synchronize.OwnerDied is OwnerDied
    assert issubclass(OwnerDied, RuntimeError)
    assert type(pickle.loads(pickle.dumps(OwnerDied("text")))) is OwnerDied


def test_in_a_running_process(lock: Any, our_ctx: Any, our_start: Any) -> None:
    ours, theirs = our_ctx.Pipe()
    child = our_start(hold_received, theirs)
    lock.name = "mine"
    ours.send(lock)
    assert ours.recv() == "mine"
    assert lock.acquire(False) is False
    kill(child)
    assert attempt(lock.acquire) is OwnerDied


def hold_received(connection: Any) -> None:
    lock = connection.recv()
    assert lock.acquire()
    connection.send(lock.name)
    connection.recv()


def test_a_signal_handler_ends_a_wait(lock: Any, fork: Any) -> None:
    ours, theirs = goprocessing.Pipe()
    fork(hold, theirs, lock)
    ours.recv()

    def handle(*_: object) -> None:
        raise InterruptedError("handled")

    before = signal.signal(signal.SIGALRM, handle)
    try:
        with pytest.raises(InterruptedError, match="handled"):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            lock.acquire()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def handle_by_owner_died(*_: object) -> None:
    raise OwnerDied("of another lock")


def test_owner_died_from_a_signal_handler(lock: Any) -> None:
    """It does not say that the lock was acquired, which another thread has."""
    taken, over = threading.Event(), threading.Event()

    def use() -> None:
        with lock:
            taken.set()
            over.wait(LIMIT)

    thread = threading.Thread(target=use)
    thread.start()
    assert taken.wait(LIMIT)
    before = signal.signal(signal.SIGALRM, handle_by_owner_died)
    try:
        with pytest.raises(OwnerDied, match="of another lock"):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with lock:
                pytest.fail("the body ran")
        assert lock.locked()
    finally:
        signal.signal(signal.SIGALRM, before)
        over.set()
        thread.join()
    assert is_free(lock)


def test_owner_died_from_a_signal_handler_during_get(fork: Any) -> None:
    queue = goprocessing.SimpleQueue()
    ours, theirs = goprocessing.Pipe()
    fork(hold, theirs, queue._rlock)
    ours.recv()
    before = signal.signal(signal.SIGALRM, handle_by_owner_died)
    queue.put(1)
    try:
        with pytest.raises(OwnerDied, match="of another lock"):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            queue.get()
    finally:
        signal.signal(signal.SIGALRM, before)


# ---- conditions ----


def wait_and_tell(condition: Any, connection: Any) -> None:
    with condition:
        connection.send("waits")
        try:
            connection.send(condition.wait(LIMIT))
        except OwnerDied:
            connection.send((OwnerDied, condition._lock._count()))


def notify_and_die(condition: Any) -> None:
    condition.acquire()
    condition.notify()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_a_condition_tells_one_who_waits(fork: Any, kind: str) -> None:
    """Who raises has the lock; the notification goes on to the next."""
    condition = goprocessing.Condition(getattr(goprocessing, kind)(robust=True))
    ours, theirs = goprocessing.Pipe()
    for waiting in 1, 2:
        fork(wait_and_tell, condition, theirs)
        assert ours.recv() == "waits"
        eventually(lambda n=waiting: condition._waiting() == n)  # type: ignore[misc]
    fork(notify_and_die, condition).join()
    assert ours.recv() == (OwnerDied, 1)
    assert ours.recv() is True
    with condition:
        condition.notify_all()


def test_a_condition_restores_how_often_a_lock_was_acquired(fork: Any) -> None:
    condition = goprocessing.Condition(goprocessing.RLock(robust=True))
    for _ in range(3):
        condition.acquire()
    dying = fork(notify_and_die, condition)
    with pytest.raises(OwnerDied):
        condition.wait()
    dying.join()
    assert condition._lock._count() == 3
    for _ in range(3):
        condition.release()
    with condition:
        assert condition.wait(0.001) is False


class AlarmedLock(synchronize.RobustRLock):
    alarmed = False

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        if self.alarmed:
            self.alarmed = False
            signal.setitimer(signal.ITIMER_REAL, 0.05)
        return super().acquire(block, timeout)


def notify_and_hold(condition: Any, connection: Any) -> None:
    with condition:
        condition.notify()
        connection.recv()


def test_owner_died_from_a_signal_handler_as_a_condition_takes_its_lock(fork: Any) -> None:
    """That is of another lock: this one was not acquired."""
    condition = goprocessing.Condition(AlarmedLock())
    ours, theirs = goprocessing.Pipe()
    for _ in range(3):
        condition.acquire()
    holder = fork(notify_and_hold, condition, theirs)
    before = signal.signal(signal.SIGALRM, handle_by_owner_died)
    condition._lock.alarmed = True
    try:
        with pytest.raises(OwnerDied, match="of another lock"):
            condition.wait()
    finally:
        signal.signal(signal.SIGALRM, before)
        ours.send("release it")
    holder.join()
    assert condition._lock._count() == 0


def test_a_condition_whose_lock_is_marked(fork: Any) -> None:
    condition = goprocessing.Condition(goprocessing.Lock(robust=True))
    fork(notify_and_die, condition).join()
    for _ in range(2):
        with pytest.raises(OwnerDied), condition:
            pytest.fail("the body ran")
    with pytest.raises(OwnerDied):
        condition.acquire()
    condition.release()
    with condition:
        condition.notify()


# ---- killed at random ----


def work(lock: Any, journal: Any, ready: Any) -> None:
    """Writes two numbers that are the same whenever nobody is at work."""
    ready.set()
    while True:
        try:
            lock.acquire()
        except OwnerDied:
            journal[2] += 1
        else:
            assert journal[0] == journal[1], list(journal)
        journal[1] = journal[0] = journal[0] + 1
        lock.release()


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_random(kind: str) -> None:
    ctx = goprocessing.get_context("fork")
    lock = KINDS[kind](ctx)
    journal = ctx.RawArray("q", 3)
    kills = 12

    with starter(ctx) as start:

        def replace() -> Any:
            ready = ctx.Event()
            process = start(work, lock, journal, ready)
            assert ready.wait(LIMIT)
            return process

        running = [replace() for _ in range(2)]
        for i in range(kills):
            done = journal[0]
            eventually(lambda done=done: journal[0] > done + 10)  # type: ignore[misc]
            time.sleep(random.random() / 500)
            kill(running[i % 2])
            assert running[i % 2].exitcode == -signal.SIGKILL
            running[i % 2] = replace()
        for process in running:
            kill(process)
            assert process.exitcode == -signal.SIGKILL
    if attempt(lock.acquire) is True:
        assert journal[0] == journal[1]
    lock.release()
    assert is_free(lock)
    assert journal[2] <= kills + len(running)
