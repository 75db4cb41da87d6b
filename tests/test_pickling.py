"""What the extension's own use of a pickler has in common with ForkingPickler's."""

from __future__ import annotations

import collections
import copyreg
import datetime
import decimal
import functools
import gc
import io
import os
import pickle
import threading
import weakref
from collections.abc import Callable, Iterator
from multiprocessing import connection, queues, reduction
from multiprocessing.reduction import ForkingPickler
from typing import Any

import goprocessing
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FRAME = 64 * 1024  # the pickler writes frames of this size, and larger objects past them


class Plain:
    def __init__(self, *values: Any) -> None:
        self.values = values

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    __hash__ = None  # type: ignore[assignment]


class Derived(Plain):
    pass


class Slots:
    __slots__ = ("__weakref__", "left", "right")

    def __init__(self, left: Any, right: Any) -> None:
        self.left = left
        self.right = right


class Reduced:
    """Runs `call` while it is being pickled."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self.call()),)


class Error(Exception):
    pass


def fail(*_: object) -> Any:
    raise Error


def pickle_by_state(obj: Plain) -> tuple[Any, ...]:
    return Derived, ("reduced", *obj.values)


def other_state(obj: Plain) -> tuple[Any, ...]:
    return str, (f"other {obj.values}",)


@pytest.fixture
def pipe(module: Any) -> Iterator[tuple[Any, Any]]:
    receiver, sender = module.Pipe(duplex=False)
    with receiver, sender:
        yield receiver, sender


Pickles = Callable[[Any], bytes]


@pytest.fixture
def reference(module: Any) -> Pickles:
    """What ForkingPickler makes of an object: ours always pickles by protocol 5."""
    protocol = 5 if module is goprocessing else None

    def dumps(obj: Any) -> bytes:
        return bytes(ForkingPickler.dumps(obj, protocol))

    return dumps


@pytest.fixture
def written(pipe: tuple[Any, Any]) -> Pickles:
    """The bytes that `send` makes of an object."""
    receiver, sender = pipe

    def write(obj: Any) -> bytes:
        sender.send(obj)
        data: bytes = receiver.recv_bytes()
        return data

    return write


@pytest.fixture
def registered() -> Iterator[Callable[..., None]]:
    """Registers reducers for the time of the test."""
    tables = (ForkingPickler._extra_reducers, copyreg.dispatch_table)  # type: ignore[attr-defined]
    before = [table.copy() for table in tables]
    yield lambda cls, reduce, table=0: tables[table].__setitem__(cls, reduce)
    for table, contents in zip(tables, before, strict=True):
        table.clear()
        table.update(contents)


# ---- the same bytes ----

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=300)
leaves |= st.text(st.characters(exclude_categories=()), max_size=100) | st.complex_numbers()
leaves |= st.datetimes() | st.decimals() | st.fractions() | st.uuids()
leaves |= st.builds(bytearray, st.binary(max_size=100)) | st.sampled_from([int, len, Plain, ...])
objects = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=5)
        | st.sets(st.integers() | st.text(max_size=4), max_size=4)
        | st.builds(Plain, inner)
        | st.builds(Slots, inner, inner)
        | st.builds(collections.OrderedDict, st.dictionaries(st.text(max_size=2), inner))
        # The same object twice: the second time it is a reference to the first.
        | inner.map(lambda obj: [obj, {"again": obj}])
    ),
    max_leaves=15,
)
containers = objects.map(lambda obj: [obj])


@settings(
    deadline=None,
    database=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(containers, max_size=4))
def test_any_objects(written: Pickles, reference: Pickles, items: list[Any]) -> None:
    for obj in items:
        assert written(obj) == reference(obj)


def test_recursive(written: Pickles, reference: Pickles) -> None:
    cycle: list[Any] = [{"key": None}]
    cycle[0]["key"] = cycle
    assert written(cycle) == reference(cycle)


def test_through_a_queue(module: Any) -> None:
    items = [datetime.date(2000, 1, 2), decimal.Decimal("1.5"), Plain(1, [Plain(2)]), {1: ({2},)}]
    q = module.Queue()
    for item in items:
        q.put(item)
    assert [q.get() for _ in items] == items
    q.close()
    q.join_thread()


# ---- each by itself ----


def test_nothing_of_the_item_before(written: Pickles, reference: Pickles) -> None:
    """A second pickle does not refer to what the first has."""
    obj = ["text", Plain("text")]
    first = written(obj)
    assert written(obj) == first
    assert written([obj]) == reference([obj])


def test_nothing_is_kept(pipe: tuple[Any, Any]) -> None:
    receiver, sender = pipe
    obj = Plain(1)
    sender.send([obj, obj])
    receiver.recv()
    alive = weakref.ref(obj)
    del obj
    gc.collect()
    assert alive() is None


def test_a_failure_leaves_nothing(
    pipe: tuple[Any, Any], written: Pickles, reference: Pickles
) -> None:
    receiver, sender = pipe
    obj = Plain(b"x" * 2 * FRAME)
    with pytest.raises(Error):
        sender.send([obj, Reduced(fail)])
    assert not receiver.poll()
    alive = weakref.ref(obj)
    del obj
    gc.collect()
    assert alive() is None
    assert written(["next"]) == reference(["next"])


def test_too_deep(pipe: tuple[Any, Any], written: Pickles, reference: Pickles) -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        pipe[1].send(deep)
    while deep:
        deep = deep.pop()
    assert written(["next"]) == reference(["next"])


# ---- while Python code runs ----


def test_pickling_while_pickling(written: Pickles, module: Any) -> None:
    inner = module.SimpleQueue()
    shared = ["shared"]
    obj = [shared, Reduced(lambda: inner.put([shared, shared])), shared]
    data = written(obj)
    assert pickle.loads(data) == [shared, "None", shared]
    assert inner.get() == [shared, shared]
    with pytest.raises(Error):
        written([shared, Reduced(lambda: inner.put([Reduced(fail)]))])
    assert written(obj) == data
    inner.close()


def test_pickling_by_a_finalizer(written: Pickles, reference: Pickles, module: Any) -> None:
    """It runs when the pickler forgets the last reference to an object."""
    inner = module.SimpleQueue()
    finalized = []

    def finalize() -> None:
        inner.put([finalized])
        finalized.append(inner.get())

    class Temporary:
        def __del__(self) -> None:
            finalize()

        def __reduce__(self) -> tuple[Any, ...]:
            return str, ("temporary",)

    class Owner:
        def __reduce__(self) -> tuple[Any, ...]:
            return list, ((Temporary(),),)

    assert pickle.loads(written([Owner()])) == [["temporary"]]
    gc.collect()
    assert finalized == [[[]]]
    assert written([1]) == reference([1])
    inner.close()


def test_in_several_threads(module: Any) -> None:
    """They are inside a reducer at the same time."""
    barrier = threading.Barrier(4)
    wrong = []

    def run(number: int) -> None:
        q = module.SimpleQueue()
        for step in range(50):
            obj = [number, step, [Plain(number)] * 3]
            q.put([obj, Reduced(lambda: barrier.wait(60) * 0), obj])
            if q.get() != [obj, "0", obj]:
                wrong.append(obj)
        q.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_fork_while_pickling(pipe: tuple[Any, Any], written: Pickles, reference: Pickles) -> None:
    """Both processes complete the pickle."""
    receiver, sender = pipe
    pids: list[int] = []

    def fork() -> str:
        pids.append(os.fork())
        return "forked"

    item = [["shared"], Reduced(fork)]
    try:
        sender.send(item)
    finally:
        if pids == [0]:
            os._exit(0)
    _, status = os.waitpid(pids[0], 0)
    assert status == 0
    assert receiver.recv() == receiver.recv() == [["shared"], "forked"]
    assert written([1]) == reference([1])


# ---- reducers ----


def test_reducers_registered_at_any_time(
    written: Pickles,
    reference: Pickles,
    registered: Callable[..., None],
) -> None:
    obj = [Plain(1)]
    pickles = [written(obj)]
    for table, reduce in ((1, other_state), (0, pickle_by_state), (0, other_state)):
        registered(Plain, reduce, table)
        pickles.append(written(obj))
        assert pickles[-1] == reference(obj)
    # ForkingPickler's come before copyreg's.
    assert pickles[1] == pickles[3]
    assert len(set(pickles)) == 3
    del ForkingPickler._extra_reducers[Plain]  # type: ignore[attr-defined]
    del copyreg.dispatch_table[Plain]
    assert written(obj) == pickles[0]


def test_reducers_are_for_one_class(written: Pickles, registered: Callable[..., None]) -> None:
    registered(Plain, other_state)
    assert pickle.loads(written([Plain(1), Derived(1)])) == ["other (1,)", Derived(1)]


def test_registered_by_a_subclass(written: Pickles, registered: Callable[..., None]) -> None:
    class Pickler(ForkingPickler):
        pass

    Pickler.register(Plain, other_state)
    assert pickle.loads(written([Plain(1)])) == ["other (1,)"]


def test_another_table(
    written: Pickles,
    reference: Pickles,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("_extra_reducers", "_copyreg_dispatch_table"):
        with monkeypatch.context() as patch:
            patch.setattr(ForkingPickler, name, {Plain: other_state})
            assert written([Plain(1)]) == reference([Plain(1)])
            assert pickle.loads(written([Plain(1)])) == ["other (1,)"]
        assert pickle.loads(written([Plain(1)])) == [Plain(1)]


def test_a_reducer_that_fails(
    written: Pickles,
    reference: Pickles,
    registered: Callable[..., None],
) -> None:
    registered(Plain, fail)
    with pytest.raises(Error):
        written([Plain(1)])
    assert written([1]) == reference([1])


# ---- a program's own pickler ----


class Replacement(pickle.Pickler):
    """One that pickles functions, as dill and cloudpickle do."""

    def reducer_override(self, obj: Any) -> Any:
        return (str, (f"by value: {obj.__name__}",)) if obj is fail else NotImplemented

    @classmethod
    def dumps(cls, obj: Any, protocol: int | None = None) -> bytes:
        file = io.BytesIO()
        cls(file, protocol).dump(obj)
        return b"*" + file.getvalue()

    @staticmethod
    def loads(data: bytes) -> Any:
        assert data[:1] == b"*"
        return [pickle.loads(data[1:])]


def through(q: Any, obj: Any) -> Any:
    q.put(obj)
    return q.get()


@pytest.fixture
def replaced(module: Any) -> Iterator[Callable[..., None]]:
    q = module.SimpleQueue()

    def check(expected: Any) -> None:
        assert through(q, [fail]) == expected

    check([fail])
    yield check
    q.close()


def test_methods_assigned(replaced: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ForkingPickler, "dumps", Replacement.dumps)
    monkeypatch.setattr(ForkingPickler, "loads", Replacement.loads)
    replaced([["by value: fail"]])
    monkeypatch.undo()
    replaced([fail])


def test_a_method_wrapped(replaced: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    original = ForkingPickler.dumps
    seen = []

    @functools.wraps(original)
    def dumps(obj: Any, protocol: int | None = None) -> Any:
        seen.append(obj)
        return original(obj, protocol)

    monkeypatch.setattr(ForkingPickler, "dumps", dumps)
    replaced([fail])
    assert seen == [[fail]]


@pytest.mark.parametrize("hook", ["reducer_override", "persistent_id"])
def test_hooks_assigned(written: Pickles, monkeypatch: pytest.MonkeyPatch, hook: str) -> None:
    seen = []

    def see(self: Any, obj: Any) -> Any:
        seen.append(obj)
        return NotImplemented if hook == "reducer_override" else None

    monkeypatch.setattr(ForkingPickler, hook, see, raising=False)
    assert pickle.loads(written([fail])) == [fail]
    assert fail in seen
    monkeypatch.undo()
    seen.clear()
    assert pickle.loads(written([fail])) == [fail]
    assert not seen


def test_class_replaced_in_queues(
    replaced: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "_ForkingPickler", Replacement)
    monkeypatch.setattr(connection, "_ForkingPickler", Replacement)
    replaced([["by value: fail"]])
    monkeypatch.undo()
    replaced([fail])


# ---- ours ----


@pytest.mark.parametrize("size", [0, 4000, 20_000, FRAME - 20, FRAME, FRAME + 1, 3 * FRAME])
def test_frames(size: int) -> None:
    receiver, sender = goprocessing.Pipe(duplex=False)
    with receiver, sender:
        for large in (b"x" * size, "x" * size, bytearray(size), list(range(size // 4))):
            for obj in ([large], {"large": large, "again": large}, (large, b"y" * size)):
                sender.send(obj)
                written = receiver.recv_bytes()
                assert written == bytes(ForkingPickler.dumps(obj, 5))
                assert pickle.loads(written) == obj


@pytest.mark.parametrize(
    ("module_of", "name"),
    [(queues, "_ForkingPickler"), (connection, "_ForkingPickler"), (reduction, "ForkingPickler")],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_class_replaced_anywhere(
    monkeypatch: pytest.MonkeyPatch, module_of: Any, name: str
) -> None:
    """The standard library's modules read the last of these once only, when imported first."""
    q = goprocessing.Queue()
    a, b = goprocessing.Pipe()
    with a, b:
        for _ in range(2):
            with monkeypatch.context() as patch:
                patch.setattr(module_of, name, Replacement)
                a.send([fail])
                assert b.recv() == through(q, [fail]) == [["by value: fail"]]
            a.send([fail])
            assert b.recv() == through(q, [fail]) == [fail]


def test_class_without_the_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not be used by a queue, and was not: the standard library's does not see it."""
    monkeypatch.setattr(reduction, "ForkingPickler", pickle.Pickler)
    assert through(goprocessing.Queue(), [fail]) == [fail]
