"""Lock, Semaphore, BoundedSemaphore and Event, over both implementations and all start methods."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest

from .waiting import eventually, until_blocked


def add(lock: Any, total: Any, times: int) -> None:
    for _ in range(times):
        with lock:
            total.value += 1


def acquire_then_set(semaphore: Any, event: Any) -> None:
    semaphore.acquire()
    event.set()


def release(semaphore: Any) -> None:
    semaphore.release()


def wait_and_count(event: Any, count: Any) -> None:
    if event.wait():
        count.release()


def set_event(event: Any) -> None:
    event.set()


def test_lock(ctx: Any) -> None:
    lock = ctx.Lock()
    assert lock.acquire() is True
    assert lock.acquire(False) is False
    assert lock.acquire(block=False) is False
    assert lock.acquire(True, 0.01) is False
    assert lock.acquire(timeout=-1) is False
    assert lock.release() is None
    assert lock.acquire(block=True, timeout=60) is True
    lock.release()
    with pytest.raises(ValueError, match="released too many times"):
        lock.release()
    with lock as entered:
        assert entered is True
        assert lock.acquire(False) is False
    assert lock.acquire(False) is True


def test_a_lock_excludes(ctx: Any, start: Any) -> None:
    lock = ctx.Lock()
    total = ctx.RawValue("i", 0)
    children = [start(add, lock, total, 2000) for _ in range(3)]
    add(lock, total, 2000)
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert total.value == 8000


def test_a_lock_excludes_threads(ctx: Any) -> None:
    lock = ctx.Lock()
    total = ctx.RawValue("i", 0)
    threads = [threading.Thread(target=add, args=(lock, total, 2000)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total.value == 8000


def test_another_process_may_release(ctx: Any, start: Any) -> None:
    lock = ctx.Lock()
    lock.acquire()
    child = start(release, lock)
    assert lock.acquire(timeout=60)
    child.join()
    assert child.exitcode == 0


def test_release_wakes_a_blocked_acquire(ctx: Any, start: Any) -> None:
    lock, event = ctx.Lock(), ctx.Event()
    lock.acquire()
    child = start(acquire_then_set, lock, event)
    until_blocked(child.pid)
    assert not event.is_set()
    lock.release()
    assert event.wait(60)
    child.join()
    assert lock.acquire(False) is False


def test_each_release_wakes_one(ctx: Any, start: Any) -> None:
    semaphore = ctx.Semaphore(0)
    events = [ctx.Event() for _ in range(3)]
    children = [start(acquire_then_set, semaphore, event) for event in events]
    for child in children:
        until_blocked(child.pid)
    for woken in range(1, 4):
        semaphore.release()
        eventually(lambda count=woken: count_set(events) >= count)
        assert count_set(events) == woken
    for child in children:
        child.join()
    assert semaphore.get_value() == 0


def count_set(events: list[Any]) -> int:
    return sum(event.is_set() for event in events)


def test_semaphore(ctx: Any) -> None:
    semaphore = ctx.Semaphore(2)
    assert semaphore.get_value() == 2
    assert semaphore.acquire() is True
    assert semaphore.acquire(False) is True
    assert semaphore.get_value() == 0
    assert semaphore.acquire(False) is False
    assert semaphore.acquire(True, 0.01) is False
    for value in range(1, 5):
        semaphore.release()
        assert semaphore.get_value() == value
    with semaphore:
        assert semaphore.get_value() == 3
    assert ctx.Semaphore().get_value() == 1
    assert ctx.Semaphore(0).acquire(False) is False
    assert ctx.Semaphore(2**31 - 1).acquire(False) is True


def test_bounded_semaphore(ctx: Any) -> None:
    semaphore = ctx.BoundedSemaphore(2)
    with pytest.raises(ValueError, match="released too many times"):
        semaphore.release()
    semaphore.acquire()
    semaphore.acquire()
    assert semaphore.acquire(False) is False
    semaphore.release()
    semaphore.release()
    with pytest.raises(ValueError, match="released too many times"):
        semaphore.release()
    assert semaphore.get_value() == 2
    assert ctx.BoundedSemaphore().get_value() == 1
    assert ctx.BoundedSemaphore(0).acquire(False) is False


def test_a_semaphore_in_other_processes(ctx: Any, start: Any) -> None:
    semaphore = ctx.Semaphore(0)
    for child in [start(release, semaphore) for _ in range(3)]:
        child.join()
        assert child.exitcode == 0
    assert semaphore.get_value() == 3


def test_a_timeout_lasts(ctx: Any) -> None:
    semaphore, event = ctx.Semaphore(0), ctx.Event()
    for wait in (lambda: semaphore.acquire(True, 0.1), lambda: event.wait(0.1)):
        begin = time.monotonic()
        assert wait() is False
        assert time.monotonic() - begin >= 0.1


def test_event(ctx: Any) -> None:
    event = ctx.Event()
    assert event.is_set() is False
    assert event.wait(0) is False
    assert event.wait(-1) is False
    assert event.wait(0.01) is False
    event.set()
    event.set()
    assert event.is_set() is True
    assert event.wait() is True
    assert event.wait(0) is True
    assert event.wait(timeout=60) is True
    event.clear()
    event.clear()
    assert event.is_set() is False
    assert event.wait(0) is False


def test_an_event_of_another_process(ctx: Any, start: Any) -> None:
    event = ctx.Event()
    child = start(set_event, event)
    assert event.wait(60) is True
    child.join()


def test_set_wakes_all(ctx: Any, start: Any) -> None:
    event, count = ctx.Event(), ctx.Semaphore(0)
    children = [start(wait_and_count, event, count) for _ in range(3)]
    for child in children:
        until_blocked(child.pid)
    event.set()
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert count.get_value() == 3


def test_reprs(ctx: Any) -> None:
    assert repr(ctx.Semaphore(3)) == "<Semaphore(value=3)>"
    assert repr(ctx.BoundedSemaphore(3)) == "<BoundedSemaphore(value=3, maxvalue=3)>"
    event = ctx.Event()
    assert repr(event) == f"<Event at {id(event):#x} unset>"
    event.set()
    assert repr(event) == f"<Event at {id(event):#x} set>"


def test_a_value_has_a_lock(ctx: Any, start: Any) -> None:
    value = ctx.Value("i", 0)
    for child in [start(increment, value) for _ in range(3)]:
        child.join()
    assert value.value == 300


def increment(value: Any) -> None:
    for _ in range(100):
        with value.get_lock():
            value.value += 1


def test_many_objects_to_one_process(ctx: Any, start: Any) -> None:
    locks = [ctx.Lock() for _ in range(20)]
    events = [ctx.Event() for _ in range(20)]
    child = start(use_all, locks, events)
    for event in events:
        assert event.wait(60)
    child.join()
    assert child.exitcode == 0
    assert not any(lock.acquire(False) for lock in locks)


def use_all(locks: Any, events: Any) -> None:
    for lock in locks:
        lock.acquire()
    for event in events:
        event.set()


def test_waiting_releases_the_interpreter_lock(ctx: Any) -> None:
    lock, event = ctx.Lock(), ctx.Event()
    lock.acquire()
    threads = [threading.Thread(target=wait) for wait in (lock.acquire, event.wait)]
    for thread in threads:
        thread.start()
    for thread in threads:
        until_blocked(os.getpid(), thread.native_id)
    lock.release()
    event.set()
    for thread in threads:
        thread.join()
