"""Pipe and its connections, over both implementations and all start methods."""

from __future__ import annotations

import array
import contextlib
import importlib
import multiprocessing.connection
import os
import select
import socket
import threading
from typing import Any

import goprocessing.connection
import pytest

from .test_queue import ITEMS
from .waiting import until_blocked


@pytest.fixture
def pipe(ctx: Any) -> Any:
    a, b = ctx.Pipe()
    yield a, b
    a.close()
    b.close()


@pytest.fixture
def oneway(ctx: Any) -> Any:
    reader, writer = ctx.Pipe(duplex=False)
    yield reader, writer
    reader.close()
    writer.close()


def echo(connection: Any) -> None:
    try:
        while True:
            connection.send(connection.recv())
    except EOFError:
        connection.close()


def echo_closing(connection: Any, other: Any) -> None:
    other.close()
    echo(connection)


def send_numbers(connection: Any, count: int) -> None:
    for number in range(count):
        connection.send(number)
    connection.close()


def send_one(connection: Any, obj: Any) -> None:
    connection.send(obj)


def receive_then_send(connection: Any, size: int) -> None:
    data = connection.recv_bytes()
    connection.send_bytes(data[::-1][:size])


def hold(connection: Any, ready: Any) -> None:
    ready.send("ready")
    ready.recv()


def test_objects_both_ways(pipe: Any, start: Any) -> None:
    ours, theirs = pipe
    child = start(echo_closing, theirs, ours)
    theirs.close()
    for item in ITEMS[:-2]:
        ours.send(item)
        assert ours.recv() == item
    ours.close()
    child.join()
    assert child.exitcode == 0


def test_modes(pipe: Any, oneway: Any) -> None:
    for end in pipe:
        assert (end.readable, end.writable, end.closed) == (True, True, False)
    reader, writer = oneway
    assert (reader.readable, reader.writable) == (True, False)
    assert (writer.readable, writer.writable) == (False, True)
    with pytest.raises(OSError, match="connection is read-only"):
        reader.send(1)
    with pytest.raises(OSError, match="connection is read-only"):
        reader.send_bytes(b"1")
    for receive in (
        writer.recv,
        writer.recv_bytes,
        writer.poll,
        lambda: writer.recv_bytes_into(bytearray(1)),
    ):
        with pytest.raises(OSError, match="connection is write-only"):
            receive()
    writer.send("passes")
    assert reader.recv() == "passes"


def test_bytes(pipe: Any) -> None:
    a, b = pipe
    for message in (b"", b"x", b"x" * 255, b"y" * 100_000):
        sender = threading.Thread(target=a.send_bytes, args=(message,))
        sender.start()
        assert b.recv_bytes() == message
        sender.join()
    a.send_bytes(b"0123456789", 3)
    assert b.recv_bytes() == b"3456789"
    a.send_bytes(b"0123456789", offset=3, size=4)
    assert b.recv_bytes() == b"3456"
    a.send_bytes(b"0123456789", 10)
    assert b.recv_bytes() == b""
    a.send_bytes(memoryview(b"abcdef")[::1], 2, 0)
    assert b.recv_bytes() == b""
    numbers = array.array("i", [1, 2, 3])
    a.send_bytes(numbers)
    assert b.recv_bytes() == numbers.tobytes()
    a.send_bytes(numbers, numbers.itemsize, numbers.itemsize)
    assert b.recv_bytes() == numbers[1:2].tobytes()


@pytest.mark.parametrize(
    ("offset", "size", "text"),
    [
        (-1, None, "offset is negative"),
        (4, None, "buffer length < offset"),
        (0, -1, "size is negative"),
        (0, 4, "buffer length < offset \\+ size"),
        (3, 1, "buffer length < offset \\+ size"),
    ],
)
def test_bounds_of_send_bytes(module: Any, offset: int, size: int | None, text: str) -> None:
    a, b = module.Pipe()
    with pytest.raises(ValueError, match=text):
        a.send_bytes(b"123", offset, size)
    a.send_bytes(b"123")
    assert b.recv_bytes() == b"123"
    a.close()
    b.close()


def test_receiving_into_a_buffer(pipe: Any) -> None:
    a, b = pipe
    buffer = bytearray(8)
    a.send_bytes(b"abc")
    assert b.recv_bytes_into(buffer) == 3
    a.send_bytes(b"de")
    assert b.recv_bytes_into(buffer, 6) == 2
    assert buffer == b"abc\0\0\0de"
    a.send_bytes(b"")
    assert b.recv_bytes_into(buffer, offset=8) == 0
    numbers = array.array("i", [0] * 4)
    a.send_bytes(array.array("i", [7, 8]))
    assert b.recv_bytes_into(numbers, numbers.itemsize) == 2 * numbers.itemsize
    assert list(numbers) == [0, 7, 8, 0]
    with pytest.raises(ValueError, match="negative offset"):
        b.recv_bytes_into(buffer, -1)
    with pytest.raises(ValueError, match="offset too large"):
        b.recv_bytes_into(buffer, 9)
    a.send_bytes(b"abc")
    with pytest.raises(TypeError):
        b.recv_bytes_into(b"read-only")


def test_a_buffer_too_short(pipe: Any, module: Any) -> None:
    a, b = pipe
    a.send_bytes(b"too long")
    a.send_bytes(b"next")
    with pytest.raises(module.BufferTooShort) as caught:
        b.recv_bytes_into(bytearray(4))
    assert caught.value.args == (b"too long",)
    assert b.recv_bytes() == b"next"


def test_maxlength(pipe: Any, oneway: Any) -> None:
    a, b = pipe
    with pytest.raises(ValueError, match="negative maxlength"):
        b.recv_bytes(-1)
    a.send_bytes(b"12345")
    assert b.recv_bytes(5) == b"12345"
    a.send_bytes(b"12345")
    with pytest.raises(OSError, match="bad message length"):
        b.recv_bytes(4)
    assert not b.closed
    assert not b.readable
    with pytest.raises(OSError, match="write-only"):
        b.recv_bytes()
    b.send("still writes")
    assert a.recv() == "still writes"

    reader, writer = oneway
    writer.send_bytes(b"12345")
    with pytest.raises(OSError, match="bad message length"):
        reader.recv_bytes(maxlength=4)
    assert reader.closed


def test_poll(pipe: Any, start: Any) -> None:
    a, b = pipe
    assert b.poll() is False
    assert b.poll(0.01) is False
    assert b.poll(-1) is False
    a.send_bytes(b"")
    for timeout in (0, 0.0, -1, 1, None):
        assert b.poll(timeout) is True
    assert b.recv_bytes() == b""
    assert b.poll() is False
    # It leaves the message to whoever receives.
    a.send("for the child")
    assert b.poll(60) is True
    child = start(echo, b)
    assert a.recv() == "for the child"
    child.kill()
    child.join()


def test_end_of_file(pipe: Any) -> None:
    a, b = pipe
    a.send("last")
    a.close()
    assert b.poll() is True
    assert b.recv() == "last"
    assert b.poll() is True
    for receive in (b.recv, b.recv_bytes, lambda: b.recv_bytes_into(bytearray(1))):
        with pytest.raises(EOFError):
            receive()
    with pytest.raises(BrokenPipeError):
        b.send("nobody")


def test_send_to_nobody_after_many_messages(pipe: Any) -> None:
    a, b = pipe
    for number in range(100):
        a.send(number)
        assert b.recv() == number
    b.close()
    with pytest.raises(BrokenPipeError):
        a.send("nobody")


def test_send_to_a_killed_process_after_many_messages(pipe: Any, start: Any) -> None:
    ours, theirs = pipe
    child = start(echo_closing, theirs, ours)
    theirs.close()
    for number in range(100):
        ours.send(number)
        assert ours.recv() == number
    child.kill()
    child.join()
    with pytest.raises(BrokenPipeError):
        ours.send("nobody")


def test_end_of_file_of_a_killed_process(pipe: Any, ctx: Any, start: Any) -> None:
    a, b = pipe
    here, there = ctx.Pipe()
    child = start(hold, b, there)
    b.close()
    assert here.recv() == "ready"
    assert a.poll() is False
    child.kill()
    with pytest.raises(EOFError):
        a.recv()
    here.close()
    there.close()


def test_end_of_file_wakes_a_blocked_receiver(pipe: Any) -> None:
    a, b = pipe
    raised = []
    started = threading.Event()

    def receive() -> None:
        started.set()
        try:
            b.recv()
        except EOFError as error:
            raised.append(error)

    thread = threading.Thread(target=receive)
    thread.start()
    started.wait()
    until_blocked(os.getpid(), thread.native_id)
    a.close()
    thread.join()
    assert raised


def test_a_writer_that_is_far_ahead(oneway: Any, start: Any) -> None:
    reader, writer = oneway
    child = start(send_numbers, writer, 20_000)
    writer.close()
    assert [reader.recv() for _ in range(20_000)] == list(range(20_000))
    with pytest.raises(EOFError):
        reader.recv()
    child.join()
    assert child.exitcode == 0


def test_large_messages(pipe: Any, start: Any) -> None:
    a, b = pipe
    size = 16 << 20
    start(receive_then_send, b, size)
    data = os.urandom(1 << 20) * 16
    a.send_bytes(data)
    assert a.recv_bytes() == data[::-1]


def test_closed(pipe: Any) -> None:
    a, _ = pipe
    a.close()
    a.close()
    assert a.closed
    for call in (
        a.fileno,
        a.recv,
        a.recv_bytes,
        a.poll,
        lambda: a.send(1),
        lambda: a.send_bytes(b"1"),
        lambda: a.recv_bytes_into(bytearray(1)),
    ):
        with pytest.raises(OSError, match="handle is closed"):
            call()


def test_as_context_manager(ctx: Any) -> None:
    a, b = ctx.Pipe()
    with a as entered, b:
        assert entered is a
        a.send(1)
        assert b.recv() == 1
    assert a.closed
    assert b.closed


def test_readiness_for_the_kernel(pipe: Any) -> None:
    a, b = pipe
    assert isinstance(a.fileno(), int)
    poller = select.poll()
    poller.register(b.fileno(), select.POLLIN)
    assert not poller.poll(0)
    a.send("one")
    a.send("two")
    assert poller.poll(60_000)
    assert b.recv() == "one"
    assert poller.poll(60_000)
    assert b.recv() == "two"
    assert not poller.poll(0)
    a.close()
    assert poller.poll(60_000)
    with pytest.raises(EOFError):
        b.recv()


@pytest.mark.parametrize("left", [0, 1])
def test_readiness_for_the_kernel_asked_for_late(pipe: Any, left: int) -> None:
    a, b = pipe
    for _ in range(3):
        a.send("one")
    for _ in range(3 - left):
        b.recv()
    poller = select.poll()
    poller.register(b, select.POLLIN)
    assert bool(poller.poll(0)) is bool(left)
    for _ in range(left):
        b.recv()
    assert not poller.poll(0)
    a.send("two")
    assert poller.poll(60_000)


@pytest.fixture(
    params=[multiprocessing.connection, goprocessing.connection], ids=lambda m: m.__name__
)
def wait(request: pytest.FixtureRequest) -> Any:
    return request.param.wait


def test_wait(wait: Any, pipe: Any, oneway: Any, start: Any) -> None:
    a, b = pipe
    reader, writer = oneway
    left, right = socket.socketpair()
    with left, right:
        everything = [b, reader, left]
        assert wait(everything, 0) == []
        writer.send(1)
        assert wait(everything, 60) == [reader]
        a.send(2)
        assert wait(everything, 60) == [b, reader]
        assert reader.recv() == 1
        assert b.recv() == 2
        assert wait(everything, 0.01) == []
        right.send(b"x")
        assert wait(everything) == [left]
        child = start(send_one, a, "from the child")
        assert b in wait([b, child.sentinel])
        assert b.recv() == "from the child"
        assert wait([b, child.sentinel]) == [child.sentinel]


def test_wait_for_everything(wait: Any, ctx: Any, pipe: Any, start: Any) -> None:
    """Each of them alone, then all at once; in a process of its own, too."""
    a, b = pipe
    q = ctx.SimpleQueue()
    ready = ctx.Event()
    child = start(wait_for_event, ready)
    left, right = socket.socketpair()
    with (
        left,
        right,
        contextlib.closing(q),
        multiprocessing.connection.Listener(family="AF_UNIX") as listener,
    ):
        waker: Any = {
            b: lambda: a.send(1),
            q._reader: lambda: q.put(1),
            left: lambda: right.send(b"x"),
            listener._listener._socket: lambda: clients.append(  # type: ignore[attr-defined]
                multiprocessing.connection.Client(listener.address)
            ),
            child.sentinel: ready.set,
        }
        clients: list[Any] = []
        woken: list[Any] = []
        for obj, wake in waker.items():
            thread = threading.Thread(target=lambda: woken.append(wait([*waker][len(woken) :])))
            thread.start()
            until_blocked(os.getpid(), thread.native_id)
            wake()
            thread.join()
            assert woken[-1] == [obj]
        assert wait(waker) == list(waker)
        assert wait(iter(waker), 0) == list(waker)
        listener.accept().close()
        clients.pop().close()


def wait_for_event(event: Any) -> None:
    event.wait()


def test_wait_for_the_end_of_file(wait: Any, pipe: Any, oneway: Any) -> None:
    a, b = pipe
    reader, writer = oneway
    assert wait([b, reader], 0) == []
    a.close()
    assert wait([b, reader]) == [b]
    writer.close()
    assert wait([b, reader]) == [b, reader]


def test_wait_for_the_end_that_only_sends(wait: Any, oneway: Any) -> None:
    reader, writer = oneway
    assert wait([writer], 0) == []
    reader.close()
    assert wait([writer]) == [writer]


def test_wait_that_is_told_nonsense(wait: Any, pipe: Any) -> None:
    a, b = pipe
    assert wait([], 0) == []
    assert wait([b], -1) == []
    a.send(1)
    with pytest.raises(KeyError, match="already registered"):
        wait([b, b])
    with pytest.raises(ValueError, match="Invalid file object"):
        wait([b, "nonsense"])
    b.close()
    with pytest.raises((OSError, ValueError)):
        wait([a, b])


def test_a_connection_through_a_connection(pipe: Any, start: Any, ctx: Any) -> None:
    """To a process that already runs, and did not inherit it."""
    a, b = pipe
    start(echo_what_comes, b)
    inner, given = ctx.Pipe()
    a.send(given)
    given.close()
    assert inner.recv() == "through the connection that was sent"
    assert a.recv() == "sent"
    with pytest.raises(EOFError):
        inner.recv()
    inner.close()


def echo_what_comes(connection: Any) -> None:
    with connection.recv() as received:
        received.send("through the connection that was sent")
    connection.send("sent")
    connection.recv()


def test_is_a_standard_connection(pipe: Any, module: Any) -> None:
    assert isinstance(pipe[0], multiprocessing.connection.Connection)
    connection = importlib.import_module(f"{module.__name__}.connection")
    assert isinstance(pipe[0], connection.Connection)
    with connection.Listener() as listener, connection.Client(listener.address) as client:
        assert isinstance(client, connection.Connection)
        listener.accept().close()


def test_over_a_descriptor(module: Any) -> None:
    connection = importlib.import_module(f"{module.__name__}.connection")
    left, right = socket.socketpair()
    with connection.Connection(left.detach()) as a:
        with connection.Connection(handle=right.detach(), writable=False) as b:
            assert (b.readable, b.writable) == (True, False)
            a.send("over the socket")
            assert b.recv() == "over the socket"
    with pytest.raises(ValueError, match="invalid handle"):
        connection.Connection(-1)
    with pytest.raises(TypeError):
        connection.Connection()


def test_nothing_is_inherited_by_exec(pipe: Any) -> None:
    assert not os.get_inheritable(pipe[0].fileno())


def test_threads_send_and_receive(pipe: Any) -> None:
    a, b = pipe
    received: list[bytes] = []

    def receive() -> None:
        while message := b.recv_bytes():
            received.append(message)

    receiver = threading.Thread(target=receive)
    receiver.start()
    for number in range(2000):
        a.send_bytes(b"%d" % number)
    a.send_bytes(b"")
    receiver.join()
    assert received == [b"%d" % number for number in range(2000)]
