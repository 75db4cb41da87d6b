"""Bad input, and resources that run out: a clear exception, and the object still works."""

from __future__ import annotations

import errno
import math
import os
import pickle
import queue
import resource
import threading
from collections.abc import Callable
from typing import Any

import goprocessing
import pytest
from goprocessing import _engine, connection, queues, synchronize

from .conftest import descriptors
from .forks import exit_code, fork

MIB = 1 << 20


class FailsToLoad:
    def __reduce__(self) -> Any:
        return fail, ()


def fail() -> None:
    raise LookupError("while unpickling")


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue"])
@pytest.mark.parametrize(
    ("maxsize", "error"),
    [("3", TypeError), (1.5, TypeError), (None, TypeError), (2**70, OverflowError)],
)
def test_bad_maxsize(kind: str, maxsize: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        getattr(goprocessing, kind)(maxsize)


def test_bad_calls_of_a_queue() -> None:
    q: Any = goprocessing.Queue()
    for bad, error in (
        (lambda: q.put(), TypeError),
        (lambda: q.put(1, True, None, 4), TypeError),
        (lambda: q.put(1, obj=2), TypeError),
        (lambda: q.put(1, nonsense=2), TypeError),
        (lambda: q.put(1, timeout="1"), TypeError),
        (lambda: q.put(1, timeout=math.nan), ValueError),
        (lambda: q.get(1, 2, 3), TypeError),
        (lambda: q.get(timeout=[]), TypeError),
        (lambda: q.get(timeout=math.nan), ValueError),
        (lambda: q.get_nowait(1), TypeError),
        (lambda: q.qsize(1), TypeError),
    ):
        with pytest.raises(error):
            bad()
    assert q.empty()
    for timeout in (math.inf, 1e300, 2**62, 2**80, True):
        q.put("works", timeout=timeout)
        assert q.get(timeout=timeout) == "works"
    for timeout in (-math.inf, -1e300, -(2**80)):
        with pytest.raises(queue.Empty):
            q.get(timeout=timeout)


def test_bad_calls_of_locks() -> None:
    for make in goprocessing.Semaphore, goprocessing.BoundedSemaphore:
        bad: Any
        for bad, error in (("1", TypeError), (1.5, TypeError), (None, TypeError)):
            with pytest.raises(error):
                make(bad)
        for bad in (-1, 2**31, 2**70, -(2**70)):
            with pytest.raises((ValueError, OverflowError)):
                make(bad)
    semaphore: Any
    for semaphore in goprocessing.Lock(), goprocessing.Semaphore(1):
        semaphore.acquire()
        with pytest.raises(TypeError):
            semaphore.acquire(True, "1")
        with pytest.raises(ValueError, match=r"(?i)nan"):
            semaphore.acquire(timeout=math.nan)
        with pytest.raises(TypeError):
            semaphore.acquire(nonsense=1)
        with pytest.raises(TypeError):
            semaphore.release(1)
        semaphore.release()
        assert semaphore.acquire(timeout=math.inf)
    event: Any = goprocessing.Event()
    with pytest.raises(TypeError):
        event.wait("1")
    with pytest.raises(TypeError):
        event.wait(1, 2)
    event.set()
    assert event.wait(math.inf)


def test_bad_calls_of_a_connection() -> None:
    a: Any
    b: Any
    a, b = goprocessing.Pipe()
    with a, b:
        for bad in (
            lambda: a.send(),
            lambda: a.send(1, 2),
            lambda: a.send_bytes("text"),
            lambda: a.send_bytes(b"1", "0"),
            lambda: a.send_bytes(b"1", 0, "1"),
            lambda: b.recv_bytes("1"),
            lambda: b.recv_bytes(1.5),
            lambda: b.poll("1"),
            lambda: b.poll(0, 0),
        ):
            with pytest.raises(TypeError):
                bad()
        for obj in (lambda: None, threading.Lock()):
            with pytest.raises((pickle.PicklingError, TypeError, AttributeError)):
                a.send(obj)
        assert not b.poll()
        a.send("works")
        assert b.recv() == "works"


def test_what_cannot_be_unpickled() -> None:
    a, b = goprocessing.Pipe()
    with a, b:
        for junk in (b"", b"not a pickle", b"\x80\x05", b"K", b"X\xff\xff\xff\x7fabc", b"K\x05"):
            a.send_bytes(junk)
            with pytest.raises((pickle.UnpicklingError, EOFError, ValueError, IndexError)):
                b.recv()
        a.send(FailsToLoad())
        with pytest.raises(LookupError, match="while unpickling"):
            b.recv()
        a.send("works")
        assert b.recv() == "works"
    q = goprocessing.Queue()
    q.put(FailsToLoad())
    q.put("works")
    with pytest.raises(LookupError, match="while unpickling"):
        q.get()
    assert q.get() == "works"
    assert q.empty()


@pytest.mark.parametrize(
    "cls",
    [
        queues.Queue,
        queues.JoinableQueue,
        queues.SimpleQueue,
        synchronize.Lock,
        synchronize.RLock,
        synchronize.Semaphore,
        synchronize.BoundedSemaphore,
        synchronize.Event,
        synchronize.Condition,
        synchronize.Barrier,
        connection.PipeEnd,
    ],
)
def test_without_init(cls: Any) -> None:
    """A subclass that forgets to call __init__ gets an exception, not a crash."""
    for name in dir(cls):
        if name.startswith("__") and name not in ("__enter__", "__reduce__", "__repr__"):
            continue
        obj = cls.__new__(cls)
        try:
            attribute = getattr(obj, name)
            if callable(attribute):
                attribute()
        except Exception as error:
            assert not isinstance(error, SystemError)


def test_init_twice() -> None:
    q = queues.Queue(1)
    q.put("first")
    with pytest.raises(RuntimeError):
        q.__init__(2)  # type: ignore[misc]
    assert q.get() == "first"


def test_attaching_what_is_none_of_ours(tmp_path: Any) -> None:
    q, lock = goprocessing.Queue(), goprocessing.Lock()
    arena, offset = lock._handle()
    opened = [
        os.open("/dev/null", os.O_RDWR),
        os.open(tmp_path, os.O_RDONLY),
        os.memfd_create("empty"),
        os.dup(arena),
    ]
    for fd in opened:
        with pytest.raises(OSError):
            _engine.Queue._attach(fd)
    opened.append(os.dup(q._fileno()))
    for attach in (
        lambda: _engine.Semaphore._attach(opened[-1], offset),
        lambda: _engine.Semaphore._attach(opened[0], offset),
        lambda: _engine.Semaphore._attach(opened[3], 1 << 40),
        lambda: _engine.Semaphore._attach(opened[3], offset + 1),
        lambda: _engine.Event._attach(opened[3], offset),
        lambda: _engine.Queue._attach(1 << 20),
    ):
        with pytest.raises(OSError):
            attach()
    with pytest.raises(ValueError):
        _engine.Queue._attach(-1)
    for fd in opened:
        os.close(fd)


def limited(limit: int, value: int) -> Callable[[], None]:
    """Lowers a limit of this process, and returns what lifts it again."""
    before = resource.getrlimit(limit)
    resource.setrlimit(limit, (value, before[1]))
    return lambda: resource.setrlimit(limit, before)


def raises_oserror(call: Callable[[], object], *numbers: int) -> None:
    with pytest.raises(OSError) as caught:
        call()
    assert caught.value.errno in numbers, caught.value
    assert str(caught.value)


def test_shared_memory_is_full() -> None:
    def run() -> None:
        q = goprocessing.Queue()
        a, b = goprocessing.Pipe()
        q.put("before")
        lift = limited(resource.RLIMIT_FSIZE, 8 * MIB)
        big = b"x" * (32 * MIB)
        for _ in range(3):
            raises_oserror(lambda: q.put(big), errno.EFBIG, errno.ENOSPC, errno.ENOMEM)
            raises_oserror(lambda: a.send(big), errno.EFBIG, errno.ENOSPC, errno.ENOMEM)
        assert q.qsize() == 1
        q.put("still works")
        a.send("still works")
        assert b.recv() == "still works"
        lift()
        q.put(big)
        assert q.get() == "before"
        assert q.get() == "still works"
        assert q.get() == big
        a.send(big)
        assert b.recv() == big
        assert q.empty()

    assert exit_code(fork(run)) == 0


def test_many_items_fill_shared_memory() -> None:
    def run() -> None:
        q = goprocessing.Queue()
        q.put("load the engine")
        q.get()
        limited(resource.RLIMIT_FSIZE, 4 * MIB)
        count = 0
        try:
            while True:
                q.put(b"%1000d" % count)
                count += 1
        except OSError:
            pass
        assert 1000 < count < 10_000
        assert q.qsize() == count
        for number in range(count):
            assert q.get() == b"%1000d" % number
        q.put("works")
        assert q.get() == "works"

    assert exit_code(fork(run)) == 0


def test_the_address_space_is_full() -> None:
    def run() -> None:
        q = goprocessing.Queue()
        q.put("before")
        big = b"x" * (256 * MIB)
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * os.sysconf("SC_PAGESIZE")
        lift = limited(resource.RLIMIT_AS, used + 100 * MIB)
        for _ in range(3):
            with pytest.raises((OSError, MemoryError)):
                q.put(big)
        q.put("still works")
        lift()
        assert q.get() == "before"
        assert q.get() == "still works"
        q.put(big)
        assert q.get() == big

    assert exit_code(fork(run)) == 0


def test_no_descriptors_are_left() -> None:
    def run() -> None:
        q = goprocessing.Queue()
        lock = goprocessing.Lock()
        before = descriptors()
        lift = limited(resource.RLIMIT_NOFILE, max(before) + 1)
        for _ in range(3):
            fill = []
            with pytest.raises(OSError):
                while True:
                    fill.append(os.dup(0))
            raises_oserror(goprocessing.Queue, errno.EMFILE)
            raises_oserror(goprocessing.JoinableQueue, errno.EMFILE)
            raises_oserror(goprocessing.Pipe, errno.EMFILE)
            for fd in fill:
                os.close(fd)
            assert descriptors() == before
        with lock:
            q.put("still works")
        assert q.get() == "still works"
        lift()
        goprocessing.Queue().put(1)
        for end in goprocessing.Pipe():
            end.close()

    assert exit_code(fork(run)) == 0


def test_the_engine_cannot_be_loaded_for_want_of_descriptors() -> None:
    def run() -> None:
        lift = limited(resource.RLIMIT_NOFILE, 3)
        with pytest.raises((OSError, ImportError)):
            goprocessing.Queue()
        lift()
        q = goprocessing.Queue()
        q.put("works")
        assert q.get() == "works"

    assert exit_code(fork(run)) == 0
