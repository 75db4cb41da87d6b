"""Signal handlers that use an object of which they interrupted a call, the same one for example.

GOPROCESSING_TEST_SIGNALS is how many handlers interrupt each, for a long run.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import goprocessing
import pytest

from .forks import exit_code, fork
from .test_large_items import Array
from .waiting import LIMIT

CTX = goprocessing.get_context("fork")
SIGNALS = int(os.environ.get("GOPROCESSING_TEST_SIGNALS", "100"))
INTERVAL = 0.0007
MOST_NESTED = 20

Step = Callable[[], object]
# What is interrupted, the handler, and what must hold afterwards.
Case = tuple[Step, Step, Step]

CASES: dict[str, Callable[[], Case]] = {}


def case(name: str) -> Callable[[Callable[[], Case]], Callable[[], Case]]:
    def add(make: Callable[[], Case]) -> Callable[[], Case]:
        CASES[name] = make
        return make

    return add


def nothing() -> None:
    pass


class Slow:
    """Whose pickling and unpickling a handler may interrupt, in the midst of put and get."""

    def __init__(self, number: int) -> None:
        self.number = linger(number)

    def __reduce__(self) -> Any:
        return Slow, (linger(self.number),)


def linger(number: int) -> int:
    for _ in range(200):
        pass
    return number


class Traffic:
    """Counts what is put and what is got."""

    def __init__(self) -> None:
        self.balance = 0

    def put(self, function: Callable[[Any], object], count: int = 1) -> None:
        try:
            function(Slow(1))
        except queue.Full:
            return
        self.balance += count

    def get(self, function: Callable[[], Any], count: int = 1) -> None:
        try:
            function()
        except queue.Empty:
            return
        self.balance -= count


def drained(q: Any, traffic: Traffic) -> None:
    assert q.qsize() == traffic.balance
    for _ in range(traffic.balance):
        q.get_nowait()
    assert q.empty()


@case("put, put_nowait")
def put() -> Case:
    q, traffic = CTX.Queue(), Traffic()
    return (
        lambda: traffic.put(q.put),
        lambda: traffic.put(q.put_nowait),
        lambda: drained(q, traffic),
    )


@case("put when full, put_nowait and get_nowait")
def put_when_full() -> Case:
    q, traffic = CTX.Queue(1), Traffic()
    return (
        lambda: traffic.put(q.put),
        lambda: (traffic.put(q.put_nowait), traffic.get(q.get_nowait)),
        lambda: drained(q, traffic),
    )


@case("get, put_nowait and get_nowait")
def get() -> Case:
    q, traffic = CTX.Queue(), Traffic()
    return (
        lambda: traffic.get(q.get),
        lambda: (
            [traffic.put(q.put_nowait) for _ in range(3)],
            traffic.get(q.get_nowait),
        ),
        lambda: drained(q, traffic),
    )


@case("put_many, put_many without block")
def put_many() -> Case:
    q, traffic = CTX.Queue(), Traffic()
    return (
        lambda: traffic.put(lambda item: q.put_many(item for _ in range(5)), 5),
        lambda: traffic.put(lambda item: q.put_many([item] * 3, block=False), 3),
        lambda: drained(q, traffic),
    )


@case("put_many when full, get_many without block")
def put_many_when_full() -> Case:
    q, received = CTX.Queue(3), []

    def take() -> None:
        with contextlib.suppress(queue.Empty):
            received.extend(q.get_many(block=False))

    sent = 0

    def step() -> None:
        nonlocal sent
        q.put_many(range(sent, sent + 10))
        sent += 10

    def check() -> None:
        received.extend(q.get_nowait() for _ in range(q.qsize()))
        assert received == [*range(sent)]

    return step, take, check


@case("put and get of buffers, the same")
def buffers() -> Case:
    q = CTX.Queue()

    def step() -> None:
        q.put([Slow(1), Array(b"x" * 100_000)])
        _, array = q.get()
        assert bytes(array.data) == b"x" * 100_000

    return step, step, lambda: drained(q, Traffic())


@case("put of objects, the same")
def put_objects() -> Case:
    """What is registered with the resource sharer, under a lock of the standard library's."""
    q, lock = CTX.Queue(), CTX.Lock()
    return lambda: q.put(lock), lambda: q.put_nowait(lock), nothing


@case("task_done, task_done")
def task_done() -> Case:
    q = CTX.JoinableQueue()

    def step() -> None:
        q.put(Slow(1))
        q.get()
        q.task_done()

    return step, step, q.join


@case("join, task_done")
def join() -> Case:
    q = CTX.JoinableQueue()

    def step() -> None:
        q.put_nowait(1)
        q.get_nowait()
        q.join()

    def finish() -> None:
        with contextlib.suppress(ValueError):
            q.task_done()

    return step, finish, nothing


@case("SimpleQueue.put, SimpleQueue.put")
def simple_put() -> Case:
    q, counts = CTX.SimpleQueue(), [0]

    def step() -> None:
        q.put(Slow(1))
        counts[0] += 1

    def interrupted() -> None:
        step()
        while not q.empty():
            q.get()
            counts[0] -= 1

    def check() -> None:
        while not q.empty():
            q.get()
            counts[0] -= 1
        assert counts == [0]

    return interrupted, step, check


@case("send, send")
def send() -> Case:
    a, b = CTX.Pipe()
    sent, received = [0], [0]

    def put() -> None:
        a.send(Slow(1))
        sent[0] += 1

    def step() -> None:
        put()
        while b.poll():
            b.recv()
            received[0] += 1

    def check() -> None:
        while b.poll():
            b.recv()
            received[0] += 1
        assert sent == received

    return step, put, check


@case("recv, send")
def recv() -> Case:
    a, b = CTX.Pipe()
    numbers: list[int] = []

    def interrupt() -> None:
        a.send(len(numbers))

    return lambda: numbers.append(b.recv()), interrupt, lambda: numbers or None


@case("send without room, recv")
def send_without_room() -> Case:
    a, b = CTX.Pipe()
    receiving = [False]

    def interrupt() -> None:
        if receiving[0]:  # a handler that was interrupted has seen the same message
            return
        receiving[0] = True
        if b.poll():
            b.recv()
        receiving[0] = False

    return lambda: a.send(bytes(700_000)), interrupt, nothing


@case("set, set and clear")
def event_set() -> Case:
    event = CTX.Event()
    return event.set, lambda: (event.clear(), event.set()), lambda: event.wait(LIMIT)


@case("wait for event, set")
def event_wait() -> Case:
    event = CTX.Event()
    return lambda: (event.wait(), event.clear()), event.set, nothing


@case("release, release")
def release() -> Case:
    semaphore, counts = CTX.Semaphore(0), [0, 0]

    def count(index: int) -> None:
        semaphore.release()
        counts[index] += 1

    def check() -> None:
        assert semaphore.get_value() == sum(counts)

    return lambda: count(0), lambda: count(1), check


@case("acquire semaphore, release")
def acquire_semaphore() -> Case:
    semaphore = CTX.Semaphore(0)
    return semaphore.acquire, semaphore.release, nothing


@case("acquire, release")
def acquire() -> Case:
    lock = CTX.Lock()

    def free() -> None:
        with contextlib.suppress(ValueError):
            lock.release()

    return lock.acquire, free, nothing


@case("with lock, acquire without block")
def with_lock() -> Case:
    lock = CTX.Lock()

    def step() -> None:
        with lock:
            linger(1)

    def interrupt() -> None:
        if lock.acquire(False):
            lock.release()

    return step, interrupt, lambda: lock.acquire(timeout=LIMIT)


@case("with rlock, with rlock")
def with_rlock() -> Case:
    lock = CTX.RLock()

    def step() -> None:
        with lock, lock:
            linger(1)

    def check() -> None:
        assert not lock.locked()

    return step, step, check


@case("wait for condition, notify")
def condition() -> Case:
    condition, turns = CTX.Condition(), [0]

    def step() -> None:
        with condition:
            before = turns[0]
            condition.wait_for(lambda: turns[0] > before)

    def notify() -> None:
        with condition:
            turns[0] += 1
            condition.notify()

    return step, notify, lambda: condition.acquire(timeout=LIMIT)


@case("notify, notify_all")
def notify() -> Case:
    condition = CTX.Condition()

    def step() -> None:
        with condition:
            condition.notify(3)

    def interrupt() -> None:
        with condition:
            condition.notify_all()

    return step, interrupt, lambda: condition.acquire(timeout=LIMIT)


@case("wait at barrier, abort")
def barrier() -> Case:
    barrier = CTX.Barrier(2)

    def step() -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait()
        barrier.reset()

    return step, barrier.abort, nothing


@case("making and dropping, the same")
def make() -> Case:
    def step() -> None:
        q, _, _ = CTX.Queue(), CTX.Lock(), CTX.Condition()
        q._reader.fileno()
        for end in CTX.Pipe():
            end.close()

    return step, step, nothing


@contextlib.contextmanager
def interruptions(handler: Step) -> Iterator[list[int]]:
    """Runs the handler at each signal of a timer, and counts."""
    handled, depth = [0], 0

    def handle(*_: object) -> None:
        nonlocal depth
        if depth == MOST_NESTED:
            return  # the handler takes longer than the interval here
        depth += 1
        try:
            handler()
        finally:
            depth -= 1
        handled[0] += 1

    signal.signal(signal.SIGALRM, handle)
    # Before 3.13 a signal may go unseen until the next: ceval.c's COMPUTE_EVAL_BREAKER is not
    # atomic.
    signal.setitimer(signal.ITIMER_REAL, INTERVAL, INTERVAL)
    yield handled
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)


@pytest.mark.timeout(120 + SIGNALS // 10)
@pytest.mark.parametrize("name", CASES)
def test_a_handler_that_interrupts_a_call(name: str) -> None:
    def run() -> None:
        faulthandler.dump_traceback_later(LIMIT + SIGNALS // 10, exit=True)
        step, handler, check = CASES[name]()
        with interruptions(handler) as handled:
            while handled[0] < SIGNALS:
                step()
        check()

    assert exit_code(fork(run)) == 0
