"""put_many and get_many: several items in one pass through the queue."""

from __future__ import annotations

import errno
import os
import pickle
import queue
import resource
import signal
import threading
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import goprocessing
import pytest
from goprocessing import queues
from goprocessing.queues import ShutDown

from .conftest import descriptors
from .forks import exit_code, fork
from .test_errors import FailsToLoad, limited
from .test_large_items import Array, array, pattern
from .test_memory import MIB, held
from .test_queue import ITEMS
from .test_queue_promises import Unpicklable
from .test_shutdown import Blocked
from .waiting import until_blocked

KINDS = ["Queue", "JoinableQueue"]
END = "no more"


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Any:
    return getattr(goprocessing, request.param)


def get_all(q: Any) -> list[Any]:
    items = []
    while not q.empty():
        items += q.get_many()
    return items


# ---- what goes in comes out ----


@pytest.mark.parametrize("count", [1, 2, 3, 100, 5000])
def test_in_their_order(make: Any, count: int) -> None:
    q = make()
    q.put_many(range(count))
    assert q.qsize() == count
    assert get_all(q) == list(range(count))
    q.put_many(range(count))
    assert [q.get() for _ in range(count)] == list(range(count))
    for number in range(count):
        q.put(number)
    assert get_all(q) == list(range(count))


def test_items_of_all_types(make: Any) -> None:
    q = make()
    q.put_many(ITEMS)
    for got, item in zip(get_all(q), ITEMS, strict=True):
        assert type(got) is type(item)
        assert repr(got) == repr(item)


@pytest.mark.parametrize(
    "convert",
    [list, tuple, dict.fromkeys, set, iter, lambda objs: (obj for obj in objs)],
)
def test_any_iterable(make: Any, convert: Callable[[list[int]], Iterable[int]]) -> None:
    q = make()
    q.put_many(convert([1, 2]))
    assert q.get_many() == [1, 2]


def test_nothing(make: Any) -> None:
    q = make(1)
    q.put_many([])
    assert q.empty()
    q.put("full")
    for options in {}, {"block": False}, {"timeout": 0.001}:
        q.put_many(iter(()), **options)
    assert q.get_many() == ["full"]


def test_a_generator_that_uses_the_queue() -> None:
    q = goprocessing.Queue()

    def objs() -> Any:
        for number in range(3):
            q.put(f"by the generator: {number}")
            yield number

    q.put_many(objs())
    assert get_all(q) == [*(f"by the generator: {n}" for n in range(3)), 0, 1, 2]


def test_a_generator_that_fails(make: Any) -> None:
    def objs() -> Any:
        yield 1
        raise LookupError("in the generator")

    q = make()
    with pytest.raises(LookupError, match="in the generator"):
        q.put_many(objs())
    assert q.empty()


def test_max_items(make: Any) -> None:
    q = make()
    q.put_many(range(10))
    assert q.get_many(1) == [0]
    assert q.get_many(max_items=2) == [1, 2]
    assert q.get_many(3, False) == [3, 4, 5]
    assert q.get_many(100, timeout=1) == [6, 7, 8, 9]
    q.put_many(range(3))
    assert q.get_many(None) == [0, 1, 2]
    q.put(1)
    assert q.get_many(2**62) == [1]


def test_one_pass_takes_so_many_bytes() -> None:
    q = goprocessing.Queue()
    sizes = [10, 30_000, 40_000, 65_000, 65_536, 70_000, 5, 1_000_000, 6, 7]
    q.put_many([pattern(size) for size in sizes])
    passes = []
    while not q.empty():
        passes.append(q.get_many())
    assert [len(item) for items in passes for item in items] == sizes
    assert [item for items in passes for item in items] == [pattern(size) for size in sizes]
    for items in passes:
        assert sum(map(len, items)) <= 65_536 or len(items) == 1


@pytest.mark.parametrize("size", range(65_530 - 32, 65_536 + 9))
def test_items_that_just_fit(size: int) -> None:
    q = goprocessing.Queue()
    q.put_many([pattern(size), "next", pattern(size)])
    items: list[Any] = []
    while len(items) < 3:
        items += q.get_many()
    assert items == [pattern(size), "next", pattern(size)]


def test_mixed_with_put_and_get_of_large_items(make: Any) -> None:
    q = make()
    items: list[Any] = []
    for number in range(5):
        some = [number, pattern(MIB), array(MIB), "x" * 300_000, array(70_000), [array(MIB)] * 2]
        q.put_many(some)
        for item in some:
            q.put(item)
        items += some * 2
    got = []
    while not q.empty():
        got.append(q.get())
        if not q.empty():
            got += q.get_many(3)
    assert got == items


def test_large_items_that_get_many_returns_are_writable(make: Any) -> None:
    q = make()
    q.put(array(MIB))
    (item,) = q.get_many()
    item.data[:] = bytes(MIB)
    assert item == Array(bytes(MIB))


def test_tasks_are_counted() -> None:
    q = goprocessing.JoinableQueue()
    q.put_many(range(5))
    assert len(q.get_many()) == 5
    for _ in range(5):
        q.task_done()
    q.join()
    with pytest.raises(ValueError, match="too many times"):
        q.task_done()


def test_who_waits_with_poll_is_told() -> None:
    q = goprocessing.Queue()
    reader = q._reader
    goprocessing.connection.wait([reader], timeout=0)  # watched from now on
    q.put_many(range(3))
    assert goprocessing.connection.wait([reader], timeout=60) == [reader]
    assert q.get_many(2) == [0, 1]
    assert goprocessing.connection.wait([reader], timeout=60) == [reader]
    assert q.get_many() == [2]
    assert goprocessing.connection.wait([reader], timeout=0) == []


# ---- bounds and timeouts ----

WITHOUT_WAITING: list[dict[str, Any]] = [
    {"block": False},
    {"block": False, "timeout": 10},
    {"timeout": 0},
    {"timeout": -1},
    {"timeout": 0.001},
]


@pytest.mark.parametrize("options", WITHOUT_WAITING)
@pytest.mark.parametrize("before", [0, 2, 5])
def test_full(make: Any, options: dict[str, Any], before: int) -> None:
    q = make(5)
    for number in range(before):
        q.put(number)
    objs = [object.__new__(Item) for _ in range(7)]
    with pytest.raises(queue.Full) as caught:
        q.put_many(objs, **options)
    remaining = caught.value.remaining  # type: ignore[attr-defined]
    assert [id(obj) for obj in remaining] == [id(obj) for obj in objs[5 - before :]]
    assert q.full()
    assert q.qsize() == 5
    assert len(get_all(q)) == 5


class Item:
    pass


@pytest.mark.parametrize("options", WITHOUT_WAITING)
def test_empty(make: Any, options: dict[str, Any]) -> None:
    q = make()
    with pytest.raises(queue.Empty):
        q.get_many(**options)
    with pytest.raises(queue.Empty):
        q.get_many(5, **options)


def test_get_many_waits(make: Any) -> None:
    q = make()
    blocked = [Blocked(q.get_many)]
    q.put("item")
    assert blocked[0].end() == ["item"]
    blocked = [Blocked(lambda: q.get_many(1, timeout=60)) for _ in range(3)]
    q.put_many([1, 2, 3])
    assert sorted(each.end() for each in blocked) == [[1], [2], [3]]  # type: ignore[type-var]
    blocked = [Blocked(lambda: q.get_many(10, True, 60))]
    q.put(array(MIB))
    assert blocked[0].end() == [array(MIB)]


def test_put_many_waits(make: Any) -> None:
    q = make(3)
    blocked = Blocked(lambda: q.put_many(range(20)))
    got = []
    while len(got) < 20:
        assert q.qsize() <= 3
        got += q.get_many(2)
    assert got == list(range(20))
    assert blocked.end() is None


def test_put_many_and_put_wait_together(make: Any) -> None:
    q = make(2)
    q.put_many(["a", "b"])
    blocked = [
        Blocked(lambda: q.put_many([1, 2, 3], timeout=60)),
        Blocked(lambda: q.put(array(MIB))),
        Blocked(lambda: q.put_many([4, 5, 6])),
        Blocked(lambda: q.put(7)),
    ]
    got = []
    while len(got) < 10:
        got += q.get_many()
    assert [each.end() for each in blocked] == [None] * 4
    assert [item for item in got if item in (1, 2, 3)] == [1, 2, 3]
    assert [item for item in got if item in (4, 5, 6)] == [4, 5, 6]
    assert 7 in got
    assert array(MIB) in got


# ---- the end ----


@pytest.mark.parametrize("immediate", [False, True])
def test_shut_down(make: Any, immediate: bool) -> None:
    q = make()
    q.put_many([1, 2])
    q.shutdown(immediate)
    with pytest.raises(ShutDown) as caught:
        q.put_many([3, 4])
    assert caught.value.remaining == [3, 4]
    if not immediate:
        assert q.get_many() == [1, 2]
    for options in [{}, *WITHOUT_WAITING]:
        with pytest.raises(ShutDown):
            q.get_many(**options)


@pytest.mark.parametrize("immediate", [False, True])
def test_shut_down_while_blocked(make: Any, immediate: bool) -> None:
    q = make(3)
    remaining = []

    def put() -> None:
        try:
            q.put_many(range(10))
        except ShutDown as error:
            remaining.extend(error.remaining)  # type: ignore[attr-defined]
            raise

    putter = Blocked(put)
    q.shutdown(immediate)
    assert putter.end() is ShutDown
    assert remaining == list(range(3, 10))
    if not immediate:
        assert get_all(q) == [0, 1, 2]
    with pytest.raises(ShutDown):
        q.get_many()


def test_get_many_is_woken_by_a_shutdown(make: Any) -> None:
    q = make()
    blocked = [Blocked(q.get_many), Blocked(lambda: q.get_many(timeout=60))]
    q.shutdown()
    assert [each.end() for each in blocked] == [ShutDown] * 2


def test_closed(make: Any) -> None:
    q = make()
    q.put_many([1, 2])
    q.close()
    for call in lambda: q.put_many([3]), q.get_many, lambda: q.put_many([]):
        with pytest.raises(ValueError, match="is closed"):
            call()
    assert q.qsize() == 2


def test_without_init() -> None:
    q: Any = queues.Queue.__new__(queues.Queue)
    for call in q.get_many, lambda: q.put_many([1]):
        with pytest.raises(RuntimeError):
            call()


# ---- errors ----


def test_bad_calls(make: Any) -> None:
    q = make()
    for bad, error in (
        (lambda: q.put_many(), TypeError),
        (lambda: q.put_many(1), TypeError),
        (lambda: q.put_many([1], True, None, 4), TypeError),
        (lambda: q.put_many([1], items=2), TypeError),
        (lambda: q.put_many([1], timeout="1"), TypeError),
        (lambda: q.put_many([1], timeout=float("nan")), ValueError),
        (lambda: q.get_many("1"), TypeError),
        (lambda: q.get_many(1.5), TypeError),
        (lambda: q.get_many(0), ValueError),
        (lambda: q.get_many(-1), ValueError),
        (lambda: q.get_many(-(2**70)), ValueError),
        (lambda: q.get_many(1, timeout=[]), TypeError),
        (lambda: q.get_many(1, True, None, 4), TypeError),
    ):
        with pytest.raises(error):
            bad()
    assert q.empty()


def test_one_cannot_be_pickled(make: Any) -> None:
    q = make()
    for objs in [Unpicklable()], [1, 2, Unpicklable()], [1, lambda: None, 2]:
        with pytest.raises((pickle.PicklingError, AttributeError)):
            q.put_many(objs)
    assert q.empty()
    q.put_many([1])
    assert q.get_many() == [1]


class Lenient(queues.Queue):  # type: ignore[type-arg]
    errors: ClassVar[list[Any]] = []

    @staticmethod
    def _on_queue_feeder_error(error: Exception, obj: Any) -> None:
        Lenient.errors.append(obj)
        if obj.fatal:
            raise KeyError("in the hook")


class Failing:
    def __init__(self, fatal: bool = False) -> None:
        self.fatal = fatal

    def __reduce__(self) -> Any:
        raise pickle.PicklingError("not this one")


def test_a_feeder_error_hook_gets_what_cannot_be_pickled() -> None:
    q = Lenient(4)
    bad = [Failing() for _ in range(3)]
    objs = [bad[0], 1, 2, bad[1], 3, bad[2]]
    q.put_many(objs)
    assert Lenient.errors == bad
    assert q.get_many() == [1, 2, 3]
    assert len(objs) == 6
    q.put_many(bad)
    assert q.empty()
    with pytest.raises(queue.Full) as caught:
        q.put_many([0, bad[0], 1, 2, bad[1], 3, 4, bad[2], 5], block=False)
    assert caught.value.remaining == [4, 5]  # type: ignore[attr-defined]
    assert get_all(q) == [0, 1, 2, 3]
    with pytest.raises(KeyError, match="in the hook"):
        q.put_many([1, Failing(fatal=True), 2])
    assert q.empty()
    Lenient.errors.clear()


class Changing:
    """Changes what is being put."""

    objs: ClassVar[list[Any]] = []

    def __reduce__(self) -> Any:
        self.objs.clear()
        return str, ("pickled",)


def test_a_list_that_changes_meanwhile(make: Any) -> None:
    q = make()
    Changing.objs += [1, Changing(), 2]
    q.put_many(Changing.objs)
    assert q.get_many() == [1, "pickled", 2]


def test_some_cannot_be_unpickled(make: Any) -> None:
    q = make()
    q.put_many([1, FailsToLoad(), 2, FailsToLoad(), 3])
    with pytest.raises(LookupError, match="while unpickling") as caught:
        q.get_many()
    assert caught.value.items == [1, 2, 3]  # type: ignore[attr-defined]
    assert q.empty()
    q.put_many([FailsToLoad(), 4])
    with pytest.raises(LookupError) as caught:
        q.get_many(1)
    assert caught.value.items == []  # type: ignore[attr-defined]
    assert q.get_many() == [4]
    q.put_many([(FailsToLoad(), bytes(100_000)), 5])
    with pytest.raises(LookupError) as caught:
        q.get_many()
    assert caught.value.items == []  # type: ignore[attr-defined]
    assert q.get_many() == [5]


def test_junk(make: Any) -> None:
    q = make()
    for junk in b"", b"not a pickle", b"\x80\x05", b"K":
        q.put("before")
        q._writer.send_bytes(junk)
        q.put("after")
        with pytest.raises((pickle.UnpicklingError, EOFError, ValueError, IndexError)) as caught:
            q.get_many()
        assert caught.value.items == ["before", "after"]  # type: ignore[attr-defined]


def test_shared_memory_is_full() -> None:
    def run() -> None:
        q = goprocessing.Queue(6)
        q.put("before")
        small = held(q._fileno())
        lift = limited(resource.RLIMIT_FSIZE, 8 * MIB)
        objs = [pattern(3 * MIB) for _ in range(9)]
        with pytest.raises(OSError) as caught:
            q.put_many(objs)
        assert caught.value.errno in (errno.EFBIG, errno.ENOSPC)
        put = q.qsize() - 1
        assert caught.value.remaining == objs[put:]  # type: ignore[attr-defined]
        assert q.get() == "before"
        for _ in range(put):
            assert q.get() == objs[0]
        assert q.empty()
        assert held(q._fileno()) < small + 8 * MIB
        q.put_many([1, 2])
        assert q.get_many() == [1, 2]
        lift()
        q.put_many(objs[:6])
        assert get_all(q) == objs[:6]

    assert exit_code(fork(run)) == 0


def test_nothing_is_kept(make: Any) -> None:
    before = descriptors()
    q = make()
    for _ in range(20):
        q.put_many([pattern(MIB), array(MIB), "small"])
        assert len(get_all(q)) == 3
        for _ in range(3 if isinstance(q, queues.JoinableQueue) else 0):
            q.task_done()
    assert held(q._fileno()) < 16 * MIB
    del q
    assert descriptors() == before


# ---- between processes ----


def produce(q: Any, name: str, count: int, size: int) -> None:
    for begin in range(0, count, size):
        items: list[Any] = [(name, number) for number in range(begin, min(begin + size, count))]
        if begin % 5 == 0:
            items = [(*item, array(70_000)) for item in items]
        if begin % 3 == 0:
            for item in items:
                q.put(item)
        elif begin % 3 == 1:
            q.put_many(items)
        else:
            while items:
                try:
                    q.put_many(items, timeout=0.001)
                    break
                except queue.Full as full:
                    items = full.remaining  # type: ignore[attr-defined]


def consume(q: Any, results: Any, most: int | None) -> None:
    got: list[Any] = []
    while True:
        try:
            items = q.get_many(most, timeout=0.05) if most != 1 else [q.get()]
        except queue.Empty:
            continue
        for item in items:
            if item == END:
                q.put_many([END])
                results.put_many([got, END])
                return
            assert item[2:] in ((), (array(70_000),))
            got.append(item[:2])


@pytest.mark.parametrize("maxsize", [0, 1, 7])
def test_producers_and_consumers(our_ctx: Any, our_start: Any, maxsize: int) -> None:
    q, results = our_ctx.Queue(maxsize), our_ctx.Queue()
    producers = [our_start(produce, q, name, 200, size) for name, size in (("a", 7), ("b", 10))]
    for most in 1, 3, None:
        our_start(consume, q, results, most)
    for child in producers:
        child.join()
        assert child.exitcode == 0
    q.put(END)
    got = []
    for _ in range(3):
        items = results.get()
        assert results.get() == END
        for name in "ab":
            numbers = [number for sender, number in items if sender == name]
            assert numbers == sorted(numbers)
        got += items
    assert sorted(got) == [(name, number) for name in "ab" for number in range(200)]


def put_many(q: Any, objs: list[Any]) -> None:
    q.put_many(objs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_ends_after_put_many(our_ctx: Any, our_start: Any, kind: str) -> None:
    q = getattr(our_ctx, kind)()
    child = our_start(put_many, q, [1, "two", pattern(MIB)])
    child.join()
    assert child.exitcode == 0
    assert get_all(q) == [1, "two", pattern(MIB)]


def test_a_killed_producer(our_ctx: Any, our_start: Any) -> None:
    """Its first items are in the queue, without a gap."""
    q = our_ctx.Queue(10)
    for _ in range(5):
        child = our_start(put_many, q, list(range(100)))
        until_blocked(child.pid)
        got = q.get_many(3)
        child.kill()
        child.join()
        got += get_all(q)
        assert got == list(range(len(got)))
        assert 10 <= len(got) <= 13
        q.put_many(["next"])
        assert q.get_many() == ["next"]


# ---- signals ----


class Interrupted(Exception):
    pass


def run_interrupted(call: Callable[[], object]) -> BaseException:
    """What the call raises when a signal handler raises that runs while it blocks."""

    def handler(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, handler)
    main = threading.get_native_id()

    def interrupt() -> None:
        until_blocked(os.getpid(), main)
        os.kill(os.getpid(), signal.SIGUSR1)

    thread = threading.Thread(target=interrupt)
    try:
        with pytest.raises(Interrupted) as caught:
            thread.start()
            call()
        return caught.value
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)


def test_put_many_is_interrupted(make: Any) -> None:
    q = make(3)
    error: Any = run_interrupted(lambda: q.put_many(range(10)))
    assert q.qsize() == 3
    assert error.remaining == list(range(3, 10))
    assert get_all(q) == [0, 1, 2]


def test_get_many_is_interrupted(make: Any) -> None:
    q = make()
    run_interrupted(q.get_many)
    q.put_many([1, 2])
    assert q.get_many() == [1, 2]
