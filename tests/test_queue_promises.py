"""What this package's queues promise beyond the standard library's."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import threading
from typing import Any, ClassVar

import goprocessing
import pytest
from goprocessing import queues

from .test_queue import produce


class Unpicklable:
    def __reduce__(self) -> Any:
        raise pickle.PicklingError("not this one")


class Slots(queues.Queue):  # type: ignore[type-arg]
    """A subclass with state of its own."""

    def __init__(self, label: str) -> None:
        super().__init__(3)
        self.label = label


class Lenient(queues.Queue):  # type: ignore[type-arg]
    errors: ClassVar[list[tuple[type[BaseException], Any]]] = []

    @staticmethod
    def _on_queue_feeder_error(error: Exception, obj: Any) -> None:
        Lenient.errors.append((type(error), obj))


def put_items(q: Any, count: int, size: int) -> None:
    for _ in range(count):
        q.put(b"x" * size)


def answer_label(q: Any) -> None:
    q.put((type(q).__name__, q.label, q._maxsize))


def put_then_die(q: Any) -> None:
    q.put("kept")
    os._exit(0)


def serve(requests: Any, answers: Any) -> None:
    while (received := requests.get()) is not None:
        answers.put(received.get())
        if isinstance(received, multiprocessing.queues.JoinableQueue):
            received.task_done()


def use_lock(requests: Any, answers: Any) -> None:
    lock, semaphore, event = requests.get()
    answers.put(lock.acquire(False))
    semaphore.release()
    event.set()


def test_state_is_true_at_once(our_ctx: Any) -> None:
    q = our_ctx.Queue(3)
    for size in range(3):
        assert q.qsize() == size
        assert q.full() is False
        q.put(size)
        assert q.empty() is False
    assert q.full() is True
    for size in (2, 1, 0):
        q.get_nowait()
        assert q.qsize() == size
    assert q.empty() is True


def test_an_item_is_put_when_put_returns(our_ctx: Any, our_start: Any) -> None:
    q = our_ctx.Queue()
    child = our_start(put_then_die, q)
    child.join()
    assert q.get_nowait() == "kept"


def test_joining_a_producer_never_hangs(our_ctx: Any, our_start: Any) -> None:
    """The standard library's documented deadlock: join before the items are got."""
    q = our_ctx.Queue()
    child = our_start(put_items, q, 100, 100_000)
    child.join()
    assert child.exitcode == 0
    assert q.qsize() == 100
    for _ in range(100):
        assert len(q.get_nowait()) == 100_000


def test_no_thread_feeds(our_ctx: Any) -> None:
    q = our_ctx.Queue()
    before = threading.active_count()
    q.put("item")
    assert threading.active_count() == before


def test_the_unpicklable_raises_in_put(our_ctx: Any) -> None:
    for q in our_ctx.Queue(2), our_ctx.JoinableQueue(2):
        q.put("before")
        for obj in (Unpicklable(), lambda: None, threading.Lock()):
            with pytest.raises((pickle.PicklingError, TypeError, AttributeError)):
                q.put(obj)
        q.put("after")
        assert [q.get(), q.get()] == ["before", "after"]
        assert q.empty()
    q.task_done()
    q.task_done()
    q.join()


def test_a_feeder_error_hook_gets_the_unpicklable() -> None:
    q = Lenient()
    obj = Unpicklable()
    q.put(obj)
    q.put("after")
    assert Lenient.errors == [(pickle.PicklingError, obj)]
    assert q.get() == "after"
    Lenient.errors.clear()


def test_registered_reducers_count(our_ctx: Any) -> None:
    class Local:
        pass

    multiprocessing.reduction.ForkingPickler.register(Local, lambda _: (str, ("reduced",)))
    q = our_ctx.Queue()
    q.put(Local())
    assert q.get() == "reduced"


def test_a_subclass_keeps_its_class_and_attributes(our_ctx: Any, our_start: Any) -> None:
    q = Slots("a label")
    our_start(answer_label, q)
    assert q.get() == ("Slots", "a label", 3)


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue"])
def test_to_a_process_that_already_runs(our_ctx: Any, our_start: Any, kind: str) -> None:
    requests, answers = our_ctx.Queue(), our_ctx.Queue()
    child = our_start(serve, requests, answers)
    sent = getattr(our_ctx, kind)()
    requests.put(sent)
    sent.put("to a process that runs")
    assert answers.get() == "to a process that runs"
    if kind == "JoinableQueue":
        sent.join()
    requests.put(None)
    child.join()
    assert child.exitcode == 0


def test_locks_to_a_process_that_already_runs(our_ctx: Any, our_start: Any) -> None:
    requests, answers = our_ctx.Queue(), our_ctx.Queue()
    our_start(use_lock, requests, answers)
    lock, semaphore, event = our_ctx.Lock(), our_ctx.Semaphore(0), our_ctx.Event()
    lock.acquire()
    requests.put((lock, semaphore, event))
    assert answers.get() is False
    assert semaphore.acquire(timeout=60)
    assert event.wait(60)


def test_a_queue_in_a_queue(our_ctx: Any) -> None:
    outer, inner = our_ctx.Queue(), our_ctx.Queue()
    outer.put(inner)
    same = outer.get()
    same.put("through the other handle")
    assert inner.get() == "through the other handle"


def test_join_thread_and_cancel_join_thread_exist(our_ctx: Any) -> None:
    q = our_ctx.Queue()
    q.put("item")
    q.cancel_join_thread()
    q.close()
    q.join_thread()


def test_a_closed_queue_that_was_used_has_no_state(our_ctx: Any) -> None:
    unused, used = our_ctx.Queue(), our_ctx.Queue()
    unused.close()
    assert unused.empty() is True
    used.put("item")
    used.close()
    with pytest.raises(OSError, match="is closed"):
        used.empty()


def test_items_outlive_their_producer_in_order(our_ctx: Any, our_start: Any) -> None:
    q = our_ctx.Queue()
    for begin in range(0, 3000, 1000):
        child = our_start(produce, q, begin, begin + 1000)
        child.join()
    assert [q.get_nowait() for _ in range(3000)] == list(range(3000))


def test_generic_alias() -> None:
    assert queues.Queue[int].__origin__ is queues.Queue
    assert queues.JoinableQueue[int].__origin__ is queues.JoinableQueue


def test_no_reference_to_items_is_kept() -> None:
    import gc
    import weakref

    class Item:
        pass

    q = goprocessing.Queue()
    item = Item()
    reference = weakref.ref(item)
    with contextlib.suppress(pickle.PicklingError, AttributeError):
        q.put(item)
    q.put(["an", "object"])
    del item
    gc.collect()
    assert reference() is None
