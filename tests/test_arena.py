"""The memory of locks and events: slots, many to a descriptor."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import goprocessing
import pytest
from goprocessing import _engine

from .conftest import descriptors
from .forks import descend, exit_code, fork, use_engine
from .waiting import LIMIT, eventually

# More than one arena holds.
MANY = 3000
KIB = 1024


def slot(obj: Any) -> tuple[int, int]:
    """The inode and offset of an object. It counts as known to others from then on."""
    fd, offset = obj._handle()
    return os.fstat(fd).st_ino, offset


def segments() -> int:
    """Bytes of all shared memory that this process has a descriptor of."""
    memory = [fd for fd, what in descriptors().items() if what.startswith("/memfd:")]
    return sum(os.fstat(fd).st_blocks * 512 for fd in memory)


def resident() -> int:
    """Bytes of shared memory in this process, and of memory of its own."""
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = dict(line.split(":") for line in lines if line.startswith("Rss"))
    return sum(int(sizes[name].split()[0]) * KIB for name in ("RssShmem", "RssAnon"))


def test_ten_thousand_locks_take_few_descriptors() -> None:
    before = len(descriptors())
    locks = [_engine.Semaphore(1, 1) for _ in range(10_000)]
    assert len(descriptors()) - before <= 20
    assert len({slot(lock) for lock in locks}) == 10_000
    assert all(lock.acquire(False) for lock in locks)
    assert not any(lock.acquire(False) for lock in locks)
    locks.clear()
    assert len(descriptors()) - before <= 1


def test_five_thousand_conditions_take_few_descriptors() -> None:
    before = len(descriptors())
    conditions = [make_condition() for _ in range(5000)]
    assert len(descriptors()) - before <= 10
    assert len({slot(condition) for condition in conditions}) == 5000
    conditions.clear()
    assert len(descriptors()) - before <= 1


def test_all_kinds_share_an_arena() -> None:
    slots = {slot(make()) for make in MAKERS}
    assert len(slots) == len(MAKERS)
    assert len({inode for inode, _ in slots}) == 1


def test_full_of_one_kind_there_is_room_for_others() -> None:
    before = len(descriptors())
    for make in _engine.Semaphore, make_condition:
        kept = [make() for _ in range(MANY)]
        few = [_engine.Semaphore(), make_condition()]
        assert len({slot(obj) for obj in kept + few}) == MANY + 2
        del kept, few
    assert len(descriptors()) - before <= 1


def wait(condition: Any) -> None:
    with condition:
        condition.wait(LIMIT)


def test_room_for_waiters_is_given_back() -> None:
    """What a condition took for its waiters, the next that needs it gets."""

    def gather() -> int:
        condition = goprocessing.Condition()
        threads = [threading.Thread(target=wait, args=(condition,)) for _ in range(200)]
        with condition:
            for thread in threads:
                thread.start()
        eventually(lambda: condition._waiting() == 200)
        with condition:
            condition.notify_all()
        for thread in threads:
            thread.join()
        return segments()

    first = gather()
    for _ in range(5):
        assert gather() <= first


def make_condition() -> Any:
    return _engine.Condition(None)


def make_barrier() -> Any:
    return _engine.Barrier(2)


MAKERS = [_engine.Semaphore, _engine.Event, _engine.RLock, make_condition, make_barrier]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("lives", [1, 50])
def test_slots_of_the_dropped_are_used_again(make: Callable[[], Any], lives: int) -> None:
    kept = [make() for _ in range(lives)]

    def churn(times: int) -> None:
        for number in range(times):
            kept[number % lives] = make()

    def compare() -> None:
        churn(100_000)
        before = descriptors(), segments(), resident()
        churn(100_000)
        assert descriptors() == before[0]
        assert segments() == before[1]
        assert resident() - before[2] < 2048 * KIB

    assert descend(compare) == 0


def test_slots_known_to_others_go_with_their_arena() -> None:
    """Those that were pickled, or that a child inherited."""

    def churn(times: int) -> None:
        for number in range(times):
            lock = _engine.Semaphore()
            lock._handle()
            if number % 500 == 0:
                assert descend(use_engine) == 0
                kept = [_engine.Event() for _ in range(500)]
                assert descend(use_engine) == 0
                kept.clear()

    churn(3000)
    before = len(descriptors()), segments(), resident()
    churn(6000)
    assert len(descriptors()) <= before[0] + 1
    assert segments() <= before[1] + 128 * KIB
    assert resident() - before[2] < 2048 * KIB


def test_a_pickled_slot_is_not_used_again() -> None:
    semaphore = _engine.Semaphore(7)
    fd, offset = semaphore._handle()
    twin = _engine.Semaphore._attach(os.dup(fd), offset)
    known = slot(semaphore)
    del semaphore
    others = [_engine.Semaphore(0) for _ in range(MANY)]
    assert known not in {slot(other) for other in others}
    for other in others:
        other.release()
    assert twin.get_value() == 7
    twin.release()
    assert {other.get_value() for other in others} == {1}


def hold(semaphore: Any, ready: Any, go: Any) -> None:
    ready.set()
    go.wait()
    assert semaphore.get_value() == 7
    semaphore.release()
    assert semaphore.get_value() == 8


def test_a_slot_that_another_process_uses(our_ctx: Any, our_start: Any) -> None:
    """It is not used again although its maker dropped it."""
    semaphore, ready, go = our_ctx.Semaphore(7), our_ctx.Event(), our_ctx.Event()
    child = our_start(hold, semaphore, ready, go)
    assert ready.wait(60)
    del semaphore
    others = [our_ctx.Semaphore(0) for _ in range(MANY)]
    go.set()
    child.join()
    assert child.exitcode == 0
    assert {other.get_value() for other in others} == {0}


def test_a_child_drops_what_it_inherited() -> None:
    locks = [_engine.Semaphore(1, 1) for _ in range(MANY)]

    def drop() -> None:
        before = len(descriptors())
        locks.clear()
        assert len(descriptors()) < before
        locks.extend(_engine.Semaphore(0, 1) for _ in range(MANY))
        locks.clear()

    assert descend(drop) == 0
    assert all(lock.acquire(False) for lock in locks)
    assert not any(lock.acquire(False) for lock in locks)


def test_a_child_has_an_arena_of_its_own() -> None:
    """What it makes, the parent cannot give to another object."""
    mine = _engine.Semaphore(1)
    inodes = {slot(mine)[0]}

    def make() -> None:
        theirs = _engine.Semaphore(2)
        assert slot(theirs)[0] not in inodes
        inodes.add(slot(theirs)[0])

    assert descend(make, make, make) == 0


def test_random_operations_against_a_dictionary() -> None:
    """Whatever is made, shared, dropped and forked: each semaphore keeps its own value."""
    rng = random.Random(1)
    values: dict[Any, int] = {}

    def check() -> None:
        assert all(semaphore.get_value() == value for semaphore, value in values.items())

    def drop_some() -> None:
        for semaphore in rng.sample(list(values), len(values) // 3):
            del values[semaphore]

    def work(steps: int) -> None:
        for _ in range(steps):
            for _ in range(rng.randrange(400)):
                value = rng.randrange(1000)
                values[_engine.Semaphore(value)] = value
            for semaphore in rng.sample(list(values), len(values) // 10):
                fd, offset = semaphore._handle()
                values[_engine.Semaphore._attach(os.dup(fd), offset)] = values[semaphore]
            if rng.random() < 0.2:
                pid = fork(lambda: (drop_some(), work_in_child(), check()))
                drop_some()
                work_in_child()
                assert exit_code(pid) == 0
            drop_some()
            check()

    def work_in_child() -> None:
        for value in range(2000):
            values[_engine.Semaphore(value)] = value
        drop_some()
        check()

    work(60)


def test_attach_takes_no_other_memory() -> None:
    """A wrong handle is refused, and its descriptor left to the caller."""
    semaphore, event = _engine.Semaphore(), _engine.Event()
    fd, offset = semaphore._handle()
    kind = event._handle()[1]
    q = _engine.Queue()
    for cls, good, bad in [
        (_engine.Semaphore, fd, [0, 7, offset + 1, kind, 1 << 40, 2**63, 2**64 - 1]),
        (_engine.Event, fd, [0, offset, kind + 64 * 1024]),
        (_engine.RLock, fd, [0, offset, kind]),
        (_engine.Semaphore, q._fileno(), [offset]),
    ]:
        for wrong in bad:
            copy = os.dup(good)
            with pytest.raises(OSError):
                cls._attach(copy, wrong)
            os.close(copy)
    rlock, condition = _engine.RLock(), make_condition()
    large = condition._handle()[1]
    with pytest.raises(OSError):
        _engine.Semaphore._attach(fd, rlock._handle()[1])
    for wrong in 0, offset, large + 64, large + 1024, large + 1, 1 << 20, 2**63:
        with pytest.raises(OSError):
            _engine.Condition._attach(fd, wrong, None)
        with pytest.raises(OSError):
            _engine.Barrier._attach(fd, wrong, None, None)
    with pytest.raises(OSError):
        _engine.Barrier._attach(fd, large, None, None)
    with open("/dev/null") as null, pytest.raises(OSError):
        _engine.Semaphore._attach(null.fileno(), offset)
    with pytest.raises(OSError, match="Bad file descriptor"):
        _engine.Semaphore._attach(99_999, offset)
    assert semaphore.get_value() == 1
