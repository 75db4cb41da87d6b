"""RLock, and who owns a Lock, over both implementations and all start methods."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable
from multiprocessing import synchronize
from typing import Any

import pytest

from .forks import descend
from .waiting import until_blocked


def in_thread(function: Callable[[], Any], name: str = "another") -> Any:
    """What the function returns in a thread of that name."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()), name=name)
    thread.start()
    thread.join()
    return results[0]


def describe(connection: Any, *locks: Any) -> None:
    connection.send([(repr(lock), lock.acquire(False)) for lock in locks])


def acquire_and_tell(lock: Any, connection: Any) -> None:
    with lock:
        connection.send("acquired")
        connection.recv()


def attempt(function: Callable[[], Any]) -> str:
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "done"


NOT_OWNED = "AssertionError: attempt to release recursive lock not owned by thread"


def test_rlock(ctx: Any) -> None:
    lock = ctx.RLock()
    assert isinstance(lock, synchronize.RLock)
    for _ in range(3):
        assert lock.acquire() is True
    assert lock.acquire(False) is True
    assert lock.acquire(timeout=0.01) is True
    with lock as entered:
        assert entered is True
    for _ in range(5):
        assert in_thread(lambda: lock.acquire(False)) is False
        assert in_thread(lambda: lock.acquire(True, 0.01)) is False
        assert in_thread(lambda: attempt(lock.release)) == NOT_OWNED
        assert lock.release() is None
    assert attempt(lock.release) == NOT_OWNED
    assert in_thread(lambda: lock.acquire(False) and lock.release() is None)


def test_release_lets_another_thread_in(ctx: Any) -> None:
    lock = ctx.RLock()
    entered = threading.Event()

    def enter() -> None:
        with lock, lock:
            entered.set()

    thread = threading.Thread(target=enter)
    with lock:
        with lock:
            thread.start()
            assert thread.native_id is not None
            until_blocked(os.getpid(), thread.native_id)
        assert not entered.is_set()
    thread.join()
    assert entered.is_set()


def count_up(lock: Any, total: Any, times: int) -> None:
    for _ in range(times):
        with lock, lock:
            total.value += 1


def test_an_rlock_excludes(ctx: Any, start: Any) -> None:
    lock, total = ctx.RLock(), ctx.RawValue("i", 0)
    children = [start(count_up, lock, total, 2000) for _ in range(2)]
    threads = [threading.Thread(target=count_up, args=(lock, total, 2000)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for worker in children + threads:
        worker.join()
    assert total.value == 8000


def test_owners_in_this_process(ctx: Any) -> None:
    lock, rlock = ctx.Lock(), ctx.RLock()
    assert repr(lock) == "<Lock(owner=None)>"
    assert repr(rlock) == "<RLock(None, 0)>"
    lock.acquire()
    rlock.acquire()
    rlock.acquire()
    assert repr(lock) == "<Lock(owner=MainProcess)>"
    assert repr(rlock) == "<RLock(MainProcess, 2)>"
    assert in_thread(lambda: repr(lock)) == "<Lock(owner=SomeOtherThread)>"
    assert in_thread(lambda: repr(rlock)) == "<RLock(SomeOtherThread, nonzero)>"
    lock.release()
    rlock.release()
    rlock.release()

    def acquire() -> tuple[str, str]:
        lock.acquire()
        rlock.acquire()
        return repr(lock), repr(rlock)

    assert in_thread(acquire, "T") == ("<Lock(owner=MainProcess|T)>", "<RLock(MainProcess|T, 1)>")


def test_owners_in_another_process(ctx: Any, start: Any) -> None:
    lock, rlock = ctx.Lock(), ctx.RLock()
    ours, theirs = ctx.Pipe()
    lock.acquire()
    rlock.acquire()
    start(describe, theirs, lock, rlock)
    assert ours.recv() == [
        ("<Lock(owner=SomeOtherProcess)>", False),
        ("<RLock(SomeOtherProcess, nonzero)>", False),
    ]


def test_a_fork_copies_no_ownership(our_ctx: Any) -> None:
    lock, rlock = our_ctx.Lock(), our_ctx.RLock()
    lock.acquire()
    rlock.acquire()

    def look() -> None:
        assert not lock._semlock._is_mine()
        assert not rlock._semlock._is_mine()
        assert rlock.acquire(False) is False
        assert attempt(rlock.release) == NOT_OWNED

    assert descend(look) == 0
    assert rlock.acquire(False) is True


def test_what_the_standard_library_asks(ctx: Any) -> None:
    lock, rlock = ctx.Lock(), ctx.RLock()
    for _ in range(2):
        for obj, depth in (lock, 1), (rlock, 2):
            semlock = obj._semlock
            assert (semlock._is_mine(), semlock._count(), semlock._is_zero()) == (False, 0, False)
            assert semlock._get_value() == 1
            for _ in range(depth):
                assert obj.acquire()
            assert (semlock._is_mine(), semlock._count(), semlock._is_zero()) == (True, depth, True)
            assert semlock._get_value() == 0
            assert in_thread(semlock._is_mine) is False
            for _ in range(depth):
                obj.release()
    assert lock._semlock.maxvalue == 1


def test_a_lock_is_its_last_owner_s(our_ctx: Any) -> None:
    """It knows that another thread has released it, and that another has acquired it."""
    lock = our_ctx.Lock()
    lock.acquire()
    in_thread(lock.release)
    assert not lock._is_mine()
    assert in_thread(lock.acquire)
    assert not lock._is_mine()
    assert repr(lock) == "<Lock(owner=SomeOtherThread)>"


def test_locked(our_ctx: Any) -> None:
    lock, rlock = our_ctx.Lock(), our_ctx.RLock()
    for obj in lock, rlock:
        assert obj.locked() is False
        with obj:
            assert obj.locked() is True
            assert in_thread(obj.locked) is True
        assert obj.locked() is False


def test_an_rlock_in_a_running_process(our_ctx: Any, our_start: Any) -> None:
    ours, theirs = our_ctx.Pipe()
    child = our_start(receive_locks, theirs)
    for lock in our_ctx.RLock(), our_ctx.Lock():
        with lock:
            ours.send(lock)
            assert ours.recv() is False
        ours.send(None)
        assert ours.recv() is True
        assert not lock.locked()
    ours.send(None)
    child.join()
    assert child.exitcode == 0


def receive_locks(connection: Any) -> None:
    while (lock := connection.recv()) is not None:
        connection.send(lock.acquire(False))
        connection.recv()
        acquired = lock.acquire(timeout=60)
        lock.release()
        connection.send(acquired)


KINDS = ["Lock", "RLock", "Semaphore", "Event", "Condition", "Barrier"]


@pytest.mark.parametrize("kind", KINDS)
def test_attributes_survive_pickling(our_ctx: Any, our_start: Any, kind: str) -> None:
    obj = make(our_ctx, kind)
    obj.name = "mine"
    ours, theirs = our_ctx.Pipe()
    our_start(send_name, obj, theirs)
    assert ours.recv() == (type(obj), "mine")


def make(ctx: Any, kind: str) -> Any:
    factory = getattr(ctx, kind)
    return factory(2) if kind == "Barrier" else factory()


def send_name(obj: Any, connection: Any) -> None:
    connection.send((type(obj), obj.name))


@pytest.mark.parametrize("kind", KINDS)
def test_weak_references(ctx: Any, kind: str) -> None:
    obj = make(ctx, kind)
    reference = weakref.ref(obj)
    assert reference() is obj
    del obj
    gc.collect()
    assert reference() is None


def test_a_killed_holder_keeps_the_lock(ctx: Any, start: Any) -> None:
    lock = ctx.RLock()
    ours, theirs = ctx.Pipe()
    child = start(acquire_and_tell, lock, theirs)
    assert ours.recv() == "acquired"
    child.kill()
    child.join()
    assert lock.acquire(timeout=0.1) is False
    assert repr(lock) == "<RLock(SomeOtherProcess, nonzero)>"
