"""Barrier, over both implementations and all start methods."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing import synchronize
from threading import BrokenBarrierError
from typing import Any

import goprocessing
import pytest

from .waiting import eventually

PARTIES = 4


def meet(barrier: Any, results: Any, rounds: int = 1) -> None:
    for _ in range(rounds):
        results.put(attempt(barrier))


def attempt(barrier: Any, *timeout: Any) -> Any:
    try:
        return barrier.wait(*timeout)
    except BrokenBarrierError:
        return "broken"


class Parties:
    """Half of them processes, half of them threads, that wait at a barrier."""

    def __init__(
        self, ctx: Any, start: Any, barrier: Any, count: int = PARTIES - 1, rounds: int = 1
    ) -> None:
        self.barrier = barrier
        self._results = ctx.Queue()
        self._count = count * rounds
        args = barrier, self._results, rounds
        self.processes = [start(meet, *args) for _ in range(count // 2)]
        self._threads = [
            threading.Thread(target=meet, args=args) for _ in range(count - count // 2)
        ]
        for thread in self._threads:
            thread.start()

    def await_arrival(self, count: int = PARTIES - 1) -> None:
        eventually(lambda: self.barrier.n_waiting == count)

    def results(self) -> list[Any]:
        results = [self._results.get(timeout=60) for _ in range(self._count)]
        for worker in self.processes + self._threads:
            worker.join()
        self._results.close()
        self._results.join_thread()
        return results


class Action:
    def __init__(self, ctx: Any, error: type[Exception] | None = None) -> None:
        self.calls = ctx.RawValue("i", 0)
        self.error = error

    def __call__(self) -> None:
        self.calls.value += 1
        if self.error is not None:
            raise self.error


def test_barrier(ctx: Any, start: Any) -> None:
    barrier = ctx.Barrier(PARTIES)
    assert isinstance(barrier, synchronize.Barrier)
    assert isinstance(barrier, threading.Barrier)
    assert (barrier.parties, barrier.n_waiting, barrier.broken) == (PARTIES, 0, False)
    parties = Parties(ctx, start, barrier)
    parties.await_arrival()
    assert barrier.wait() == PARTIES - 1
    assert sorted(parties.results()) == list(range(PARTIES - 1))
    assert (barrier.n_waiting, barrier.broken) == (0, False)


def test_many_rounds(ctx: Any, start: Any) -> None:
    action = Action(ctx)
    barrier = ctx.Barrier(PARTIES, action)
    parties = Parties(ctx, start, barrier, PARTIES, rounds=50)
    results = parties.results()
    assert [results.count(number) for number in range(PARTIES)] == [50] * PARTIES
    assert action.calls.value == 50
    assert not barrier.broken


def test_one_party(ctx: Any) -> None:
    action = Action(ctx)
    barrier = ctx.Barrier(1, action)
    for calls in range(1, 4):
        assert barrier.wait() == 0
        assert barrier.wait(0) == 0
        assert action.calls.value == 2 * calls


def test_an_action_that_fails(ctx: Any, start: Any) -> None:
    action = Action(ctx, ZeroDivisionError)
    barrier = ctx.Barrier(PARTIES, action)
    parties = Parties(ctx, start, barrier)
    parties.await_arrival()
    with pytest.raises(ZeroDivisionError):
        barrier.wait()
    assert parties.results() == ["broken"] * (PARTIES - 1)
    assert barrier.broken
    assert attempt(barrier) == "broken"
    assert action.calls.value == 1


def test_abort(ctx: Any, start: Any) -> None:
    barrier = ctx.Barrier(PARTIES)
    parties = Parties(ctx, start, barrier)
    parties.await_arrival()
    barrier.abort()
    assert barrier.broken
    assert parties.results() == ["broken"] * (PARTIES - 1)
    assert attempt(barrier) == "broken"
    assert barrier.n_waiting == 0
    barrier.reset()
    assert not barrier.broken


def test_reset(ctx: Any, start: Any) -> None:
    barrier = ctx.Barrier(PARTIES)
    for _ in range(3):
        parties = Parties(ctx, start, barrier)
        parties.await_arrival()
        barrier.reset()
        assert parties.results() == ["broken"] * (PARTIES - 1)
        assert not barrier.broken
    parties = Parties(ctx, start, barrier)
    assert barrier.wait(60) in range(PARTIES)
    parties.results()


def test_a_timeout_breaks(ctx: Any, start: Any) -> None:
    barrier = ctx.Barrier(PARTIES + 1)
    parties = Parties(ctx, start, barrier)
    parties.await_arrival()
    assert attempt(barrier, 0.05) == "broken"
    assert parties.results() == ["broken"] * (PARTIES - 1)
    assert barrier.broken
    barrier.reset()
    assert attempt(barrier, 0) == "broken"


def test_a_default_timeout(ctx: Any, start: Any) -> None:
    barrier = ctx.Barrier(PARTIES + 1, timeout=0.3)
    parties = Parties(ctx, start, barrier)
    assert attempt(barrier) == "broken"
    assert parties.results() == ["broken"] * (PARTIES - 1)


@pytest.mark.parametrize("module", [multiprocessing, goprocessing])
def test_the_time_limit_is_for_arrival(module: Any) -> None:
    """Not for the action, once all have arrived."""
    ctx = module.get_context("fork")
    acting, finish = threading.Event(), threading.Event()

    def act() -> None:
        acting.set()
        finish.wait(60)

    barrier = ctx.Barrier(2, act)
    results: list[Any] = []

    def wait(timeout: float) -> None:
        results.append(attempt(barrier, timeout))

    first = threading.Thread(target=wait, args=(5,))
    last = threading.Thread(target=wait, args=(60,))
    first.start()
    eventually(lambda: barrier.n_waiting == 1)
    last.start()
    assert acting.wait(60)
    first.join(6)
    assert first.is_alive()
    finish.set()
    first.join()
    last.join()
    assert sorted(results) == [0, 1]


def test_arriving_during_the_action(our_ctx: Any) -> None:
    """The next round begins when the action has ended, and not before."""
    acting, finish = threading.Event(), threading.Event()

    def act() -> None:
        acting.set()
        finish.wait(60)

    barrier = our_ctx.Barrier(1, act)
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(attempt(barrier))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert acting.wait(60)
    assert results == []
    finish.set()
    for thread in threads:
        thread.join()
    assert results == [0, 0, 0]


@pytest.mark.parametrize("change", ["reset", "abort"])
def test_a_change_waits_for_the_action(ctx: Any, change: str) -> None:
    acting, finish = threading.Event(), threading.Event()

    def act() -> None:
        acting.set()
        finish.wait(60)

    barrier = ctx.Barrier(2, act)
    results: list[Any] = []
    parties = [threading.Thread(target=lambda: results.append(attempt(barrier))) for _ in range(2)]
    changer = threading.Thread(target=getattr(barrier, change))
    for thread in parties:
        thread.start()
    assert acting.wait(60)
    changer.start()
    changer.join(0.1)
    assert changer.is_alive()
    assert results == []
    finish.set()
    for thread in [*parties, changer]:
        thread.join()
    # The standard library's barrier may be aborted before the first has seen the end.
    assert set(results) in ([{0, 1}] if change == "reset" else [{0, 1}, {"broken", 1}])
    assert barrier.broken == (change == "abort")


def test_ctrl_c_while_a_reset_waits_for_the_action(our_ctx: Any) -> None:
    acting, finish = threading.Event(), threading.Event()

    def act() -> None:
        acting.set()
        finish.wait(60)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    barrier = our_ctx.Barrier(1, act)
    thread = threading.Thread(target=barrier.wait)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        thread.start()
        assert acting.wait(60)
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            barrier.reset()
    finally:
        signal.signal(signal.SIGALRM, before)
        finish.set()
        thread.join()
    assert barrier.wait() == 0


def test_an_action_that_resets(our_ctx: Any) -> None:
    barrier = our_ctx.Barrier(1, lambda: barrier.reset())
    assert attempt(barrier) == "broken"
    assert not barrier.broken
    barrier = our_ctx.Barrier(1, lambda: barrier.abort())
    assert attempt(barrier) == "broken"
    assert barrier.broken


def test_many_parties(our_ctx: Any, our_start: Any) -> None:
    """More than the barrier's slot has room for."""
    barrier = our_ctx.Barrier(100)
    parties = Parties(our_ctx, our_start, barrier, 4)
    threads = [threading.Thread(target=attempt, args=(barrier,)) for _ in range(95)]
    for thread in threads:
        thread.start()
    parties.await_arrival(99)
    assert barrier.wait() == 99
    for thread in threads:
        thread.join()
    assert len(set(parties.results())) == 4


@pytest.mark.parametrize("killed", [1, 2])
def test_a_killed_party_breaks_the_barrier(our_ctx: Any, our_start: Any, killed: int) -> None:
    barrier = our_ctx.Barrier(6)
    parties = Parties(our_ctx, our_start, barrier, 4)
    parties.await_arrival(4)
    for process in parties.processes[:killed]:
        process.kill()
    assert attempt(barrier) == "broken"
    assert barrier.broken
    barrier.reset()
    assert (barrier.n_waiting, barrier.broken) == (0, False)
    parties._count -= killed
    assert parties.results() == ["broken"] * (4 - killed)


class Hang:
    def __init__(self, event: Any) -> None:
        self.event = event

    def __call__(self) -> None:
        self.event.set()
        signal.pause()


def test_a_party_that_was_killed_is_not_counted(our_ctx: Any, our_start: Any) -> None:
    """Although nobody was left who could have found out."""
    barrier = our_ctx.Barrier(2)
    child = our_start(wait_at, barrier)
    eventually(lambda: barrier.n_waiting == 1)
    child.kill()
    child.join()
    with pytest.raises(BrokenBarrierError):
        barrier.wait(30)


def wait_at(barrier: Any) -> None:
    barrier.wait()


def test_killed_in_the_action(our_ctx: Any, our_start: Any) -> None:
    acting = our_ctx.Event()
    barrier = our_ctx.Barrier(2, Hang(acting))
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(attempt(barrier)))
    thread.start()
    eventually(lambda: barrier.n_waiting == 1)
    child = our_start(wait_at, barrier)
    assert acting.wait(60)
    os.kill(child.pid, signal.SIGKILL)
    thread.join(60)
    assert results == ["broken"]
    assert attempt(barrier) == "broken"


def test_an_interrupted_party_has_not_arrived(ctx: Any, start: Any) -> None:
    def interrupt(*_: Any) -> None:
        raise InterruptedError

    barrier = ctx.Barrier(PARTIES)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(InterruptedError):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            barrier.wait(60)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert (barrier.n_waiting, barrier.broken) == (0, False)
    parties = Parties(ctx, start, barrier)
    parties.await_arrival()
    assert barrier.wait() == PARTIES - 1
    assert sorted(parties.results()) == list(range(PARTIES - 1))


def test_pickles_keep_action_and_timeout(ctx: Any, start: Any) -> None:
    action = Action(ctx)
    barrier = ctx.Barrier(1, action, 60)
    ours, theirs = ctx.Pipe()
    child = start(wait_and_tell, barrier, theirs)
    assert ours.recv() == (0, 60, 1)
    child.join()
    assert action.calls.value == 1


def wait_and_tell(barrier: Any, connection: Any) -> None:
    connection.send((barrier.wait(), barrier._timeout, barrier.parties))


def test_in_a_running_process(our_ctx: Any, our_start: Any) -> None:
    ours, theirs = our_ctx.Pipe()
    child = our_start(receive_barrier, theirs)
    barrier = our_ctx.Barrier(2)
    ours.send(barrier)
    barrier.wait(60)
    child.join()
    assert child.exitcode == 0


def receive_barrier(connection: Any) -> None:
    connection.recv().wait(60)


def test_repr(ctx: Any) -> None:
    barrier = ctx.Barrier(3)
    kind = type(barrier)
    prefix = f"<{kind.__module__}.{kind.__qualname__} at {id(barrier):#x}: "
    assert repr(barrier) == prefix + "waiters=0/3>"
    barrier.abort()
    assert repr(barrier) == prefix + "broken>"


@pytest.mark.parametrize("parties", [0, -1, 2**31])
def test_no_such_number_of_parties(our_ctx: Any, parties: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        our_ctx.Barrier(parties)
