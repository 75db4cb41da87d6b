"""Threads fork while others are inside every kind of call: children and parent go on.

GOPROCESSING_TEST_FORKS is how many, for a long run.
"""

from __future__ import annotations

import faulthandler
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import goprocessing
import pytest

from .forks import exit_code, fork, run_fresh
from .test_large_items import Array
from .waiting import LIMIT, eventually

CTX = goprocessing.get_context("fork")
FORKS = int(os.environ.get("GOPROCESSING_TEST_FORKS", "60"))
AT_ONCE = 60  # of one process
FORKING = 3  # threads

LARGE = 200_000


class Fire:
    """Objects, and threads that use them all the time, from before the forks until after."""

    def __init__(self) -> None:
        self.queue, self.bounded, self.large = CTX.Queue(), CTX.Queue(2), CTX.Queue(4)
        self.simple, self.joinable = CTX.SimpleQueue(), CTX.JoinableQueue()
        self.pipe = CTX.Pipe()
        self.lock, self.rlock, self.semaphore = CTX.Lock(), CTX.RLock(), CTX.Semaphore(2)
        self.event, self.condition, self.barrier = CTX.Event(), CTX.Condition(), CTX.Barrier(2)
        self.received: list[tuple[int, Array]] = []
        self.errors: list[str] = []
        self.done = [0] * len(self._steps())
        for number, step in enumerate(self._steps()):
            threading.Thread(target=self._repeat, args=(number, step), daemon=True).start()

    def _steps(self) -> list[Callable[[], object]]:
        a, b = self.pipe
        return [
            lambda: self.queue.put_many(range(3)),
            lambda: self.queue.get_many(3, timeout=LIMIT),
            lambda: self.bounded.put("item", timeout=LIMIT),
            lambda: self.bounded.get(timeout=LIMIT),
            lambda: self.put_large(),
            lambda: self.get_large(),
            lambda: self.simple.put("item"),
            lambda: self.simple.get(),
            lambda: self.pass_task(self.joinable),
            lambda: a.send(bytes(LARGE)),
            lambda: b.recv(),
            lambda: b.send("item"),
            lambda: a.recv(),
            *[lambda: self.use_locks()] * 3,
            lambda: self.event.wait(LIMIT),
            lambda: (self.event.set(), self.event.clear()),
            *[lambda: self.wait_and_notify()] * 2,
            *[lambda: self.barrier.wait(LIMIT)] * 2,
            make_and_drop,
        ]

    def _repeat(self, number: int, step: Callable[[], object]) -> None:
        try:
            while True:
                step()
                self.done[number] += 1
        except BaseException:
            self.errors.append(traceback.format_exc())

    def await_all(self) -> None:
        """Returns once each thread has done something from now on."""
        before = [*self.done]
        eventually(
            lambda: (
                self.errors or all(new > old for new, old in zip(self.done, before, strict=True))
            ),
            lambda: f"some threads hang: {before}, {self.done}",
        )

    def put_large(self) -> None:
        byte = time.monotonic_ns() % 251
        self.large.put((byte, Array(bytearray([byte]) * LARGE)), timeout=LIMIT)

    def get_large(self) -> None:
        self.received.append(self.large.get(timeout=LIMIT))
        self.check_received()
        del self.received[:-3]

    def check_received(self) -> None:
        """That nobody else has written to what was received, before writing to it."""
        for byte, array in [*self.received]:
            assert bytes(array.data) == bytes([byte]) * LARGE
            array.data[:] = array.data

    def pass_task(self, q: Any) -> None:
        q.put("task")
        q.get(timeout=LIMIT)
        q.task_done()

    def use_locks(self) -> None:
        for lock in self.lock, self.rlock, self.semaphore:
            assert lock.acquire(timeout=LIMIT)
            lock.release()

    def wait_and_notify(self) -> None:
        with self.condition:
            self.condition.notify()
            self.condition.wait(0.002)
            self.condition.notify_all()

    def use_all(self) -> None:
        """What a child does with what it inherited, and with objects of its own."""
        a, b = self.pipe
        self.check_received()
        for _, array in self.received:
            array.data[:] = bytes(LARGE)
        self.received.clear()
        self.queue.put(1)
        self.queue.get(timeout=LIMIT)
        self.bounded.put("of a child", timeout=LIMIT)
        self.bounded.get(timeout=LIMIT)
        self.put_large()
        self.get_large()
        self.simple.put("of a child")
        self.simple.get()
        self.pass_task(self.joinable)
        a.send("of a child")
        b.recv()
        self.use_locks()
        self.event.set()
        assert self.event.wait(LIMIT)
        self.wait_and_notify()
        self.barrier.wait(LIMIT)
        make_and_drop()


def make_and_drop() -> None:
    q, condition, (a, b) = CTX.Queue(), CTX.Condition(), CTX.Pipe()
    q.put(Array(bytearray(LARGE)))
    a.send(1)
    q.get()
    b.recv()
    with condition:
        condition.notify()


def under_fire(forks: int) -> None:
    faulthandler.dump_traceback_later(LIMIT - 5, exit=True)
    sys.setswitchinterval(0.0002)  # so that all get on, and are at many places
    fire = Fire()
    codes: list[int] = []

    def fork_some() -> None:
        for _ in range(forks // FORKING):
            codes.append(exit_code(fork(fire.use_all)))

    threads = [threading.Thread(target=fork_some) for _ in range(FORKING)]
    fire.await_all()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    fire.await_all()
    print(*fire.errors, sep="\n", file=sys.stderr, flush=True)
    # The threads are in the midst of it.
    os._exit(bool(fire.errors or any(codes)))


@pytest.mark.timeout(120 + FORKS)
def test_forks_while_others_are_in_every_kind_of_call() -> None:
    for done in range(0, FORKS, AT_ONCE):
        assert run_fresh(under_fire, min(AT_ONCE, FORKS - done)) == 0, f"after {done} forks"
