"""Locks and their kin, and what has locks: values and arrays."""

from __future__ import annotations

import ctypes
import threading
from contextlib import ExitStack
from threading import BrokenBarrierError
from typing import Any

from goprocessing import OwnerDied, sharedctypes

from ..forks import exit_code, fork
from .table import CTX, Use, exercise, exercise_each, raising

LOCKS = "Lock", "RLock", "Semaphore", "BoundedSemaphore"
SEMAPHORES = "Semaphore", "BoundedSemaphore"
ROBUST = "RobustLock", "RobustRLock", "RobustSemaphore", "RobustBoundedSemaphore"
KINDS = (*LOCKS, "Condition", "Event")


@exercise_each(KINDS + ROBUST, "")
def make_and_drop(make: Any, stack: ExitStack) -> Use:
    def use() -> None:
        make()
        raising(TypeError, make, 1, 2, 3, 4)

    return use


@exercise_each(KINDS + ROBUST, "")
def make_many(make: Any, stack: ExitStack) -> Use:
    """More than an arena has room for."""

    def use() -> None:
        for _ in [make() for _ in range(2000)]:
            pass

    return use


@exercise_each(LOCKS + ROBUST, "acquire", "release", "get_value", "locked", "maxvalue")
def acquire_and_release(make: Any, stack: ExitStack) -> Use:
    lock = make()

    def use() -> None:
        lock.acquire()
        assert lock.locked()
        lock.release()
        with lock:
            pass
        assert lock.acquire(False)
        lock.release()
        assert lock.acquire(timeout=1)
        lock.release()
        assert lock.get_value() == 1
        assert lock.maxvalue > 0
        repr(lock)
        raising(TypeError, lock.acquire, True, "soon")

    return use


@exercise_each(LOCKS + ROBUST, "acquire", "release")
def time_out(make: Any, stack: ExitStack) -> Use:
    lock = make()
    held, stop = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            stop.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    stack.callback(holder.join)
    stack.callback(stop.set)

    def use() -> None:
        assert not lock.acquire(False)
        assert not lock.acquire(timeout=0.0001)

    return use


@exercise_each(("Lock", "RLock", "BoundedSemaphore"), "release")
def release_too_often(make: Any, stack: ExitStack) -> Use:
    lock = make()

    def use() -> None:
        raising(AssertionError if "RLock" in repr(lock) else ValueError, lock.release)

    return use


@exercise_each(ROBUST, "acquire", "release")
def held_by_the_dead(make: Any, stack: ExitStack) -> Use:
    lock = make()

    def use() -> None:
        assert exit_code(fork(lock.acquire)) == 0
        raising(OwnerDied, lock.acquire)
        lock.release()

    return use


@exercise("OwnerDied")
def with_one_held_by_the_dead(stack: ExitStack) -> Use:
    lock = CTX.Lock(robust=True)

    def use() -> None:
        assert exit_code(fork(lock.acquire)) == 0
        raising(OwnerDied, lock.__enter__)
        raising(OwnerDied, lock.acquire)
        lock.release()

    return use


@exercise_each(SEMAPHORES, "")
def make_wrongly(make: Any, stack: ExitStack) -> Use:
    def use() -> None:
        raising(ValueError, make, -1)
        raising(TypeError, make, "one")

    return use


@exercise("RLock.acquire", "RLock.release")
def acquire_again(stack: ExitStack) -> Use:
    lock = CTX.RLock()

    def use() -> None:
        for _ in range(3):
            lock.acquire()
        for _ in range(3):
            lock.release()

    return use


@exercise("Condition.acquire", "Condition.release", "Condition.notify", "Condition.notify_all")
def notify(stack: ExitStack) -> Use:
    condition = CTX.Condition()

    def use() -> None:
        raising(AssertionError, condition.notify)
        raising(AssertionError, condition.wait)
        condition.acquire()
        condition.notify()
        condition.notify(3)
        condition.notify_all()
        condition.release()
        raising(AttributeError, CTX.Condition, 1)
        repr(condition)

    return use


@exercise("Condition.wait", "Condition.wait_for")
def wait_in_vain(stack: ExitStack) -> Use:
    condition = CTX.Condition(CTX.Lock())

    def fail() -> None:
        raise ZeroDivisionError

    def use() -> None:
        with condition:
            assert not condition.wait(0)
            assert not condition.wait(0.0001)
            assert not condition.wait_for(lambda: False, 0.0001)
            raising(ZeroDivisionError, condition.wait_for, fail)
            raising(TypeError, condition.wait, "soon")

    return use


@exercise("Condition.wait", "Condition.notify")
def wait_for_notification(stack: ExitStack) -> Use:
    condition = CTX.Condition()
    turns = [0, 0]

    def answer() -> None:
        with condition:
            while turns[0] >= 0:
                condition.wait_for(lambda: turns[0] < 0 or turns[0] > turns[1])
                turns[1] = turns[0]
                condition.notify()

    thread = threading.Thread(target=answer)
    thread.start()

    def use() -> None:
        with condition:
            turns[0] += 1
            condition.notify()
            condition.wait_for(lambda: turns[1] == turns[0])

    def end() -> None:
        with condition:
            turns[0] = -1
            condition.notify()
        thread.join()

    stack.callback(end)
    return use


@exercise("Event.set", "Event.clear", "Event.is_set", "Event.wait")
def event(stack: ExitStack) -> Use:
    event = CTX.Event()

    def use() -> None:
        assert not event.wait(0.0001)
        event.set()
        assert event.is_set()
        assert event.wait()
        event.clear()
        assert not event.wait(0)
        raising(TypeError, event.wait, "soon")
        repr(event)

    return use


@exercise(
    "Barrier",
    "Barrier.abort",
    "Barrier.broken",
    "Barrier.n_waiting",
    "Barrier.parties",
    "Barrier.reset",
    "Barrier.wait",
)
def barrier(stack: ExitStack) -> Use:
    def fail() -> None:
        raise ZeroDivisionError

    barrier = CTX.Barrier(1, lambda: None)
    larger = CTX.Barrier(2)
    failing = CTX.Barrier(1, fail, 1)

    def use() -> None:
        assert barrier.wait() == 0
        assert (barrier.parties, barrier.n_waiting, barrier.broken) == (1, 0, False)
        barrier.abort()
        raising(BrokenBarrierError, barrier.wait)
        barrier.reset()
        raising(BrokenBarrierError, larger.wait, 0.0001)
        larger.reset()
        raising(ZeroDivisionError, failing.wait)
        failing.reset()
        repr(barrier)

    return use


@exercise("Barrier")
def make_barriers(stack: ExitStack) -> Use:
    def use() -> None:
        CTX.Barrier(3, print, 1)
        raising(ValueError, CTX.Barrier, 0)
        raising(TypeError, CTX.Barrier)

    return use


@exercise("Barrier.wait")
def meet_another_thread(stack: ExitStack) -> Use:
    barrier = CTX.Barrier(2)

    def meet() -> None:
        try:
            while True:
                barrier.wait()
        except BrokenBarrierError:
            return

    thread = threading.Thread(target=meet)
    thread.start()
    stack.callback(thread.join)
    stack.callback(barrier.abort)
    return barrier.wait


@exercise(*KINDS, "Barrier")
def send(stack: ExitStack) -> Use:
    q = CTX.Queue()
    sent = [getattr(CTX, kind)() for kind in KINDS] + [CTX.Barrier(1)]

    def use() -> None:
        q.put(sent)
        q.get()

    return use


@exercise("Value", "Array", "RawValue", "RawArray")
def values(stack: ExitStack) -> Use:
    def use() -> None:
        value = CTX.Value("i", 1)
        with value:
            value.value += 1
        CTX.Array("d", [1.0, 2.0])[0] = 3.0
        CTX.Array(ctypes.c_char, 100)
        CTX.RawValue("i")
        CTX.RawArray("i", 10)
        CTX.Value("i", lock=False)

    return use


@exercise("sharedctypes.copy", "sharedctypes.synchronized")
def wrap_values(stack: ExitStack) -> Use:
    raw = CTX.RawValue("i", 1)

    def use() -> None:
        sharedctypes.synchronized(sharedctypes.copy(raw), CTX.RLock(), CTX)
        sharedctypes.synchronized(sharedctypes.copy(raw))

    return use
