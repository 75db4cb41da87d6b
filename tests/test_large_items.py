"""Large items: those that lie in shared memory, where the receiver uses them, and others."""

from __future__ import annotations

import errno
import os
import pickle
import queue
import resource
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import BufferTooShort
from typing import Any

import goprocessing
import pytest
from goprocessing.queues import ShutDown

from .forks import exit_code, fork
from .test_errors import FailsToLoad, limited, raises_oserror
from .test_memory import MIB, held
from .waiting import until_blocked

KIB = 1 << 10
BUFFER = 64 * KIB  # buffers of this size go out of band,
WHOLE = 256 * KIB  # pickles of this size to memory of their own
AROUND = [threshold + n for threshold in (BUFFER, WHOLE) for n in (-1, 0, 1)]
SIZES = [0, 1, *AROUND, MIB]
CHANNELS = ["Queue", "JoinableQueue", "SimpleQueue", "Pipe"]


class Array:
    """Data that a pickle of protocol 5 has out of band, as those of NumPy's arrays."""

    def __init__(self, data: Any) -> None:
        self.data = memoryview(data)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if protocol < 5 or not self.data.contiguous:
            data = self.data.tobytes()
            return Array, (data if self.data.readonly else bytearray(data),)
        return Array, (pickle.PickleBuffer(self.data),)

    def __eq__(self, other: object) -> bool:
        return type(other) is Array and self.data.tobytes("A") == other.data.tobytes("A")

    __hash__ = None  # type: ignore[assignment]


class FailsToLoadWith(FailsToLoad):
    """An object whose data have arrived when it fails."""

    def __init__(self, data: Array) -> None:
        self.data = data

    def __reduce__(self) -> Any:
        return fail_with, (self.data,)


def fail_with(data: Array) -> None:
    raise LookupError("while unpickling", len(data.data))


class FailsToDump:
    def __reduce__(self) -> Any:
        raise pickle.PicklingError("not this one")


def pattern(size: int) -> bytes:
    """Bytes that tell if a part is missing, or from elsewhere."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def array(size: int) -> Array:
    return Array(bytearray(pattern(size)))


KINDS: dict[str, Callable[[int], Any]] = {
    "bytes": pattern,
    "bytearray": lambda size: bytearray(pattern(size)),
    "str": lambda size: "xyz€"[size % 4] * size,
    "list": lambda size: [pattern(size), "x" * size, pattern(size)],
    "writable": array,
    "read-only": lambda size: Array(pattern(size)),
    "rows": lambda size: (
        Array(memoryview(bytearray(pattern(size & ~7))).cast("B", (size // 8, 8)))
        if size >= 8
        else array(size)
    ),
    "every other": lambda size: Array(memoryview(pattern(2 * size))[::2]),
    "many": lambda size: {n: (array(size), pattern(n)) for n in range(3)},
}


def echo(receive: Callable[[], Any], send: Callable[[Any], None]) -> None:
    while (item := receive()) is not None:
        send(item)


def echo_channel(source: Any, target: Any) -> None:
    echo(*ends(source)[:1], ends(target)[1])


def ends(channel: Any) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """What receives and what sends."""
    if isinstance(channel, tuple):
        return channel[0].recv, channel[1].send
    return channel.get, channel.put


@pytest.fixture
def make_channel() -> Iterator[Callable[..., Any]]:
    made: list[Any] = []

    def make(ctx: Any, name: str) -> Any:
        channel = ctx.Pipe(duplex=False) if name == "Pipe" else getattr(ctx, name)()
        made.append(channel)
        return channel

    yield make
    for channel in made:
        for end in channel if isinstance(channel, tuple) else [channel]:
            end.close()
            if hasattr(end, "cancel_join_thread"):
                end.cancel_join_thread()


@pytest.mark.parametrize("name", CHANNELS)
def test_through_a_process(ctx: Any, start: Any, make_channel: Any, name: str) -> None:
    to, back = make_channel(ctx, name), make_channel(ctx, name)
    child = start(echo_channel, to, back)
    send, receive = ends(to)[1], ends(back)[0]
    for make in KINDS.values():
        for size in SIZES:
            item = make(size)
            send(item)
            assert receive() == item
    for size in range(WHOLE - 20, WHOLE):  # with what the pickle adds
        send(pattern(size))
        assert receive() == pattern(size)
    send(None)
    child.join()
    assert child.exitcode == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANNELS)
def test_very_large(ctx: Any, start: Any, make_channel: Any, name: str) -> None:
    to, back = make_channel(ctx, name), make_channel(ctx, name)
    child = start(echo_channel, to, back)
    for kind in "bytes", "str", "writable":
        item = KINDS[kind](40 * MIB)
        ends(to)[1](item)
        assert ends(back)[0]() == item
    ends(to)[1](None)
    child.join()
    assert child.exitcode == 0


def reversed_array(item: Array) -> Array:
    return Array(item.data.tobytes()[::-1])


def first_written(item: Array) -> Array:
    item.data[0] = 255
    return item


def test_arguments_and_results_of_a_pool(ctx: Any) -> None:
    items = [array(size) for size in SIZES]
    with ctx.Pool(2) as pool:
        results = pool.map(reversed_array, items, chunksize=1)
        assert [each.data.tobytes()[::-1] for each in results] == [each.data for each in items]
        results = pool.map(reversed_array, items, chunksize=4)
        assert [each.data.tobytes()[::-1] for each in results] == [each.data for each in items]
        assert list(pool.imap_unordered(len, [pattern(size) for size in SIZES] * 3))
        pool.close()
        pool.join()


def test_arguments_and_results_of_an_executor(ctx: Any) -> None:
    items = [array(size) for size in SIZES]
    with ProcessPoolExecutor(2, mp_context=ctx) as executor:
        results = list(executor.map(reversed_array, items))
    assert [each.data.tobytes()[::-1] for each in results] == [each.data for each in items]


def test_workers_write_to_their_arguments(our_ctx: Any) -> None:
    items = [array(size) for size in (BUFFER, WHOLE, MIB)]
    with our_ctx.Pool(2) as pool:
        for each in pool.map(first_written, items):
            assert each.data[0] == 255
            each.data[1] = 254
        pool.close()
        pool.join()
    assert [each.data[:2].tolist() for each in items] == [[0, 1]] * 3


def test_numpy(ctx: Any, start: Any, make_channel: Any) -> None:
    numpy = pytest.importorskip("numpy")
    base = numpy.arange(300_000, dtype=float).reshape(600, 500)
    read_only = base.copy()
    read_only.setflags(write=False)
    records = numpy.zeros(50_000, dtype=[("x", "i8"), ("y", "f4")])
    for name in CHANNELS:
        to, back = make_channel(ctx, name), make_channel(ctx, name)
        child = start(echo_channel, to, back)
        for item in [
            base,
            base[:10],
            base.T,
            base[::2, ::3],
            numpy.asfortranarray(base),
            read_only,
            records,
            numpy.array(5),
            numpy.array([], dtype="i2"),
            numpy.array([None, "object"] * 10),
        ]:
            ends(to)[1](item)
            got = ends(back)[0]()
            assert got.dtype == item.dtype
            assert got.shape == item.shape
            assert (got == item).all()
        ends(to)[1](None)
        child.join()


# ---- what is received belongs to the receiver ----


@pytest.fixture(params=CHANNELS)
def ours(request: pytest.FixtureRequest, make_channel: Any) -> Any:
    """What receives from a channel of this package, and what sends."""
    return ends(make_channel(goprocessing, request.param))


@pytest.mark.parametrize("size", [*AROUND, 5 * MIB])
def test_received_buffers_are_writable(ours: Any, size: int) -> None:
    receive, send = ours
    sent = array(size)
    send([sent, sent, array(size)])
    first, same, other = receive()
    assert first is same
    assert not first.data.readonly
    first.data[:] = bytes(size)
    assert sent == array(size)
    assert other == array(size)
    send(first)
    assert receive().data == bytes(size)
    assert first.data == bytes(size)


def test_received_buffers_of_what_is_read_only(ours: Any) -> None:
    receive, send = ours
    send(Array(pattern(MIB)))
    got = receive()
    assert got.data.readonly
    assert got.data == pattern(MIB)


def test_each_received_item_is_its_own(ours: Any) -> None:
    receive, send = ours
    got = []
    for number in range(20):
        send(Array(bytearray([number]) * MIB))
        got.append(receive())
        if number % 3 == 0:
            del got[0]
    for each in got:
        assert each.data == each.data[:1].tobytes() * MIB
    assert len({each.data[0] for each in got}) == len(got)


def test_many_buffers_in_one_item(ours: Any) -> None:
    receive, send = ours
    item = [Array(bytearray(n.to_bytes(2, "big")) * (BUFFER // 2 + n)) for n in range(300)]
    for _ in range(2):
        sender = threading.Thread(target=send, args=(item,))
        sender.start()
        assert receive() == item
        sender.join()


def test_buffers_with_a_large_pickle(ours: Any) -> None:
    receive, send = ours
    item = [array(MIB), list(range(200_000)), pattern(MIB), array(BUFFER)]
    sender = threading.Thread(target=send, args=(item,))
    sender.start()
    assert receive() == item
    sender.join()


class Released:
    """Its buffer is released by another thread as soon as it was pickled."""

    def __init__(self) -> None:
        self.data = bytearray(pattern(MIB))
        self.buffer: pickle.PickleBuffer | None = None

    def __reduce_ex__(self, protocol: Any) -> Any:
        self.buffer = pickle.PickleBuffer(self.data)
        return bytes, (self.buffer,)


def test_a_buffer_is_released_while_put_waits() -> None:
    q = goprocessing.Queue(1)
    q.put("first")
    item = Released()
    waiting = threading.Thread(target=q.put, args=(item,))
    waiting.start()
    until_blocked(os.getpid(), waiting.native_id)
    assert item.buffer is not None
    item.buffer.release()
    with pytest.raises(BufferError):
        item.data.clear()
    assert q.get() == "first"
    assert q.get() == pattern(MIB)
    waiting.join()
    item.data.clear()


# ---- those who want bytes ----


def test_recv_bytes_gives_a_pickle() -> None:
    a, b = goprocessing.Pipe()
    item = {"array": array(2 * BUFFER), "small": array(10)}
    with a, b:
        a.send(item)
        a.send_bytes(b"next")
        assert pickle.loads(b.recv_bytes()) == item
        a.send(item)
        assert b.recv_bytes() == b"next"
        room = bytearray(2 * MIB)
        size = b.recv_bytes_into(room, 7)
        assert pickle.loads(room[7 : 7 + size]) == item
        a.send(item)
        with pytest.raises(BufferTooShort) as caught:
            b.recv_bytes_into(bytearray(1000))
        assert pickle.loads(caught.value.args[0]) == item
        a.send(item)
        assert pickle.loads(b.recv_bytes(2 * MIB)) == item
        a.send(item)
        with pytest.raises(OSError):
            b.recv_bytes(1000)


@pytest.mark.parametrize("kind", ["bytes", "list", "writable", "many"])
def test_the_reader_of_a_queue_gives_a_pickle(kind: str) -> None:
    q = goprocessing.Queue()
    for size in SIZES:
        q.put(KINDS[kind](size))
        q.put("next")
        assert pickle.loads(q._reader.recv_bytes()) == KINDS[kind](size)
        assert q.get() == "next"


def test_bytes_of_any_size(module: Any) -> None:
    a, b = module.Pipe()
    with a, b:
        for size in [*SIZES, 5 * MIB]:
            sender = threading.Thread(target=a.send_bytes, args=(pattern(size),))
            sender.start()
            assert b.recv_bytes() == pattern(size)
            sender.join()


# ---- limits ----


@pytest.mark.parametrize("make", [pattern, array])
def test_a_full_queue(make: Any) -> None:
    q = goprocessing.Queue(2)
    q.put(make(MIB))
    q.put(make(MIB))
    memory = held(q._fileno())
    for _ in range(20):
        for options in ({"block": False}, {"timeout": 0.001}):
            with pytest.raises(queue.Full):
                q.put(make(4 * MIB), **options)
    with pytest.raises(queue.Full):
        q.put_nowait(make(4 * MIB))
    assert held(q._fileno()) == memory
    assert q.qsize() == 2
    assert [q.get(), q.get()] == [make(MIB), make(MIB)]
    with pytest.raises(queue.Empty):
        q.get(timeout=0.001)


def put_arrays(q: Any, count: int, size: int) -> None:
    for number in range(count):
        q.put((number, array(size)))


def test_producers_wait_for_room(our_ctx: Any, our_start: Any) -> None:
    q = our_ctx.Queue(1)
    children = [our_start(put_arrays, q, 10, MIB) for _ in range(2)]
    until_blocked(children[0].pid)
    numbers = []
    for _ in range(20):
        number, item = q.get()
        assert item == array(MIB)
        numbers.append(number)
    assert sorted(numbers) == sorted([*range(10)] * 2)
    for child in children:
        child.join()
        assert child.exitcode == 0


@pytest.mark.parametrize("make", [pattern, array])
def test_an_immediate_shutdown_gives_memory_back(make: Any) -> None:
    q = goprocessing.JoinableQueue()
    for _ in range(40):
        q.put(make(4 * MIB))
    kept = q.get()
    assert held(q._fileno()) >= 160 * MIB
    q.shutdown(immediate=True)
    with pytest.raises(ShutDown):
        q.get()
    with pytest.raises(ShutDown):
        q.put(make(4 * MIB))
    assert held(q._fileno()) < 64 * MIB
    assert kept == make(4 * MIB)
    q.task_done()
    q.join()


def test_pickling_fails(ours: Any) -> None:
    receive, send = ours
    for _ in range(5):
        with pytest.raises(pickle.PicklingError):
            send([array(MIB), pattern(MIB), FailsToDump()])
    item = bytearray(MIB)
    with pytest.raises(pickle.PicklingError):
        send([Array(item), FailsToDump()])
    item.clear()  # nobody has its buffer
    send(array(MIB))
    assert receive() == array(MIB)


def test_unpickling_fails(ours: Any) -> None:
    receive, send = ours
    for _ in range(50):
        send(FailsToLoadWith(array(MIB)))
        with pytest.raises(LookupError, match="while unpickling"):
            receive()
    send([pattern(MIB), FailsToLoad()])
    with pytest.raises(LookupError, match="while unpickling"):
        receive()
    send(array(MIB))
    assert receive() == array(MIB)


def test_what_failed_to_load_gives_its_memory_back() -> None:
    q = goprocessing.Queue()
    for item in FailsToLoadWith(array(MIB)), [pattern(MIB), FailsToLoad()]:
        for _ in range(100):
            q.put(item)
            with pytest.raises(LookupError):
                q.get()
    assert held(q._fileno()) < 32 * MIB


@pytest.mark.parametrize(
    "make", [pattern, array, lambda size: [array(size // 8) for _ in range(8)]]
)
def test_shared_memory_is_full(make: Any) -> None:
    def run() -> None:
        q = goprocessing.Queue()
        a, b = goprocessing.Pipe()
        q.put(array(MIB))
        small = held(q._fileno())
        lift = limited(resource.RLIMIT_FSIZE, 16 * MIB)
        big = make(32 * MIB)
        for _ in range(3):
            raises_oserror(lambda: q.put(big), errno.EFBIG, errno.ENOSPC)
            raises_oserror(lambda: a.send(big), errno.EFBIG, errno.ENOSPC)
        assert q.qsize() == 1
        assert held(q._fileno()) < small + 20 * MIB
        q.put(array(4 * MIB))
        a.send(array(4 * MIB))
        assert b.recv() == array(4 * MIB)
        assert [q.get(), q.get()] == [array(MIB), array(4 * MIB)]
        lift()
        for _ in range(2):
            q.put(big)
            assert q.get() == big
            a.send(big)
            assert b.recv() == big
        assert q.empty()

    assert exit_code(fork(run)) == 0
