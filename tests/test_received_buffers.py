"""Shared memory that a process received: it is its own, across forks too, until it drops it."""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import goprocessing
import pytest

from .conftest import descriptors
from .forks import descend, exit_code, fork, run_fresh
from .test_large_items import BUFFER, WHOLE, Array, array, pattern
from .test_memory import MIB, held
from .waiting import eventually

CTX = goprocessing.get_context("fork")
SIZES = [BUFFER, BUFFER + 1, WHOLE, MIB, 3 * MIB]


def filled(size: int, byte: bytes) -> Array:
    return Array(bytearray(byte * size))


def fill(item: Array, byte: bytes) -> None:
    item.data[:] = byte * len(item.data)


def is_filled(item: Array, byte: bytes) -> bool:
    return item == filled(len(item.data), byte)


def through(q: Any, item: Array) -> Array:
    q.put(item)
    got: Array = q.get()
    return got


def receive_some(q: Any, byte: bytes = b"o") -> list[Array]:
    """Received buffers, several in one window of the segment, and in one item."""
    q.put([filled(size, byte) for size in SIZES])
    items: list[Array] = q.get()
    return items + [through(q, filled(size, byte)) for size in SIZES]


@pytest.fixture
def turns() -> Iterator[Turns]:
    with Turns() as turns:
        yield turns


class Turns:
    """Parent and child go on in turns."""

    def __enter__(self) -> Turns:
        self._pipes = [multiprocessing.Pipe(duplex=False) for _ in range(2)]
        return self

    def __exit__(self, *_: object) -> None:
        for end in itertools.chain(*self._pipes):
            end.close()

    def give(self, side: int) -> None:
        self._pipes[side][1].send_bytes(b"x")

    def take(self, side: int) -> None:
        assert self._pipes[side][0].poll(60)
        self._pipes[side][0].recv_bytes()


# ---- forks ----


def test_writes_stay_in_their_process(turns: Turns) -> None:
    q = CTX.Queue()
    items = receive_some(q)

    def child() -> None:
        assert all(is_filled(item, b"o") for item in items)
        for item in items:
            fill(item, b"c")
        turns.give(0)
        turns.take(1)
        assert all(is_filled(item, b"c") for item in items)

    pid = fork(child)
    turns.take(0)
    assert all(is_filled(item, b"o") for item in items)
    for item in items:
        fill(item, b"p")
    turns.give(1)
    assert exit_code(pid) == 0
    assert all(is_filled(item, b"p") for item in items)
    items.clear()
    for item in receive_some(q, b"n"):
        assert is_filled(item, b"n")


def test_started_by_the_package() -> None:
    """As by os.fork(); the child exits as a whole process does."""
    q = CTX.Queue()
    items = receive_some(q)

    def child() -> None:
        for item in items:
            fill(item, b"c")
        q.put(items)

    process = CTX.Process(target=child)
    process.start()
    got = q.get()
    process.join()
    assert process.exitcode == 0
    process.close()
    assert all(is_filled(item, b"o") for item in items)
    assert all(is_filled(item, b"c") for item in got)


def test_the_parent_receives_more_while_the_child_reads(turns: Turns) -> None:
    q = CTX.Queue()
    items = receive_some(q)

    def child() -> None:
        for _ in range(5):
            turns.take(1)
            assert all(is_filled(item, b"o") for item in items)
            turns.give(0)

    pid = fork(child)
    for byte in b"a", b"b", b"c", b"d", b"e":
        items = receive_some(q, byte)
        turns.give(1)
        turns.take(0)
        assert all(is_filled(item, byte) for item in items)
    assert exit_code(pid) == 0


def test_the_child_drops_what_it_inherited(turns: Turns) -> None:
    q = CTX.Queue()
    items = receive_some(q)

    def child() -> None:
        while items:
            items.pop(len(items) // 2)
        gc.collect()
        more = receive_some(q, b"c")
        assert all(is_filled(item, b"c") for item in more)

    assert exit_code(fork(child)) == 0
    assert all(is_filled(item, b"o") for item in items)
    more = receive_some(q, b"n")
    assert all(is_filled(item, b"o") for item in items)
    assert all(is_filled(item, b"n") for item in more)


def test_both_use_the_queue_afterwards() -> None:
    to, back = CTX.Queue(), CTX.Queue()
    kept = [*receive_some(to), *receive_some(back)]

    def child() -> None:
        answers = []
        while (item := to.get()) is not None:
            fill(item, b"c")
            answers.append(item)
            back.put(item)
        assert all(is_filled(item, b"c") for item in answers)
        assert all(is_filled(item, b"o") for item in kept)

    pid = fork(child)
    got = []
    for size in SIZES * 4:
        to.put(filled(size, b"p"))
        got.append(back.get())
        assert is_filled(got[-1], b"c")
        fill(got[-1], b"g")
    to.put(None)
    assert exit_code(pid) == 0
    assert all(is_filled(item, b"g") for item in got)
    assert all(is_filled(item, b"o") for item in kept)


def test_grandchildren() -> None:
    q = CTX.Queue()
    items = receive_some(q)

    def life(own: bytes) -> Callable[[], None]:
        def live() -> None:
            before = items[-1].data[:1].tobytes()
            assert all(is_filled(item, before) for item in items[-len(SIZES) :])
            assert is_filled(items[0], b"o")
            items.extend(receive_some(q, own))

        return live

    assert descend(*(life(own) for own in (b"1", b"2", b"3", b"4"))) == 0
    assert len(items) == 2 * len(SIZES)
    assert all(is_filled(item, b"o") for item in items)


def change(items: list[Array]) -> None:
    for item in items:
        assert item.data == item.data[:1].tobytes() * len(item.data)
        fill(item, b"c")


def test_forks_in_a_row() -> None:
    """What was received before an earlier fork, and what since."""
    q = CTX.Queue()
    items: list[Array] = []
    for number in range(20):
        items += receive_some(q, bytes([number]))
        assert exit_code(fork(lambda items=items: change(items))) == 0
        del items[:: 2 + number % 3]
    for item in items:
        assert item.data[0] < 20
        assert item.data == item.data[:1].tobytes() * len(item.data)


def test_the_parent_ends_before_the_child() -> None:
    """The memory of a parent that is gone is used again; the child has its own."""
    q, results = CTX.Queue(), CTX.Queue()
    q.put(filled(MIB, b"o"))

    def parent() -> None:
        item = q.get()
        parent = os.getpid()

        def child() -> None:
            eventually(lambda: os.getppid() != parent)
            for _ in range(40):
                receive_some(q, b"n")
            results.put(is_filled(item, b"o"))

        fork(child)

    assert exit_code(fork(parent)) == 0
    assert results.get(timeout=60)


def test_a_daemon_that_closed_all_descriptors() -> None:
    q = CTX.Queue()
    before = through(q, filled(MIB, b"o"))

    def daemon() -> None:
        item = through(q, filled(MIB, b"d"))
        os.closerange(3, 1000)

        def child() -> None:
            assert is_filled(before, b"o")
            assert is_filled(item, b"d")
            fill(item, b"c")
            fill(before, b"c")

        assert exit_code(fork(child)) == 0
        assert is_filled(before, b"o")
        assert is_filled(item, b"d")

    assert exit_code(fork(daemon)) == 0
    assert is_filled(before, b"o")


def test_many_buffers() -> None:
    q = CTX.Queue()
    q.put([filled(BUFFER, bytes([n % 256])) for n in range(2000)])
    items = q.get()

    def child() -> None:
        for n, item in enumerate(items):
            assert is_filled(item, bytes([n % 256]))
            if n % 3:
                fill(item, b"c")
        del items[::2]
        receive_some(q)

    assert exit_code(fork(child)) == 0
    for n, item in enumerate(items):
        assert is_filled(item, bytes([n % 256]))


@pytest.mark.slow
def test_threads_receive_while_others_fork() -> None:
    q = CTX.Queue()
    stop = threading.Event()
    failures: list[object] = []

    def receive(own: int) -> None:
        q = CTX.Queue()
        items: list[Array] = []
        for number in itertools.count():
            if stop.is_set():
                break
            byte = bytes([own + number % 50])
            items.append(through(q, filled(SIZES[number % len(SIZES)], byte)))
            if not is_filled(items[-1], byte):
                failures.append(byte)
            items[-1].data[0] = items[-1].data[1]
            del items[: len(items) - number % 8]

    def child() -> None:
        items = receive_some(q, b"c")
        assert all(is_filled(item, b"c") for item in items)

    threads = [threading.Thread(target=receive, args=(n * 60,)) for n in range(3)]
    for thread in threads:
        thread.start()
    codes = [exit_code(fork(child)) for _ in range(50)]
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert codes == [0] * 50


# ---- random operations ----


class Model:
    """Two queues and a pipe, what is in them and what was received, with what it should hold."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.pipe = CTX.Pipe(duplex=False)
        self.queues = [CTX.Queue(), CTX.JoinableQueue()]
        self.inside: list[list[bytes]] = [[], []]
        self.held: list[tuple[Array, bytearray]] = []

    def item(self) -> bytes:
        size = self.random.choice([10, BUFFER, BUFFER + 1, WHOLE, MIB, 2 * MIB])
        return self.random.randbytes(7) * (size // 7 + 1)

    def received(self, item: Array | bytes, expected: bytes) -> None:
        if isinstance(item, bytes):
            assert item == expected
            return
        assert item.data == expected
        if len(expected) > BUFFER:
            self.held.append((item, bytearray(expected)))

    def sendable(self, item: bytes) -> Array | bytes:
        return Array(bytearray(item)) if self.random.random() < 0.7 else item

    def put(self) -> None:
        which, items = self.random.randrange(2), [self.item() for _ in range(3)]
        self.inside[which] += items
        if self.random.random() < 0.3:
            self.queues[which].put_many(map(self.sendable, items))
            return
        for item in items:
            self.queues[which].put(self.sendable(item))

    def get(self) -> None:
        which = self.random.randrange(2)
        if self.inside[which]:
            self.received(self.queues[which].get(timeout=60), self.inside[which].pop(0))

    def get_many(self) -> None:
        which = self.random.randrange(2)
        if self.inside[which]:
            for item in self.queues[which].get_many(3):
                self.received(item, self.inside[which].pop(0))

    def send(self) -> None:
        item = self.item()
        self.pipe[1].send(self.sendable(item))
        self.received(self.pipe[0].recv(), item)

    def forward(self) -> None:
        if self.held:
            item, expected = self.random.choice(self.held)
            self.inside[0].append(bytes(expected))
            self.queues[0].put(item)

    def drop(self) -> None:
        for _ in range(self.random.randrange(4)):
            if self.held:
                self.held.pop(self.random.randrange(len(self.held)))

    def write(self) -> None:
        if self.held:
            item, expected = self.random.choice(self.held)
            byte = self.random.randbytes(1)
            item.data[:] = byte * len(expected)
            expected[:] = byte * len(expected)

    def check(self) -> None:
        for item, expected in self.held:
            assert item.data == expected
        assert [q.qsize() for q in self.queues] == [len(items) for items in self.inside]

    def live(self, steps: int, depth: int) -> None:
        operations = [self.put, self.get, self.get, self.get_many, self.send]
        operations += [self.forward, self.drop, self.drop, self.write]
        for _ in range(steps):
            self.random.choice(operations)()
            if self.random.random() < 0.1 and depth > 0:
                self.fork(depth - 1)
        self.check()

    def fork(self, depth: int) -> None:
        """A child lives first; it takes what is in the queues, and leaves nothing."""

        def child() -> None:
            self.live(15, depth)
            for q, items in zip(self.queues, self.inside, strict=True):
                while items:
                    self.received(q.get(timeout=60), items.pop(0))
            self.check()

        assert exit_code(fork(child)) == 0
        self.inside = [[], []]
        self.check()

    def close(self) -> None:
        for end in self.pipe:
            end.close()


@pytest.mark.parametrize("seed", range(3))
def test_random_operations(seed: int) -> None:
    model = Model(seed)
    model.live(150, 2)
    assert sum(held(q._fileno()) for q in model.queues) < 400 * MIB
    model.close()


# ---- how long they live ----


def test_longer_than_the_queue() -> None:
    before = descriptors()
    q = goprocessing.Queue()
    items = receive_some(q)
    q.close()
    del q
    gc.collect()
    assert all(is_filled(item, b"o") for item in items)
    for item in items:
        fill(item, b"n")
    data = items[-1].data
    items.clear()
    assert data == b"n" * len(data)
    del data, item
    assert descriptors() == before


def test_longer_than_the_connection() -> None:
    before = descriptors()
    a, b = goprocessing.Pipe()
    items = []
    for size in SIZES:
        a.send([filled(size, b"o"), pattern(size)])
        items.append(b.recv()[0])
    a.close()
    b.close()
    with pytest.raises(OSError):
        b.recv()
    assert all(is_filled(item, b"o") for item in items)
    del a, b
    assert all(is_filled(item, b"o") for item in items)
    items.clear()
    assert descriptors() == before


def test_a_queue_that_has_its_own_items() -> None:
    """The garbage collector finds it."""
    before = descriptors()
    q: Any = goprocessing.Queue()
    q.last = through(q, array(MIB)).data
    del q
    a, b = goprocessing.Pipe()
    a.send(array(MIB))
    b.last = b.recv().data
    a.close()
    del a, b
    gc.collect()
    assert descriptors() == before


def put_and_exit(q: Any, count: int) -> None:
    for _ in range(count):
        q.put(array(MIB))


def test_longer_than_the_producer(our_ctx: Any, our_start: Any) -> None:
    q = our_ctx.Queue()
    child = our_start(put_and_exit, q, 5)
    child.join()
    items = [q.get_nowait() for _ in range(5)]
    del q
    assert items == [array(MIB)] * 5


def exit_with_buffers() -> None:
    global kept
    q = goprocessing.Queue()
    a, b = goprocessing.Pipe()
    a.send(array(MIB))
    kept = [through(q, array(MIB)), b.recv(), q, a, b]
    assert exit_code(fork(lambda: None)) == 0


def test_an_interpreter_ends_with_buffers() -> None:
    assert run_fresh(exit_with_buffers) == 0


# ---- memory ----


@pytest.mark.parametrize("make", [pattern, array])
def test_memory_is_used_again(make: Any) -> None:
    q = goprocessing.Queue()
    a, b = goprocessing.Pipe()
    with a, b:
        for _ in range(100):
            through(q, make(4 * MIB))
            sender = threading.Thread(target=a.send, args=(make(4 * MIB),))
            sender.start()
            b.recv()
            sender.join()
        assert held(q._fileno()) < 32 * MIB
        assert held(a._descriptors()[0]) < 32 * MIB


def test_memory_after_forks() -> None:
    q = goprocessing.Queue()
    for _ in range(100):
        item = through(q, array(4 * MIB))
        assert exit_code(fork(lambda item=item: fill(item, b"c"))) == 0
    del item
    assert held(q._fileno()) < 32 * MIB


def test_a_producer_ahead_gives_memory_back() -> None:
    q = goprocessing.Queue()
    for _ in range(50):
        q.put(array(4 * MIB))
    assert held(q._fileno()) >= 200 * MIB
    items = [q.get() for _ in range(50)]
    assert items == [array(4 * MIB)] * 50
    items.clear()
    for _ in range(200):  # the need of late is that of these
        through(q, array(BUFFER))
    assert held(q._fileno()) < 32 * MIB


@pytest.mark.slow
def test_consumers_are_killed_with_what_they_received(turns: Turns) -> None:
    q = CTX.Queue()

    def hold() -> None:
        items = [q.get(), q.get()]
        assert items == [array(4 * MIB)] * 2
        turns.give(0)
        signal.pause()

    for _ in range(60):
        q.put(array(4 * MIB))
        q.put(array(4 * MIB))
        pid = fork(hold)
        turns.take(0)
        os.kill(pid, signal.SIGKILL)
        assert exit_code(pid) == -signal.SIGKILL
    assert held(q._fileno()) < 160 * MIB
    assert through(q, array(MIB)) == array(MIB)


def relay(source: Any, target: Any) -> None:
    held: list[Any] = []
    while (item := source.get()) is not None:
        held = [*held[-2:], item]
        target.put(item)


@pytest.mark.slow
def test_processes_are_killed_while_they_pass_items_on() -> None:
    """Each loses one item at most; all others arrive whole, and once."""
    chance = random.Random(0)
    to, back = CTX.Queue(), CTX.Queue()
    relays = []
    arrived: list[int] = []
    kills = 0

    def replace_one() -> None:
        if len(relays) == 2:
            victim = relays.pop(0)
            victim.kill()
            victim.join()
            victim.close()
        relays.append(CTX.Process(target=relay, args=(to, back)))
        relays[-1].start()

    def receive() -> None:
        while not back.empty():
            number, repeated, item = back.get()
            assert item == Array(repeated * (len(item.data) // 8))
            arrived.append(number)

    for number in range(400):
        repeated = chance.randbytes(8)
        size = chance.choice([64, BUFFER, WHOLE, MIB])
        to.put((number, repeated, Array(bytearray(repeated * (size // 8)))))
        if number % 4 == 0:
            replace_one()
            kills += 1
            receive()
    for _ in relays:
        to.put(None)
    for each in relays:
        each.join()
        assert each.exitcode == 0
        each.close()
    receive()
    assert len(set(arrived)) == len(arrived)
    assert len(arrived) >= 400 - kills
    assert held(to._fileno()) < 128 * MIB
    assert held(back._fileno()) < 128 * MIB
