"""A queue's private ends, of which programs make connections."""

from __future__ import annotations

import asyncio
import errno
import importlib
import os
import pickle
import queue
import select
import signal
import threading
import weakref
from multiprocessing import connection
from typing import Any

import goprocessing
import pytest
from goprocessing import _engine, queues

from .forks import exit_code, fork
from .test_queue import put_one
from .waiting import until_blocked


@pytest.fixture
def q(ctx: Any) -> Any:
    made = ctx.Queue()
    yield made
    made.close()
    made.join_thread()


@pytest.fixture
def our_queue() -> Any:
    return goprocessing.Queue()


def readable(source: Any, timeout: float = 0) -> bool:
    return bool(select.select([source], [], [], timeout)[0])


def block_on_reader(source: Any, answers: Any) -> None:
    connection.wait([source._reader])
    answers.put(source.get_nowait())


def wait_then_get(source: Any, count: int, answers: Any) -> None:
    for _ in range(count):
        connection.wait([source._reader])
        answers.put(source.get())


def use_ends(reader: Any, writer: Any) -> None:
    writer.send(("got", reader.recv()))


def put_and_die(source: Any) -> None:
    source.put("last words")
    os._exit(0)


# ---- over both implementations ----


def test_wait_for_queues_and_processes(q: Any, ctx: Any, start: Any) -> None:
    other = ctx.Queue()
    child = start(put_one, q, "item")
    waited = [other._reader, q._reader, child.sentinel]
    ready: list[Any] = []
    while q._reader not in ready:
        ready = connection.wait(waited)
    assert other._reader not in ready
    assert q.get() == "item"
    child.join()
    assert connection.wait([q._reader, child.sentinel], 60) == [child.sentinel]
    assert connection.wait([q._reader], 0.01) == []
    other.close()


def test_poll(q: Any, start: Any) -> None:
    assert q._reader.poll() is False
    assert q._reader.poll(0.01) is False
    start(put_one, q, "item")
    assert q._reader.poll(60) is True
    assert q._reader.poll(None) is True
    assert q.get() == "item"
    assert q._reader.poll(-1) is False


def test_another_process_waits(q: Any, ctx: Any, start: Any) -> None:
    answers = ctx.Queue()
    child = start(block_on_reader, q, answers)
    until_blocked(child.pid)
    q.put("item")
    assert answers.get() == "item"
    answers.close()


def test_event_loop(q: Any, start: Any) -> None:
    async def collect() -> list[Any]:
        loop = asyncio.get_running_loop()
        items: list[Any] = []
        done = loop.create_future()

        def take() -> None:
            items.append(q.get())
            if len(items) == 3:
                done.set_result(None)

        loop.add_reader(q._reader.fileno(), take)
        for item in range(3):
            start(put_one, q, item).join()
        await asyncio.wait_for(done, 60)
        loop.remove_reader(q._reader.fileno())
        return items

    assert asyncio.run(collect()) == [0, 1, 2]


def test_modes_of_the_ends(q: Any) -> None:
    assert (q._reader.readable, q._reader.writable) == (True, False)
    assert (q._writer.readable, q._writer.writable) == (False, True)
    assert (q._reader.closed, q._writer.closed) == (False, False)


def test_an_end_wrapped_by_a_subclass(module: Any) -> None:
    """As torch.multiprocessing does it."""
    base: Any = importlib.import_module(f"{module.__name__}.queues").Queue

    class Wrapper:
        def __init__(self, wrapped: Any) -> None:
            self.wrapped = wrapped

        def send(self, obj: Any) -> None:
            self.wrapped.send_bytes(pickle.dumps(obj))

        def recv(self) -> Any:
            return pickle.loads(self.wrapped.recv_bytes())

    class Wrapped(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(ctx=module.get_context())
            self._reader = Wrapper(self._reader)
            self._writer = Wrapper(self._writer)

    q = Wrapped()
    for item in ("text", [1, b"x" * 10_000]):
        q._writer.send(item)
        assert q._reader.recv() == item
    del q


# ---- ours ----


def test_readable_as_long_as_items_wait(our_queue: Any) -> None:
    our_queue.put("before it is watched")
    reader = our_queue._reader
    for rounds in range(3):
        assert readable(reader)
        our_queue.get()
        assert not readable(reader)
        for item in range(rounds + 1):
            our_queue.put(item)
            assert readable(reader)
        for _ in range(rounds):
            our_queue.get()
            assert readable(reader)
    assert our_queue.get() == 2
    assert not readable(reader)


def test_several_processes_watch(our_ctx: Any, our_start: Any) -> None:
    q, answers = our_ctx.Queue(), our_ctx.Queue()
    watchers = [our_start(wait_then_get, q, 2, answers) for _ in range(3)]
    for watcher in watchers:
        until_blocked(watcher.pid)
    for item in range(6):
        q.put(item)
    assert sorted(answers.get() for _ in range(6)) == list(range(6))
    for watcher in watchers:
        watcher.join()
    assert not readable(q._reader)


def test_shutdown_is_seen(our_queue: Any) -> None:
    assert not readable(our_queue._reader)
    our_queue.put("item")
    our_queue.shutdown()
    assert readable(our_queue._reader)
    assert our_queue._reader.recv() == "item"
    assert readable(our_queue._reader)
    assert our_queue._reader.poll()
    with pytest.raises(queues.ShutDown):
        our_queue._reader.recv()


def test_a_watched_queue_whose_producer_dies(our_ctx: Any, our_start: Any) -> None:
    q = our_ctx.Queue()
    assert connection.wait([q._reader], 0) == []
    child = our_start(put_and_die, q)
    assert connection.wait([q._reader], 60) == [q._reader]
    assert q.get_nowait() == "last words"
    child.join()


def put_one_by_one(source: Any, seen: Any, count: int) -> None:
    for item in range(count):
        source.put(item)
        seen.acquire()


@pytest.mark.parametrize("look", ["get_nowait", "empty", "poll"])
def test_a_reader_that_is_readable_has_an_item(our_ctx: Any, our_start: Any, look: str) -> None:
    q, seen = our_ctx.Queue(), our_ctx.Semaphore(0)
    our_start(put_one_by_one, q, seen, 300)
    for item in range(300):
        assert connection.wait([q._reader], 60)
        if look == "empty":
            assert not q.empty()
        elif look == "poll":
            assert q._reader.poll()
        assert q.get_nowait() == item
        seen.release()


def test_send_and_receive(our_queue: Any) -> None:
    reader, writer = our_queue._reader, our_queue._writer
    writer.send({"an": "object"})
    writer.send_bytes(pickle.dumps("pickled"))
    our_queue.put(b"x" * 5000)
    assert reader.recv() == {"an": "object"}
    assert our_queue.get() == "pickled"
    assert pickle.loads(reader.recv_bytes()) == b"x" * 5000


def test_a_subclass_by_way_of_its_ends() -> None:
    class ByEnds(queues.Queue):  # type: ignore[type-arg]
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            return ("got", self._reader.recv())

        def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
            self._writer.send(("put", obj))

    q = ByEnds()
    q.put("item")
    assert q.get() == ("got", ("put", "item"))


def test_ends_are_equal_and_make_no_cycle(our_queue: Any) -> None:
    assert our_queue._reader == our_queue._reader
    assert our_queue._reader != our_queue._writer
    assert our_queue._reader != goprocessing.Queue()._reader
    assert {our_queue._reader: 1}[our_queue._reader] == 1
    q = goprocessing.Queue()
    reader = q._reader
    reader.fileno()
    reference = weakref.ref(q)
    del q
    assert reference() is not None
    del reader
    assert reference() is None


def test_ends_are_picklable(our_ctx: Any, our_start: Any) -> None:
    to, back = our_ctx.Queue(), our_ctx.Queue()
    our_start(use_ends, to._reader, back._writer)
    to.put("item")
    assert back.get() == ("got", "item")


def test_closing_one_end(our_queue: Any) -> None:
    our_queue.put("item")
    our_queue._writer.close()
    assert our_queue._writer.closed
    assert not our_queue._reader.closed
    with pytest.raises(OSError, match="handle is closed"):
        our_queue._writer.send("refused")
    with pytest.raises(ValueError, match="is closed"):
        our_queue.put("refused")
    assert our_queue.get() == "item"
    our_queue._reader.close()
    assert our_queue._closed


def test_the_ends_of_a_closed_queue(our_queue: Any) -> None:
    fd = our_queue._reader.fileno()
    our_queue.close()
    assert our_queue._reader.closed
    assert our_queue._writer.closed
    for use in ("fileno", "poll", "recv", "recv_bytes"):
        with pytest.raises(OSError, match="handle is closed"):
            getattr(our_queue._reader, use)()
    for use in ("send", "send_bytes"):
        with pytest.raises(OSError, match="handle is closed"):
            getattr(our_queue._writer, use)(b"")
    os.fstat(fd)
    our_queue._reader.close()


def test_a_queue_without_its_bell() -> None:
    q = goprocessing.Queue()
    without: Any = queues.Queue._attach(os.dup(q._fileno()))
    with pytest.raises(OSError, match="opened without") as raised:
        without._reader.fileno()
    assert raised.value.errno == errno.ENOTSUP
    without.put("item")
    assert without._reader.poll()
    assert q.get() == "item"
    requests: Any = goprocessing.Queue()
    requests.put(without)
    requests.get().put("by another")
    assert q.get() == "by another"


def test_a_daemon_that_closed_all_descriptors() -> None:
    """The numbers may be other files by then: they are left alone."""
    q = goprocessing.Queue()
    q._reader.fileno()
    q.put("first")  # memory for an item or two

    def daemon() -> None:
        os.closerange(3, 1000)
        read, write = os.pipe()
        for fd in range(max(read, write) + 1, 100):
            os.dup2(write, fd)
        os.set_blocking(read, False)
        q.put("from the daemon")
        q.get()
        q.get()
        with pytest.raises(BlockingIOError):
            os.read(read, 1)
        with pytest.raises(OSError, match="cannot be watched"):
            q._reader.fileno()

    assert exit_code(fork(daemon)) == 0
    assert q.empty()
    with pytest.raises(queue.Empty):
        q.get_nowait()
    assert not readable(q._reader)


def test_an_interrupted_poll(our_queue: Any) -> None:
    class Interrupted(Exception):
        pass

    def handler(*_: Any) -> None:
        raise Interrupted

    previous = signal.signal(signal.SIGUSR1, handler)
    main = threading.get_native_id()

    def interrupt() -> None:
        until_blocked(os.getpid(), main)
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(Interrupted):
            our_queue._reader.poll(60)
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, previous)


def test_engine_arguments(our_queue: Any) -> None:
    with pytest.raises(TypeError):
        our_queue._reader.poll("soon")
    with pytest.raises(TypeError):
        our_queue._writer.send_bytes("text")
    uninitialized = _engine.Queue.__new__(_engine.Queue)
    for use in (uninitialized._poll, uninitialized._watch, uninitialized.shutdown):
        with pytest.raises(RuntimeError, match="was not called"):
            use()


def test_is_the_same_as_long_as_somebody_has_it(ctx: Any) -> None:
    queue = ctx.Queue()
    queue.put("item")
    reader = queue._reader
    assert reader is queue._reader
    assert [ready is queue._reader for ready in connection.wait([reader], 30)] == [True]
    assert weakref.ref(reader)() is reader
    assert queue.get() == "item"
    queue.close()
    queue.join_thread()
