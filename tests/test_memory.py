"""Memory and descriptors are given back."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import goprocessing
import pytest

from .conftest import descriptors
from .test_queue_promises import put_items

MIB = 1 << 20


def held(fd: int) -> int:
    """Bytes of memory that the file behind a descriptor occupies."""
    return os.fstat(fd).st_blocks * 512


@pytest.mark.slow
def test_a_gigabyte_outlives_its_producer(our_ctx: Any, our_start: Any) -> None:
    q = our_ctx.Queue()
    child = our_start(put_items, q, 1024, MIB)
    child.join()
    assert child.exitcode == 0
    assert q.qsize() == 1024
    assert held(q._fileno()) >= 1024 * MIB
    expected = b"x" * MIB
    for _ in range(1024):
        assert q.get_nowait() == expected
    assert q.empty()
    assert held(q._fileno()) < 32 * MIB


@pytest.mark.slow
def test_many_small_items_give_their_memory_back() -> None:
    q = goprocessing.Queue()
    for round in range(2):
        for number in range(300_000):
            q.put(number)
        assert held(q._fileno()) > MIB
        assert [q.get() for _ in range(300_000)] == list(range(300_000))
        assert held(q._fileno()) < 4 * MIB, round


def test_a_queue_that_stays_short_stays_small() -> None:
    q = goprocessing.Queue()
    for _ in range(2000):
        q.put(b"x" * 10_000)
        q.put(b"y")
        q.get()
        q.get()
    assert held(q._fileno()) < 4 * MIB


def test_a_pipe_gives_its_memory_back() -> None:
    a, b = goprocessing.Pipe()
    memory = a._descriptors()[0]
    with a, b:
        sender = threading.Thread(target=lambda: [a.send_bytes(b"x" * MIB) for _ in range(20)])
        sender.start()
        for _ in range(20):
            assert len(b.recv_bytes()) == MIB
        sender.join()
        assert held(memory) < 8 * MIB


def queue() -> None:
    q = goprocessing.Queue()
    q.put(1)
    assert q.get() == 1


def pipe() -> None:
    a, b = goprocessing.Pipe()
    a.send(1)
    assert b.recv() == 1


def closed_pipe() -> None:
    for end in goprocessing.Pipe():
        end.close()


def lock() -> None:
    with goprocessing.Lock():
        pass


def event() -> None:
    goprocessing.Event().set()


@pytest.mark.parametrize(
    ("use", "times"),
    [(queue, 2000), (pipe, 2000), (closed_pipe, 2000), (lock, 100_000), (event, 100_000)],
)
def test_made_and_dropped(use: Callable[[], None], times: int) -> None:
    use()
    gc.collect()
    before, address_space = descriptors(), mapped()
    for _ in range(times):
        use()
    gc.collect()
    assert descriptors() == before
    assert mapped() - address_space < 256 * MIB


USED_WITHOUT_END = """
import os
import goprocessing

def use(times):
    for _ in range(times):
        goprocessing.Event()
        q.put(1)
        q.get()
    for _ in range(times // 5):
        a.send(1)
        b.recv()

def descriptors():
    return sorted(os.listdir("/proc/self/fd"))

q, (a, b) = goprocessing.Queue(), goprocessing.Pipe()
use(5)
before = descriptors()
use(700_000)
assert descriptors() == before, os.system(f"ls -l /proc/{os.getpid()}/fd")
os.closerange(3, 1000)
for _ in range(700_000):
    goprocessing.Event()
"""


@pytest.mark.slow
def test_use_without_end_opens_nothing() -> None:
    """The Go runtime opens descriptors of its own once it collects garbage, and then
    does not survive that the program closes them."""
    result = subprocess.run(
        [sys.executable, "-c", USED_WITHOUT_END], capture_output=True, text=True, timeout=100
    )
    assert (result.returncode, result.stderr) == (0, "")


def mapped() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGESIZE")


def test_ten_thousand_locks_take_few_descriptors() -> None:
    before = len(descriptors())
    locks = [goprocessing.Lock() for _ in range(10_000)]
    events = [goprocessing.Event() for _ in range(1000)]
    assert len(descriptors()) - before < 20
    for each in locks:
        assert each.acquire(False)
    assert not any(each.is_set() for each in events)
    del locks, events


def test_objects_that_came_by_pickle_are_given_back(our_ctx: Any) -> None:
    q = our_ctx.Queue()
    sent = [our_ctx.Queue(), our_ctx.Lock(), our_ctx.Event(), *our_ctx.Pipe()]
    for each in sent:
        q.put(each)
        q.get()
    gc.collect()
    before = descriptors()
    for _ in range(10):
        for each in sent:
            q.put(each)
            q.get()
    gc.collect()
    assert len(descriptors()) == len(before)
    for end in sent[-2:]:
        end.close()
