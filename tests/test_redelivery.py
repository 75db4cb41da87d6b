"""What happens to the items of a JoinableQueue whose takers died."""

from __future__ import annotations

import os
import pickle
import queue
import select
import signal
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from goprocessing import connection

from .conftest import starter
from .forks import exit_code, fork
from .waiting import eventually, until_blocked

LARGE = 500_000


@pytest.fixture
def method(request: pytest.FixtureRequest) -> str:
    name: str = getattr(request, "param", "fork")
    return name


both_methods = pytest.mark.parametrize("method", ["fork", "spawn"], indirect=True)


@pytest.fixture
def redelivering(our_ctx: Any) -> Iterator[Any]:
    q = our_ctx.JoinableQueue(redeliver=True)
    yield q
    q.close()


@pytest.fixture
def plain(our_ctx: Any) -> Iterator[Any]:
    q = our_ctx.JoinableQueue()
    yield q
    q.close()


def take(q: Any, number: int, taken: Any) -> None:
    items = [q.get() for _ in range(number)]
    taken.put(items)
    signal.pause()


def take_many(q: Any, number: int, taken: Any) -> None:
    taken.put(q.get_many(number))
    signal.pause()


def kill(process: Any) -> None:
    process.kill()
    process.join()


def killed_taker(
    ctx: Any, q: Any, number: int, target: Any = take, before: Sequence[Any] = ()
) -> list[Any]:
    """What a process had taken that was killed, after other items were put."""
    taken = ctx.Queue()
    with starter(ctx) as start:
        process = start(target, q, number, taken)
        items: list[Any] = taken.get()
        for item in before:
            q.put(item)
        kill(process)
    taken.close()
    return items


def work(q: Any, done: Any) -> None:
    while True:
        done.put(q.get())
        q.task_done()


@both_methods
def test_another_worker_does_it(redelivering: Any, our_ctx: Any, our_start: Any) -> None:
    for number in range(5):
        redelivering.put(number)
    assert killed_taker(our_ctx, redelivering, 3) == [0, 1, 2]
    done = our_ctx.Queue()
    our_start(work, redelivering, done)
    redelivering.join()
    assert sorted(done.get() for _ in range(5)) == list(range(5))
    assert done.empty()


def test_it_comes_before_all_others(redelivering: Any, our_ctx: Any) -> None:
    for number in range(5):
        redelivering.put(number)
    killed_taker(our_ctx, redelivering, 3)
    eventually(lambda: redelivering.qsize() == 5)
    assert [redelivering.get() for _ in range(5)] == list(range(5))


def test_takers_die_one_after_the_other(redelivering: Any, our_ctx: Any) -> None:
    redelivering.put("task")
    for _ in range(3):
        assert killed_taker(our_ctx, redelivering, 1) == ["task"]
    assert redelivering.get() == "task"
    redelivering.task_done()
    redelivering.join()
    assert redelivering.empty()
    with pytest.raises(ValueError, match="too many times"):
        redelivering.task_done()


def test_what_was_marked_does_not_return(redelivering: Any, our_ctx: Any) -> None:
    taken = our_ctx.Queue()
    for number in range(3):
        redelivering.put(number)
    with starter(our_ctx) as start:
        process = start(mark_first_of, redelivering, 2, taken)
        taken.get()
        kill(process)
    eventually(lambda: redelivering.qsize() == 2)
    assert [redelivering.get(), redelivering.get()] == [1, 2]
    for _ in range(2):
        redelivering.task_done()
    redelivering.join()
    taken.close()


def mark_first_of(q: Any, number: int, taken: Any) -> None:
    for _ in range(number):
        q.get()
    q.task_done()
    taken.put(None)
    signal.pause()


def leave(q: Any) -> None:
    q.get()


def test_a_process_that_exits_has_died(redelivering: Any, our_start: Any) -> None:
    redelivering.put("task")
    process = our_start(leave, redelivering)
    process.join()
    assert process.exitcode == 0
    assert redelivering.get(timeout=60) == "task"


@both_methods
def test_consumers_asleep_are_woken(redelivering: Any, our_ctx: Any, our_start: Any) -> None:
    taken, done = our_ctx.Queue(), our_ctx.Queue()
    for number in range(3):
        redelivering.put(number)
    holder = our_start(take, redelivering, 3, taken)
    taken.get()
    for _ in range(3):
        until_blocked(our_start(work, redelivering, done).pid)
    kill(holder)
    redelivering.join()
    assert sorted(done.get() for _ in range(3)) == [0, 1, 2]


def join_then_tell(q: Any, joined: Any) -> None:
    q.join()
    joined.set()


def test_join_waits_until_the_work_was_done(
    redelivering: Any, our_ctx: Any, our_start: Any
) -> None:
    joined = our_ctx.Event()
    redelivering.put("task")
    waiter = our_start(join_then_tell, redelivering, joined)
    killed_taker(our_ctx, redelivering, 1)
    assert redelivering.get(timeout=60) == "task"
    until_blocked(waiter.pid)
    assert not joined.is_set()
    redelivering.task_done()
    waiter.join()
    assert joined.is_set()


def test_those_who_look_see_it(redelivering: Any, our_ctx: Any) -> None:
    looks = (
        lambda: not redelivering.empty(),
        lambda: redelivering.qsize() == 1,
        lambda: redelivering._reader.poll(0),
        lambda: got(redelivering),
    )
    redelivering.put("task")
    for look in looks:
        killed_taker(our_ctx, redelivering, 1)
        eventually(look)
    redelivering.task_done()
    redelivering.join()


def got(q: Any) -> bool:
    try:
        q.get_nowait()
    except queue.Empty:
        return False
    return True


def test_get_many(redelivering: Any, our_ctx: Any) -> None:
    redelivering.put_many(range(100))
    assert killed_taker(our_ctx, redelivering, 60, take_many) == list(range(60))
    eventually(lambda: redelivering.qsize() == 100)
    assert redelivering.get_many(30) == list(range(30))
    assert redelivering.get_many() == list(range(30, 100))
    for _ in range(100):
        redelivering.task_done()
    redelivering.join()


def test_a_busy_queue_too(redelivering: Any, our_ctx: Any) -> None:
    redelivering.put("first")
    killed_taker(our_ctx, redelivering, 1)
    for _ in range(10):
        redelivering.put("other")

    def next_is_first() -> bool:
        item = redelivering.get()
        redelivering.task_done()
        redelivering.put("other")
        return bool(item == "first")

    eventually(next_is_first)


def spoil(q: Any, number: int, taken: Any) -> None:
    item = q.get()
    view = memoryview(item).cast("B")
    view[:10] = b"overwrites"
    taken.put([len(view)])
    signal.pause()


class Buffer:
    """Pickles out of band, as arrays do."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        return bytearray, (pickle.PickleBuffer(self.data),)


def test_large_items_return_as_they_were_put(redelivering: Any, our_ctx: Any) -> None:
    content = os.urandom(LARGE)
    redelivering.put(Buffer(content))
    redelivering.put(content)
    for _ in range(2):
        assert killed_taker(our_ctx, redelivering, 1, spoil) == [LARGE]
    eventually(lambda: redelivering.qsize() == 2)
    assert bytes(redelivering.get()) == content
    assert redelivering.get() == content
    for _ in range(2):
        redelivering.task_done()
    redelivering.join()


def test_a_copy_outlives_its_item(plain: Any) -> None:
    content = os.urandom(LARGE)
    plain.put(Buffer(content))
    received = plain.get()
    plain.task_done()
    plain.put(Buffer(bytes(LARGE)))
    plain.get()
    assert bytes(received) == content
    plain.task_done()


def test_maxsize_is_exceeded_for_the_moment(our_ctx: Any) -> None:
    q = our_ctx.JoinableQueue(2, redeliver=True)
    q.put(0)
    assert killed_taker(our_ctx, q, 1, before=[1, 2]) == [0]
    eventually(lambda: q._poll(0) and q.qsize() == 3)
    assert q.full()
    with pytest.raises(queue.Full):
        q.put_nowait(3)
    assert q.get() == 0
    q.close()


def test_another_process_may_mark_it(redelivering: Any, our_ctx: Any, our_start: Any) -> None:
    taken = our_ctx.Queue()
    redelivering.put("task")
    holder = our_start(take, redelivering, 1, taken)
    taken.get()
    redelivering.task_done()
    kill(holder)
    redelivering.join()
    assert redelivering.empty()


def test_a_forked_child_has_nothing_of_its_parents(redelivering: Any, our_ctx: Any) -> None:
    redelivering.put("of the parent")
    assert redelivering.get() == "of the parent"
    assert exit_code(fork(lambda: None)) == 0
    redelivering.put("of another child")
    killed_taker(our_ctx, redelivering, 1)
    eventually(lambda: not redelivering.empty())
    assert redelivering.get_many() == ["of another child"]
    for _ in range(2):
        redelivering.task_done()
    redelivering.join()


def test_a_watcher_hears_of_it(redelivering: Any, our_ctx: Any, our_start: Any) -> None:
    redelivering.put("task")
    reader = redelivering._reader
    killed_taker(our_ctx, redelivering, 1)
    our_start(join_then_tell, redelivering, our_ctx.Event())
    assert select.select([reader], [], [], 60)[0]
    assert redelivering.get() == "task"
    assert not select.select([reader], [], [], 0)[0]
    redelivering.task_done()


def test_those_who_wait_for_several_hear_of_it(redelivering: Any, our_ctx: Any) -> None:
    redelivering.put("task")
    reader = redelivering._reader
    killed_taker(our_ctx, redelivering, 1)
    assert connection.wait([reader], 60) == [reader]
    assert redelivering.get() == "task"
    assert connection.wait([reader], 0) == []
    redelivering.task_done()


def test_shutdown_drops_it(redelivering: Any, our_ctx: Any) -> None:
    for number in range(4):
        redelivering.put(number)
    killed_taker(our_ctx, redelivering, 2)
    eventually(lambda: redelivering.qsize() == 4)
    killed_taker(our_ctx, redelivering, 1)
    redelivering.shutdown(immediate=True)
    assert redelivering.empty()
    redelivering.join()


@both_methods
def test_abandoned(plain: Any, our_ctx: Any) -> None:
    for number in range(5):
        plain.put(number)
    assert plain.abandoned() == []
    killed_taker(our_ctx, plain, 3)
    assert plain.qsize() == 2
    assert plain.abandoned() == [0, 1, 2]
    assert plain.abandoned() == []
    assert plain.get_many() == [3, 4]
    for _ in range(5):
        plain.task_done()
    plain.join()


def test_abandoned_items_may_be_abandoned_again(plain: Any, our_ctx: Any) -> None:
    content = os.urandom(LARGE)
    plain.put(Buffer(content))
    plain.put("small")
    killed_taker(our_ctx, plain, 2, take_sizes)
    assert killed_taker(our_ctx, plain, 0, take_abandoned) == [2]
    first, second = plain.abandoned()
    assert bytes(first) == content
    assert second == "small"


def take_sizes(q: Any, number: int, taken: Any) -> None:
    taken.put([len(q.get()) for _ in range(number)])
    signal.pause()


def take_abandoned(q: Any, number: int, taken: Any) -> None:
    taken.put([len(q.abandoned())])
    signal.pause()


def test_nobody_abandons_to_a_queue_that_redelivers(redelivering: Any, our_ctx: Any) -> None:
    redelivering.put("task")
    killed_taker(our_ctx, redelivering, 1)
    assert redelivering.abandoned() == []
    assert redelivering.get(timeout=60) == "task"


class Unloadable:
    def __reduce__(self) -> Any:
        return _fail, ()


class Interrupting:
    def __reduce__(self) -> Any:
        return _interrupt, ()


def _interrupt() -> None:
    raise KeyboardInterrupt


def _fail() -> None:
    raise RuntimeError("cannot be unpickled")


def take_pickles(q: Any, number: int, taken: Any) -> None:
    for _ in range(number):
        q._reader.recv_bytes()
    taken.put([])
    signal.pause()


def test_abandoned_items_survive_one_that_cannot_be_unpickled(plain: Any, our_ctx: Any) -> None:
    plain.put(1)
    plain.put(Unloadable())
    plain.put(3)
    killed_taker(our_ctx, plain, 3, take_pickles)
    with pytest.raises(RuntimeError, match="cannot be unpickled") as raised:
        plain.abandoned()
    assert raised.value.items == [1, 3]  # type: ignore[attr-defined]
    for _ in range(3):
        plain.task_done()
    plain.join()


def test_ctrl_c_is_not_lost_among_items_that_cannot_be_unpickled(plain: Any, our_ctx: Any) -> None:
    items = [Unloadable(), Interrupting(), Unloadable(), 4]
    plain.put_many(items)
    killed_taker(our_ctx, plain, 4, take_pickles)
    plain.put_many(items)
    for get in plain.abandoned, plain.get_many:
        with pytest.raises(KeyboardInterrupt) as raised:
            get()
        assert raised.value.items == [4]  # type: ignore[attr-defined]


@both_methods
def test_the_mode_goes_with_the_queue(redelivering: Any, our_ctx: Any) -> None:
    """A child's queue redelivers too, and so does one that came through another."""
    carrier = our_ctx.Queue()
    redelivering.put("task")
    with starter(our_ctx) as start:
        process = start(send_back, carrier, redelivering)
        copy = carrier.get()
        kill(process)
    killed_taker(our_ctx, copy, 1)
    assert copy.get(timeout=60) == "task"
    carrier.close()


def send_back(carrier: Any, q: Any) -> None:
    carrier.put(q)
    signal.pause()


def test_redeliver_is_a_keyword() -> None:
    from goprocessing import JoinableQueue

    with pytest.raises(TypeError):
        JoinableQueue(0, True)  # type: ignore[call-arg, misc]
