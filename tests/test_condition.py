"""Condition, over both implementations and all start methods."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing import synchronize
from typing import Any

import pytest

from .waiting import eventually, until_blocked


def wait_once(condition: Any, ready: Any, woken: Any, timeout: float | None = None) -> None:
    with condition:
        ready.release()
        notified = condition.wait(timeout)
    if notified:
        woken.release()


def wait_for_value(condition: Any, value: Any, least: int, done: Any) -> None:
    with condition:
        if condition.wait_for(lambda: value.value >= least, 60):
            done.release()


class Waiters:
    """Processes and threads that wait for a condition, and a count of those that woke."""

    def __init__(self, ctx: Any, start: Any, condition: Any = None) -> None:
        self.condition = condition or ctx.Condition()
        self.ready, self.woken = ctx.Semaphore(0), ctx.Semaphore(0)
        self._start = start
        self.processes: list[Any] = []
        self.threads: list[threading.Thread] = []

    def add(self, processes: int, threads: int, timeout: float | None = None) -> None:
        """Returns when all are inside wait(): they let go of the lock only there."""
        args = self.condition, self.ready, self.woken, timeout
        self.processes += [self._start(wait_once, *args) for _ in range(processes)]
        for _ in range(threads):
            thread = threading.Thread(target=wait_once, args=args)
            thread.start()
            self.threads.append(thread)
        for _ in range(processes + threads):
            assert self.ready.acquire(timeout=60)
        with self.condition:
            pass

    def check_woken(self, count: int) -> None:
        """So many, and not more, wake."""
        for _ in range(count):
            assert self.woken.acquire(timeout=60)
        assert self.woken.acquire(timeout=0.1) is False

    def join(self) -> None:
        for thread in self.threads:
            thread.join()
        for process in self.processes:
            process.join()


def notify(condition: Any, *args: Any) -> None:
    with condition:
        condition.notify(*args)


def notify_all(condition: Any) -> None:
    with condition:
        condition.notify_all()


def test_condition(ctx: Any) -> None:
    condition = ctx.Condition()
    assert isinstance(condition, synchronize.Condition)
    assert condition.acquire() is True
    assert condition.acquire(False) is True
    assert condition.release() is None
    condition.release()
    with condition as entered:
        assert entered is True
        assert condition.wait(0) is False
        assert condition.wait(-1) is False
        assert condition.wait(timeout=0.01) is False
        assert condition.notify() is None
        assert condition.notify_all() is None
        condition.notify(n=5)
        condition.notify(0)
        assert condition.wait(0.01) is False
    assert not condition._lock._semlock._is_mine()


def test_a_notification_wakes_one(ctx: Any, start: Any) -> None:
    waiters = Waiters(ctx, start)
    waiters.add(processes=2, threads=2)
    waiters.check_woken(0)
    for _ in range(4):
        notify(waiters.condition)
        waiters.check_woken(1)
    waiters.join()


def test_n_notifications_wake_n(ctx: Any, start: Any) -> None:
    waiters = Waiters(ctx, start)
    waiters.add(processes=3, threads=3)
    notify(waiters.condition, 2)
    waiters.check_woken(2)
    notify(waiters.condition, 3)
    waiters.check_woken(3)
    notify(waiters.condition, 1000)
    waiters.check_woken(1)
    waiters.join()


def test_notify_all(ctx: Any, start: Any) -> None:
    waiters = Waiters(ctx, start)
    waiters.add(processes=3, threads=3)
    notify_all(waiters.condition)
    waiters.check_woken(6)
    waiters.add(processes=0, threads=2)
    notify_all(waiters.condition)
    waiters.check_woken(2)
    waiters.join()


def test_notifying_from_another_process(ctx: Any, start: Any) -> None:
    condition = ctx.Condition()
    with condition:
        child = start(notify_all, condition)
        assert condition.wait(60) is True
    child.join()
    assert child.exitcode == 0


def test_those_who_timed_out_swallow_nothing(ctx: Any, start: Any) -> None:
    waiters = Waiters(ctx, start)
    waiters.add(processes=1, threads=1, timeout=0.01)
    waiters.join()
    waiters.add(processes=1, threads=1)
    notify(waiters.condition)
    waiters.check_woken(1)
    notify(waiters.condition)
    waiters.check_woken(1)
    waiters.join()


def test_wait_for(ctx: Any, start: Any) -> None:
    condition, done = ctx.Condition(), ctx.Semaphore(0)
    value = ctx.RawValue("i", 0)
    children = [start(wait_for_value, condition, value, least, done) for least in (1, 3)]
    for _ in range(3):
        with condition:
            value.value += 1
            condition.notify_all()
    for child in children:
        child.join()
    assert done.get_value() == 2
    with condition:
        assert condition.wait_for(lambda: value.value == 4, 0.05) is False


def test_the_recursion_of_the_lock_is_restored(ctx: Any, start: Any) -> None:
    condition = ctx.Condition()
    with condition, condition, condition:
        child = start(notify_all, condition)
        assert condition.wait(60) is True
        assert condition._lock._semlock._count() == 3
        assert condition.wait(0.01) is False
        assert condition._lock._semlock._count() == 3
    child.join()


def test_without_the_lock(ctx: Any) -> None:
    condition = ctx.Condition()
    with pytest.raises(AssertionError, match=r"must acquire\(\) condition before using wait\(\)"):
        condition.wait(0)
    for method in condition.notify, condition.notify_all:
        with pytest.raises(AssertionError, match="lock is not owned"):
            method()
    errors: list[str] = []

    def attempt() -> None:
        try:
            condition.notify()
        except AssertionError as error:
            errors.append(str(error))

    with condition:
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    assert errors == ["lock is not owned"]


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_a_lock_of_one_s_own(ctx: Any, start: Any, kind: str) -> None:
    lock = getattr(ctx, kind)()
    condition = ctx.Condition(lock)
    assert condition._lock is lock
    waiters = Waiters(ctx, start, condition)
    waiters.add(processes=1, threads=1)
    with lock:
        condition.notify_all()
    waiters.check_woken(2)
    waiters.join()
    assert repr(condition) == f"<Condition({lock!r}, 0)>"


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_a_lock_of_the_standard_library(
    our_ctx: Any, our_start: Any, method: str, kind: str
) -> None:
    lock = getattr(multiprocessing.get_context(method), kind)()
    waiters = Waiters(our_ctx, our_start, our_ctx.Condition(lock))
    waiters.add(processes=1, threads=1)
    with lock:
        waiters.condition.notify_all()
    waiters.check_woken(2)
    waiters.join()


def test_repr(ctx: Any, start: Any) -> None:
    condition = ctx.Condition()
    assert repr(condition) == "<Condition(<RLock(None, 0)>, 0)>"
    waiters = Waiters(ctx, start, condition)
    waiters.add(processes=1, threads=1)
    with condition:
        assert repr(condition) == "<Condition(<RLock(MainProcess, 1)>, 2)>"
        condition.notify_all()
    waiters.join()


def test_what_check_invariant_asks(ctx: Any, start: Any) -> None:
    waiters = Waiters(ctx, start)
    waiters.add(processes=1, threads=1)
    notify_all(waiters.condition)
    waiters.join()
    condition = waiters.condition
    sleepers = condition._sleeping_count.get_value() - condition._woken_count.get_value()
    assert sleepers == 0
    assert condition._wait_semaphore.get_value() == 0


def test_many_waiters(our_ctx: Any, our_start: Any) -> None:
    """More than the condition's slot has room for."""
    waiters = Waiters(our_ctx, our_start)
    waiters.add(processes=2, threads=100)
    notify(waiters.condition, 60)
    waiters.check_woken(60)
    notify_all(waiters.condition)
    waiters.check_woken(42)
    waiters.join()


def test_first_come_first_served(our_ctx: Any) -> None:
    condition, order = our_ctx.Condition(), []

    def wait(number: int) -> None:
        with condition:
            condition.wait()
            order.append(number)

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(50)]
    for number, thread in enumerate(threads):
        thread.start()
        eventually(lambda least=number + 1: condition._waiting() == least)
    for number in range(50):
        notify(condition)
        threads[number].join(60)
    assert order == list(range(50))


def test_waiting_threads_do_not_hold_up_others(our_ctx: Any) -> None:
    """Ping-pong of two threads, by the thousand."""
    condition, turn = our_ctx.Condition(our_ctx.Lock()), [0]

    def play(mine: int) -> None:
        for _ in range(1000):
            with condition:
                assert condition.wait_for(lambda: turn[0] == mine, 60)
                turn[0] = 1 - mine
                condition.notify()

    threads = [threading.Thread(target=play, args=(mine,)) for mine in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def kill(process: Any) -> None:
    process.kill()
    process.join()


def test_a_killed_waiter_swallows_no_notification(our_ctx: Any, our_start: Any) -> None:
    waiters = Waiters(our_ctx, our_start)
    waiters.add(processes=2, threads=0)
    waiters.add(processes=0, threads=1)
    for process in waiters.processes:
        kill(process)
    notify(waiters.condition)
    waiters.check_woken(1)
    waiters.join()
    assert waiters.condition._waiting() == 0


def test_a_waiter_killed_when_notified_passes_it_on(our_ctx: Any, our_start: Any) -> None:
    """Killed while it waits for the lock: the next finds out within about a second."""
    waiters = Waiters(our_ctx, our_start)
    waiters.add(processes=1, threads=0)
    waiters.add(processes=1, threads=1)
    with waiters.condition:
        waiters.condition.notify()
        until_blocked(waiters.processes[0].pid)
        kill(waiters.processes[0])
    waiters.check_woken(1)
    notify(waiters.condition)
    waiters.check_woken(1)
    waiters.join()


def test_killed_waiters_do_not_hold_up_notify_all(our_ctx: Any, our_start: Any) -> None:
    waiters = Waiters(our_ctx, our_start)
    waiters.add(processes=3, threads=2)
    for process in waiters.processes[:2]:
        os.kill(process.pid, signal.SIGKILL)
    notify_all(waiters.condition)
    waiters.check_woken(3)
    waiters.join()


def test_an_interrupted_wait_has_the_lock(ctx: Any) -> None:
    class Interrupt(Exception):
        pass

    def interrupt(*_: Any) -> None:
        raise Interrupt

    condition = ctx.Condition()
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with condition, condition:
            with pytest.raises(Interrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                condition.wait(60)
            assert condition._lock._semlock._count() == 2
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not condition._lock._semlock._is_mine()


def test_an_interrupted_waiter_swallows_no_notification(our_ctx: Any, our_start: Any) -> None:
    """Notified and interrupted at once, it gives the notification to the next."""
    waiters = Waiters(our_ctx, our_start)

    def handle(*_: Any) -> None:
        # The lock is free, and the main thread the first in the line.
        notify(waiters.condition)
        raise InterruptedError

    before = signal.signal(signal.SIGALRM, handle)
    try:
        with waiters.condition:
            thread = threading.Thread(target=interrupt_main, args=(waiters, 2))
            thread.start()
            with pytest.raises(InterruptedError):
                waiters.condition.wait()
        thread.join()
    finally:
        signal.signal(signal.SIGALRM, before)
    waiters.check_woken(1)
    notify(waiters.condition)
    waiters.check_woken(1)
    waiters.join()


def interrupt_main(waiters: Waiters, count: int) -> None:
    waiters.add(processes=1, threads=count - 1)
    assert waiters.condition._waiting() == count + 1
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)


def test_a_timeout_lasts(ctx: Any) -> None:
    condition = ctx.Condition()
    begin = time.monotonic()
    with condition:
        assert condition.wait(0.1) is False
    assert time.monotonic() - begin >= 0.1


def test_in_a_running_process(our_ctx: Any, our_start: Any) -> None:
    ours, theirs = our_ctx.Pipe()
    child = our_start(receive_condition, theirs)
    condition = our_ctx.Condition()
    with condition:
        ours.send(condition)
        assert condition.wait(60) is True
    child.join()
    assert child.exitcode == 0


def receive_condition(connection: Any) -> None:
    notify_all(connection.recv())


def test_arguments(ctx: Any) -> None:
    condition = ctx.Condition()
    calls: list[Callable[[], Any]] = [
        lambda: condition.wait("soon"),
        lambda: condition.wait(1, 2),
        lambda: condition.notify("one"),
    ]
    with condition:
        for call in calls:
            with pytest.raises(TypeError):
                call()
    assert not condition._lock._semlock._is_mine()
