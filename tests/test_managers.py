"""Managers: objects in a process of their own, used through proxies by others."""

from __future__ import annotations

import importlib
import operator
import queue
from collections.abc import Iterator
from multiprocessing import managers as stdlib_managers
from types import ModuleType
from typing import Any

import pytest
from goprocessing import managers as our_managers

from .waiting import LIMIT

MANAGERS = {"multiprocessing": stdlib_managers, "goprocessing": our_managers}


class Counter:
    def __init__(self, value: int = 0) -> None:
        self.value = value

    def add(self, number: int) -> int:
        self.value += number
        return self.value

    def _private(self) -> str:
        return "private"


def countdown() -> Iterator[int]:
    yield from (3, 2, 1)


class GeneratorProxy(stdlib_managers.BaseProxy):
    _exposed_ = ("__next__",)

    def __iter__(self) -> GeneratorProxy:
        return self

    def __next__(self) -> Any:
        return self._callmethod("__next__")


def get_operator() -> Any:
    return operator


class Registering:
    """What managers of both implementations offer."""

    @classmethod
    def register_all(cls) -> None:
        cls.register("Counter", Counter)
        cls.register("Private", Counter, exposed=("add", "_private"))
        cls.register("countdown", countdown, proxytype=GeneratorProxy)
        cls.register("operator", get_operator)

    register: Any


class StdlibManager(Registering, stdlib_managers.BaseManager):
    pass


class OurManager(Registering, our_managers.BaseManager):
    pass


CUSTOM = {"multiprocessing": StdlibManager, "goprocessing": OurManager}
for manager_class in CUSTOM.values():
    manager_class.register_all()

remote_queue: queue.Queue[Any] = queue.Queue()


def get_remote_queue() -> queue.Queue[Any]:
    return remote_queue


def serve(name: str, address: Any) -> None:
    class Served(MANAGERS[name].BaseManager):  # type: ignore[name-defined,misc]
        pass

    Served.register("get_queue", get_remote_queue)
    server = Served(address=("127.0.0.1", 0), authkey=b"secret").get_server()
    address.send(server.address)
    server.serve_forever()


def client_class(name: str) -> Any:
    class Client(MANAGERS[name].BaseManager):  # type: ignore[name-defined,misc]
        pass

    Client.register("get_queue")
    return Client


def work(name: str, address: Any) -> None:
    client = client_class(name)(address=address, authkey=b"secret")
    client.connect()
    remote = client.get_queue()
    remote.put(remote.get() * 2)


def use(shared: Any, tasks: Any, lock: Any, done: Any) -> None:
    with lock:
        shared["items"].append(tasks.get())
        shared["count"] += 1
    tasks.task_done()
    done.set()


def test_types_of_its_own(module: ModuleType, ctx: Any) -> None:
    with CUSTOM[module.__name__](ctx=ctx) as manager:
        counter = manager.Counter(5)
        assert counter.add(1) == 6
        assert counter.add(1) == 7
        with pytest.raises(AttributeError):
            counter._private()
        assert manager.Private()._private() == "private"
        assert list(manager.countdown()) == [3, 2, 1]
        assert manager.operator().add(1, 2) == 3
        with pytest.raises(TypeError):
            counter.add("a string")


def test_by_the_start_method_in_force(module: ModuleType, in_force: str) -> None:
    with CUSTOM[module.__name__]() as manager:
        assert manager._ctx is module.get_context()
        assert manager.Counter(1).add(1) == 2


def test_a_remote_manager(module: ModuleType, ctx: Any, start: Any) -> None:
    name = module.__name__
    addresses, sender = ctx.Pipe(duplex=False)
    start(serve, name, sender)
    address = addresses.recv()
    client = client_class(name)(address=address, authkey=b"secret")
    client.connect()
    remote = client.get_queue()
    remote.put(21)
    worker = start(work, name, address)
    worker.join()
    assert worker.exitcode == 0
    assert remote.get(timeout=LIMIT) == 42
    stranger = client_class(name)(address=address, authkey=b"wrong")
    with pytest.raises(module.AuthenticationError):
        stranger.connect()
    for connection in addresses, sender:
        connection.close()


def test_what_a_manager_offers(module: ModuleType, ctx: Any, start: Any) -> None:
    with ctx.Manager() as manager:
        managers = importlib.import_module(f"{module.__name__}.managers")
        assert isinstance(manager, managers.SyncManager)
        assert isinstance(manager, managers.BaseManager)
        items = manager.list(["first"])
        shared = manager.dict(items=items, count=0)
        tasks, lock, done = manager.JoinableQueue(), manager.Lock(), manager.Event()
        child = start(use, shared, tasks, lock, done)
        tasks.put("second")
        tasks.join()
        assert done.wait(LIMIT)
        child.join()
        assert list(items) == ["first", "second"]
        assert shared.copy().keys() == {"items", "count"}
        assert shared["count"] == 1
        namespace = manager.Namespace(x=1)
        namespace.y = namespace.x + 1
        assert namespace.y == 2
        value, array = manager.Value("i", 1), manager.Array("i", [1, 2, 3])
        value.value += array[2]
        assert value.value == 4
        assert list(array) == [1, 2, 3]
        for semaphore in manager.Lock(), manager.Semaphore(1), manager.BoundedSemaphore(1):
            assert semaphore.acquire()
            assert not semaphore.acquire(False)
            semaphore.release()
        with manager.RLock() as taken:
            assert taken
        condition = manager.Condition()
        with condition:
            assert not condition.wait(0)
            condition.notify_all()
        assert manager.Barrier(1).wait() == 0
        assert manager.Queue(3).qsize() == 0
        with manager.Pool(1) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2]


def test_shared_memory_manager(module: ModuleType, ctx: Any) -> None:
    managers = importlib.import_module(f"{module.__name__}.managers")
    shared_memory = importlib.import_module(f"{module.__name__}.shared_memory")
    with managers.SharedMemoryManager(ctx=ctx) as manager:
        block = manager.SharedMemory(size=100)
        block.buf[:5] = b"hello"
        again = shared_memory.SharedMemory(name=block.name)
        assert bytes(again.buf[:5]) == b"hello"
        again.close()
        numbers = manager.ShareableList(range(5))
        assert sum(numbers) == 10
        name = block.name
        block.close()
        numbers.shm.close()
    with pytest.raises(FileNotFoundError):
        shared_memory.SharedMemory(name=name)
