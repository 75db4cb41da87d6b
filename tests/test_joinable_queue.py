"""JoinableQueue, over both implementations and all start methods."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from .waiting import until_blocked


@pytest.fixture
def joinable(ctx: Any) -> Any:
    q = ctx.JoinableQueue()
    yield q
    q.close()
    q.join_thread()


def work(q: Any) -> None:
    while True:
        q.get()
        q.task_done()


def produce_and_join(q: Any, items: int) -> None:
    for number in range(items):
        q.put(number)
    q.join()


def join_then_tell(q: Any, done: Any) -> None:
    q.join()
    done.set()


def test_join_of_an_unused_queue_returns(joinable: Any) -> None:
    joinable.join()


def test_join_waits_for_all_tasks(joinable: Any, ctx: Any, start: Any) -> None:
    done = ctx.Event()
    for number in range(3):
        joinable.put(number)
    child = start(join_then_tell, joinable, done)
    for _ in range(3):
        until_blocked(child.pid)
        assert not done.is_set()
        joinable.get()
        joinable.task_done()
    child.join()
    assert child.exitcode == 0
    assert done.is_set()


def test_producers_join_and_daemons_work(joinable: Any, start: Any) -> None:
    for _ in range(2):
        start(work, joinable)
    producers = [start(produce_and_join, joinable, 200) for _ in range(3)]
    for process in producers:
        process.join()
        assert process.exitcode == 0
    joinable.join()


def test_join_and_put_again(joinable: Any, start: Any) -> None:
    start(work, joinable)
    for _ in range(20):
        joinable.put("task")
        joinable.join()


def test_many_wait_in_join(joinable: Any, ctx: Any, start: Any) -> None:
    joinable.put("task")
    events = [ctx.Event() for _ in range(3)]
    children = [start(join_then_tell, joinable, event) for event in events]
    for child in children:
        until_blocked(child.pid)
    joinable.get()
    joinable.task_done()
    for child in children:
        child.join()
    assert all(event.is_set() for event in events)


def test_one_task_done_too_many(joinable: Any) -> None:
    with pytest.raises(ValueError, match=r"task_done\(\) called too many times"):
        joinable.task_done()
    joinable.put("task")
    joinable.get()
    joinable.task_done()
    with pytest.raises(ValueError, match=r"task_done\(\) called too many times"):
        joinable.task_done()
    joinable.join()


def test_task_done_before_get(joinable: Any) -> None:
    joinable.put("task")
    joinable.task_done()
    joinable.join()
    assert joinable.get() == "task"


def test_put_that_fails_is_no_task(ctx: Any) -> None:
    import queue

    q = ctx.JoinableQueue(1)
    q.put("task")
    with pytest.raises(queue.Full):
        q.put_nowait("refused")
    q.get()
    q.task_done()
    q.join()
    q.close()
    q.join_thread()


def test_threads_of_one_process(joinable: Any) -> None:
    counted = []

    def take() -> None:
        while (item := joinable.get()) is not None:
            counted.append(item)
            joinable.task_done()
        joinable.task_done()

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(300):
        joinable.put(number)
    joinable.join()
    assert sorted(counted) == list(range(300))
    for _ in threads:
        joinable.put(None)
    for thread in threads:
        thread.join()


def test_is_a_standard_joinable_queue(joinable: Any) -> None:
    import multiprocessing.queues

    assert isinstance(joinable, multiprocessing.queues.JoinableQueue)
    assert isinstance(joinable, multiprocessing.queues.Queue)
