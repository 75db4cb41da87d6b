"""Queues, locks and connections that reach processes which already run."""

from __future__ import annotations

import concurrent.futures
import contextlib
import gc
import multiprocessing.connection
import pickle
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_sharer
from typing import Any, NamedTuple

import goprocessing
import pytest
from goprocessing.reduction import ForkingPickler

from .conftest import descriptors
from .waiting import eventually


class Kind(NamedTuple):
    """What this process does with an object before and after the other one uses it."""

    make: Callable[[Any], Any]
    before: Callable[[Any], object]
    there: Callable[[Any], object]
    after: Callable[[Any], object]


def expect(value: object, expected: object = True) -> None:
    assert value == expected


def nothing(_: Any) -> None:
    pass


def notify(condition: Any) -> None:
    with condition:
        condition.notify()


def acquire_and_release(lock: Any) -> None:
    expect(lock.acquire(timeout=30))
    lock.release()


def get_and_mark_done(q: Any) -> None:
    expect(q.get(), "task")
    q.task_done()


KINDS = {
    "Queue": Kind(
        lambda ctx: ctx.Queue(3),
        nothing,
        lambda q: q.put(q._maxsize),
        lambda q: expect(q.get(), 3),
    ),
    "JoinableQueue": Kind(
        lambda ctx: ctx.JoinableQueue(),
        lambda q: q.put("task"),
        get_and_mark_done,
        lambda q: q.join(),
    ),
    "SimpleQueue": Kind(
        lambda ctx: ctx.SimpleQueue(),
        nothing,
        lambda q: q.put("item"),
        lambda q: expect(q.get(), "item"),
    ),
    "Lock": Kind(
        lambda ctx: ctx.Lock(),
        lambda lock: lock.acquire(),
        lambda lock: lock.release(),
        acquire_and_release,
    ),
    "RLock": Kind(
        lambda ctx: ctx.RLock(),
        nothing,
        acquire_and_release,
        acquire_and_release,
    ),
    "Semaphore": Kind(
        lambda ctx: ctx.Semaphore(0),
        nothing,
        lambda semaphore: semaphore.release(),
        lambda semaphore: expect(semaphore.acquire(timeout=30)),
    ),
    "BoundedSemaphore": Kind(
        lambda ctx: ctx.BoundedSemaphore(1),
        lambda semaphore: semaphore.acquire(),
        lambda semaphore: semaphore.release(),
        acquire_and_release,
    ),
    "Event": Kind(
        lambda ctx: ctx.Event(),
        nothing,
        lambda event: event.set(),
        lambda event: expect(event.wait(30)),
    ),
    "Condition": Kind(
        lambda ctx: ctx.Condition(),
        lambda condition: condition.acquire(),
        notify,
        lambda condition: (expect(condition.wait(30)), condition.release()),
    ),
    "Barrier": Kind(
        lambda ctx: ctx.Barrier(2),
        nothing,
        lambda barrier: barrier.wait(30),
        lambda barrier: barrier.wait(30),
    ),
}


def use(name: str, obj: Any) -> None:
    KINDS[name].there(obj)


def serve(receive: Callable[[], Any], answer: Callable[[Any], object]) -> None:
    while (received := receive()) is not None:
        try:
            use(*received)
        except BaseException as error:
            answer(repr(error))
            raise


def serve_queue(requests: Any, answers: Any) -> None:
    serve(requests.get, answers.put)


def serve_connection(connection: Any, answers: Any) -> None:
    serve(connection.recv, answers.put)


def serve_client(address: Any, answers: Any) -> None:
    with multiprocessing.connection.Client(address) as connection:
        serve(connection.recv, answers.put)


def serve_list(shared: Any, semaphore: Any, answers: Any) -> None:
    def receive() -> Any:
        semaphore.acquire()
        return shared.pop()

    serve(receive, answers.put)


@contextlib.contextmanager
def server(ctx: Any, target: Callable[..., None], *args: Any) -> Iterator[None]:
    answers = ctx.Queue()
    process = ctx.Process(target=target, args=(*args, answers))
    process.start()
    try:
        yield
    finally:
        process.join(30)
        process.kill()
        process.join()
        code = process.exitcode
        process.close()
    assert code == 0, answers.get_nowait()


@contextlib.contextmanager
def through_a_queue(ctx: Any) -> Iterator[Callable[..., object]]:
    requests = ctx.Queue()
    with server(ctx, serve_queue, requests):
        yield lambda *request: requests.put(request)
        requests.put(None)


@contextlib.contextmanager
def through_a_pipe(ctx: Any) -> Iterator[Callable[..., object]]:
    here, there = ctx.Pipe()
    with here, there, server(ctx, serve_connection, there):
        yield lambda *request: here.send(request)
        here.send(None)


@contextlib.contextmanager
def through_a_listener(ctx: Any, family: str) -> Iterator[Callable[..., object]]:
    with multiprocessing.connection.Listener(family=family) as listener:
        with server(ctx, serve_client, listener.address), listener.accept() as connection:
            yield lambda *request: connection.send(request)
            connection.send(None)


@contextlib.contextmanager
def through_a_manager(ctx: Any) -> Iterator[Callable[..., object]]:
    semaphore = ctx.Semaphore(0)
    with ctx.Manager() as manager:
        shared = manager.list()

        def send(*request: Any) -> None:
            shared.append(request)
            semaphore.release()

        with server(ctx, serve_list, shared, semaphore):
            yield send
            shared.append(None)
            semaphore.release()


@contextlib.contextmanager
def through_a_pool(ctx: Any) -> Iterator[Callable[..., object]]:
    with ctx.Pool(1) as pool:
        results = []
        yield lambda *request: results.append(pool.apply_async(use, request))
        for result in results:
            result.get(30)
        pool.close()
        pool.join()


@contextlib.contextmanager
def through_an_executor(ctx: Any) -> Iterator[Callable[..., object]]:
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=ctx) as executor:
        results = []
        yield lambda *request: results.append(executor.submit(use, *request))
        for result in results:
            result.result(30)


WAYS: dict[str, Callable[[Any], Any]] = {
    "queue": through_a_queue,
    "pipe": through_a_pipe,
    "AF_UNIX": lambda ctx: through_a_listener(ctx, "AF_UNIX"),
    "AF_INET": lambda ctx: through_a_listener(ctx, "AF_INET"),
    "manager": through_a_manager,
    "pool": through_a_pool,
    "executor": through_an_executor,
}


@pytest.fixture(params=WAYS)
def send(request: pytest.FixtureRequest, our_ctx: Any) -> Iterator[Callable[..., object]]:
    with WAYS[request.param](our_ctx) as function:
        yield function


def test_objects(send: Callable[..., object], our_ctx: Any) -> None:
    for name in KINDS:
        kind = KINDS[name]
        obj = kind.make(our_ctx)
        for _ in range(2):
            kind.before(obj)
            send(name, obj)
            kind.after(obj)


def make(name: str, method: str) -> Any:
    """An object that is used here before it is returned."""
    obj = KINDS[name].make(goprocessing.get_context(method))
    made.append(obj)
    KINDS[name].before(obj)
    return obj


made: list[Any] = []
# Of the others, the process that made them waits before the other one is done.
RESULTS = KINDS.keys() - {"Barrier", "Condition"}


def finish(name: str) -> None:
    KINDS[name].after(made.pop())


def test_results_of_a_pool(our_ctx: Any, method: str) -> None:
    with our_ctx.Pool(1) as pool:
        for name in RESULTS:
            use(name, pool.apply(make, (name, method)))
            pool.apply(finish, (name,))
        pool.close()
        pool.join()


def test_results_of_an_executor(our_ctx: Any, method: str) -> None:
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=our_ctx) as executor:
        for name in RESULTS:
            use(name, executor.submit(make, name, method).result())
            executor.submit(finish, name).result()


def pass_on(connection: Any) -> None:
    """Sends what it receives to a process that runs already, and did before."""
    with connection:
        while (received := connection.recv()) is not None:
            connection.send(len(descriptors()) if received == "count" else received)
            del received


def test_sent_on(our_ctx: Any, our_start: Any) -> None:
    """There and back, in both directions, with nothing left on the way."""
    here, there = our_ctx.Pipe()
    child = our_start(pass_on, there)
    there.close()

    def send_all() -> None:
        for name, kind in KINDS.items():
            obj = kind.make(our_ctx)
            kind.before(obj)
            here.send(obj)
            back = here.recv()
            assert type(back) is type(obj)
            if name not in ("Condition", "Barrier"):
                kind.there(back)
                kind.after(obj)

    def count() -> Any:
        here.send("count")
        return here.recv()

    with here:
        send_all()
        before = count()
        send_all()
        # The thread that hands duplicates out closes them when it comes to it.
        eventually(lambda: count() <= before, lambda: f"{count()} descriptors, once {before}")
        here.send(None)
    child.join()
    assert child.exitcode == 0


def take_out(outer: Any, answers: Any) -> None:
    answers.put(outer.get().get().get())


def test_queues_in_queues(our_ctx: Any, our_start: Any) -> None:
    outer, answers = our_ctx.Queue(), our_ctx.Queue()
    child = our_start(take_out, outer, answers)
    middle, inner = our_ctx.Queue(), our_ctx.Queue()
    inner.put("inner")
    middle.put(inner)
    outer.put(middle)
    assert answers.get() == "inner"
    child.join()


def talk(connection: Any) -> None:
    with connection.recv() as received:
        received.send(received.recv() + 1)
    ours, theirs = goprocessing.Pipe()
    connection.send(theirs)
    theirs.close()
    with ours:
        connection.send(ours.recv())


@pytest.mark.parametrize("family", ["AF_UNIX", "AF_INET", None])
def test_connections_through_connections(family: str | None, our_ctx: Any, our_start: Any) -> None:
    """In both directions; through ours, and through what a Listener accepts."""
    with contextlib.ExitStack() as stack:
        if family is None:
            here, there = map(stack.enter_context, our_ctx.Pipe())
            our_start(talk, there)
        else:
            listener = stack.enter_context(multiprocessing.connection.Listener(family=family))
            our_start(talk_to, listener.address)
            here = stack.enter_context(listener.accept())
            assert type(here) is multiprocessing.connection.Connection
        ours, theirs = our_ctx.Pipe()
        with ours:
            here.send(theirs)
            theirs.close()
            ours.send(1)
            assert ours.recv() == 2
            with pytest.raises(EOFError):
                ours.recv()
        with here.recv() as received:
            received.send("back")
        assert here.recv() == "back"


def talk_to(address: Any) -> None:
    with multiprocessing.connection.Client(address) as connection:
        assert type(connection) is multiprocessing.connection.Connection
        talk(connection)


def test_what_the_standard_library_sends(our_ctx: Any, our_start: Any) -> None:
    """Its connections pass through ours as ours do through its."""
    here, there = our_ctx.Pipe()
    ours, theirs = multiprocessing.Pipe()
    with here, there, ours:
        our_start(talk, there)
        here.send(theirs)
        theirs.close()
        ours.send(1)
        assert ours.recv() == 2
        with here.recv() as received:
            received.send("back")
        assert here.recv() == "back"


def dumped(obj: Any) -> bytes:
    return bytes(ForkingPickler.dumps(obj))


def send_and_exit(queue: Any, name: str, method: str) -> None:
    queue.put(make(name, method))


@pytest.mark.parametrize("name", KINDS)
def test_from_a_process_that_has_exited(name: str, our_ctx: Any, method: str) -> None:
    q = our_ctx.Queue()
    child = our_ctx.Process(target=send_and_exit, args=(q, name, method))
    child.start()
    child.join()
    child.close()
    with pytest.raises(pickle.UnpicklingError, match="the process that pickled this object is"):
        q.get()
    assert q.empty()


def send_and_wait(queue: Any) -> None:
    queue.put(goprocessing.Queue())
    threading.Event().wait()


def test_from_a_process_that_was_killed(our_ctx: Any) -> None:
    q = our_ctx.Queue()
    child = our_ctx.Process(target=send_and_wait, args=(q,))
    child.start()
    eventually(lambda: not q.empty())
    child.kill()
    child.join()
    child.close()
    with pytest.raises(pickle.UnpicklingError, match="the process that pickled this object is"):
        q.get()


def test_unpickled_twice(capsys: pytest.CaptureFixture[str]) -> None:
    data = dumped(goprocessing.Queue())
    pickle.loads(data).put(1)
    with pytest.raises(pickle.UnpicklingError, match="or it was unpickled before"):
        pickle.loads(data)
    # What the standard library's thread says about it.
    eventually(lambda: "KeyError" in capsys.readouterr().err)


def test_outlives_the_one_that_was_pickled() -> None:
    q = goprocessing.Queue()
    q.put("item")
    data = dumped(q)
    del q
    gc.collect()
    assert pickle.loads(data).get() == "item"


def test_pickled_often_and_never_unpickled() -> None:
    """One duplicate of each descriptor, until the last that is under way."""
    a, b = goprocessing.Pipe()
    with a, b:
        for obj in [*(KINDS[name].make(goprocessing) for name in KINDS), a, b]:
            resource_sharer.stop()
            before = len(descriptors())
            data = [dumped(obj)]
            expected = len(descriptors())
            data += [dumped(obj) for _ in range(500)]
            assert len(descriptors()) == expected
            while len(data) > 1:
                pickle.loads(data.pop())
            eventually(lambda: len(descriptors()) == expected)  # noqa: B023
            pickle.loads(data.pop())
            # The sharer's listener is left.
            eventually(lambda: len(descriptors()) == before + 1)  # noqa: B023
