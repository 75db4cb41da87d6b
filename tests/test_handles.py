"""Descriptors sent over connections, over both implementations and all start methods."""

from __future__ import annotations

import array
import importlib
import inspect
import multiprocessing.reduction
import os
import resource
import select
import socket
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import goprocessing
import goprocessing.connection
import goprocessing.reduction
import pytest

from .forks import exit_code, fork, use_engine

MIXED = 2000


@pytest.fixture
def reduction(module: ModuleType) -> ModuleType:
    return importlib.import_module(f"{module.__name__}.reduction")


@pytest.fixture
def ends(ctx: Any) -> Iterator[Any]:
    a, b = ctx.Pipe()
    with a, b:
        yield a, b


@pytest.fixture
def our_ends() -> Iterator[Any]:
    a, b = goprocessing.Pipe()
    with a, b:
        yield a, b


def send_number(reduction: ModuleType, connection: Any, number: int) -> None:
    """Sends a handle that can be told from others."""
    handle = os.eventfd(number + 1)
    reduction.send_handle(connection, handle, None)
    os.close(handle)


def receive_number(reduction: ModuleType, connection: Any) -> int:
    handle = reduction.recv_handle(connection)
    number = os.eventfd_read(handle) - 1
    os.close(handle)
    return number


def is_handle(number: int) -> bool:
    return number % 3 == 0 or number % 7 == 0


def send_mixed(module_name: str, connection: Any) -> None:
    reduction = importlib.import_module(f"{module_name}.reduction")
    for number in range(MIXED):
        if is_handle(number):
            send_number(reduction, connection, number)
        else:
            connection.send(number)


def receive_mixed(module_name: str, connection: Any, ready: Callable[[Any], object]) -> None:
    reduction = importlib.import_module(f"{module_name}.reduction")
    for number in range(MIXED):
        assert ready(connection)
        if is_handle(number):
            assert receive_number(reduction, connection) == number
        else:
            assert connection.recv() == number


def exchange_mixed(module_name: str, connection: Any) -> None:
    sender = threading.Thread(target=send_mixed, args=(module_name, connection))
    sender.start()
    receive_mixed(module_name, connection, lambda c: c.poll(None))
    sender.join()


def write_to_handle(module_name: str, connection: Any) -> None:
    handle = importlib.import_module(f"{module_name}.reduction").recv_handle(connection)
    os.write(handle, b"from the child")


def test_a_handle(ends: Any, reduction: ModuleType, module: ModuleType, start: Any) -> None:
    ours, theirs = ends
    child = start(write_to_handle, module.__name__, theirs)
    reader, writer = os.pipe()
    reduction.send_handle(ours, writer, child.pid)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        assert file.read() == b"from the child"
    child.join()
    assert child.exitcode == 0


def wait_with_select(connection: Any) -> object:
    return select.select([connection], [], [])[0]


def wait_with_poll(connection: Any) -> object:
    return connection.poll(None)


def wait_with_wait(connection: Any) -> object:
    return goprocessing.connection.wait([connection])


@pytest.mark.parametrize("ready", [wait_with_select, wait_with_poll, wait_with_wait])
def test_handles_between_messages(
    ready: Callable[[Any], object], module: ModuleType, ends: Any, start: Any
) -> None:
    """From a sender that is far ahead."""
    ours, theirs = ends
    child = start(send_mixed, module.__name__, theirs)
    receive_mixed(module.__name__, ours, ready)
    child.join()
    assert child.exitcode == 0
    assert not ours.poll()


def test_handles_in_both_directions_at_once(ends: Any, module: ModuleType, start: Any) -> None:
    ours, theirs = ends
    child = start(exchange_mixed, module.__name__, theirs)
    exchange_mixed(module.__name__, ours)
    child.join()
    assert child.exitcode == 0
    assert not ours.poll()
    assert not theirs.poll()


def test_poll_finds_a_handle(ends: Any, reduction: ModuleType) -> None:
    ours, theirs = ends
    send_number(reduction, theirs, 1)
    for timeout in 0, 1, None:
        assert ours.poll(timeout)
    assert receive_number(reduction, ours) == 1
    assert not ours.poll()


def test_a_byte_without_a_handle(ends: Any, reduction: ModuleType) -> None:
    ours, theirs = ends
    os.write(theirs.fileno(), b"\0")
    with pytest.raises(RuntimeError, match="received 0 items of ancdata"):
        reduction.recv_handle(ours)
    send_number(reduction, theirs, 1)
    assert receive_number(reduction, ours) == 1


def test_the_end_of_file(ends: Any, reduction: ModuleType) -> None:
    ours, theirs = ends
    send_number(reduction, theirs, 1)
    theirs.close()
    assert receive_number(reduction, ours) == 1
    with pytest.raises(EOFError):
        reduction.recv_handle(ours)
    with pytest.raises(BrokenPipeError):
        reduction.send_handle(ours, 0, None)


def test_closed(ends: Any, reduction: ModuleType) -> None:
    ours, _ = ends
    ours.close()
    with pytest.raises(OSError, match="handle is closed"):
        reduction.recv_handle(ours)
    with pytest.raises(OSError, match="handle is closed"):
        reduction.send_handle(ours, 0, None)


def test_over_other_connections(reduction: ModuleType) -> None:
    """Those of the standard library, and whatever has a fileno()."""
    left, right = socket.socketpair()
    with left, right:
        send_number(reduction, left, 1)
        assert receive_number(reduction, right) == 1
        reduction.sendfds(left, array.array("i", [0, 1]))
        handles = reduction.recvfds(right, 2)
        assert len(handles) == 2
        for handle in handles:
            os.close(handle)


def test_a_handle_before_the_messages_that_were_sent_first(our_ends: Any) -> None:
    """A byte stream could not do that."""
    ours, theirs = our_ends
    theirs.send("first")
    send_number(goprocessing.reduction, theirs, 1)
    theirs.send("last")
    send_number(goprocessing.reduction, theirs, 2)
    for number in 1, 2:
        assert receive_number(goprocessing.reduction, ours) == number
        assert wait_with_select(ours)
    assert [ours.recv(), ours.recv()] == ["first", "last"]
    assert not ours.poll()


@pytest.mark.parametrize("send", [multiprocessing.reduction.send_handle], ids=["stdlib"])
def test_handles_that_the_standard_library_sent(send: Any, our_ends: Any) -> None:
    """Of a program that imported it early: only select() does not know."""
    ours, theirs = our_ends
    theirs.send("first")
    send(theirs, 0, None)
    theirs.send("last")
    assert ours.recv() == "first"
    os.close(goprocessing.reduction.recv_handle(ours))
    assert ours.poll()
    left, right = socket.socketpair()
    with left, right:
        assert goprocessing.connection.wait([ours, left]) == [ours]
        right.send(b"x")
        assert goprocessing.connection.wait([left, ours]) == [left, ours]
        assert goprocessing.connection.wait([left, ours], 0) == [left, ours]
    assert ours.recv() == "last"
    assert not ours.poll()


def test_a_handle_while_no_descriptor_is_left(our_ends: Any) -> None:
    ours, theirs = our_ends
    goprocessing.reduction.send_handle(theirs, 0, None)

    def receive() -> None:
        use_engine()
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        with pytest.raises(RuntimeError, match="received 0 items of ancdata"):
            goprocessing.reduction.recv_handle(ours)

    assert exit_code(fork(receive)) == 0


def test_a_thread_that_waits_for_a_handle_lets_others_run(our_ends: Any) -> None:
    ours, theirs = our_ends
    received: list[int] = []
    thread = threading.Thread(
        target=lambda: received.append(receive_number(goprocessing.reduction, ours))
    )
    thread.start()
    for number in range(100):
        theirs.send(number)
        assert ours.recv() == number
    send_number(goprocessing.reduction, theirs, 7)
    thread.join()
    assert received == [7]
    assert not ours.poll()


def test_what_is_the_standard_librarys() -> None:
    theirs, ours = multiprocessing.reduction, goprocessing.reduction
    replaced = {"send_handle", "recv_handle", "AbstractReducer"}
    for name in vars(theirs):
        if not name.startswith("__"):
            assert (getattr(ours, name) is getattr(theirs, name)) == (name not in replaced), name
    assert set(ours.__all__) == set(theirs.__all__)
    for name in "send_handle", "recv_handle":
        assert getattr(ours.AbstractReducer, name) is getattr(ours, name)
        assert list(inspect.signature(getattr(ours, name)).parameters) == list(
            inspect.signature(getattr(theirs, name)).parameters
        )
