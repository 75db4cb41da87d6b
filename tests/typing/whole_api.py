"""The whole public API as type checkers see it: nothing is Any that need not be."""

from __future__ import annotations

import ctypes
import logging
import queue
import socket
from collections.abc import Iterable
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized, SynchronizedArray, SynchronizedString
from typing import Any, assert_type

import goprocessing
import goprocessing as multiprocessing
import goprocessing.dummy
import goprocessing.dummy.connection
import goprocessing.forkserver
import goprocessing.heap
import goprocessing.managers
import goprocessing.pool
import goprocessing.popen_fork
import goprocessing.popen_forkserver
import goprocessing.popen_spawn_posix
import goprocessing.resource_sharer
import goprocessing.resource_tracker
import goprocessing.shared_memory
import goprocessing.sharedctypes
import goprocessing.spawn
import goprocessing.util
from goprocessing import (
    JoinableQueue,
    OwnerDied,
    Process,
    Queue,
    ShutDown,
    SimpleQueue,
    connection,
    context,
    get_context,
    inspect,
    named,
    process,
    queue_ends,
    queues,
    reduction,
    synchronize,
)


def use_queues(numbers: Queue[int], tasks: JoinableQueue[str], simple: SimpleQueue[bytes]) -> None:
    numbers.put(1)
    numbers.put(1, False)
    numbers.put(1, timeout=0.5)
    numbers.put_nowait(1)
    numbers.put_bytes(memoryview(b"bytes"), timeout=0.5)
    assert_type(numbers.get_bytes(block=False), bytes)
    assert_type(numbers.get(), int)
    assert_type(numbers.get(block=True, timeout=None), int)
    assert_type(numbers.get_nowait(), int)
    numbers.put_many(range(3), timeout=0.5)
    assert_type(numbers.get_many(max_items=2, block=False), list[int])
    assert_type(tasks.get_many(), list[str])
    assert_type(numbers.qsize(), int)
    assert_type(numbers.empty(), bool)
    assert_type(numbers.full(), bool)
    numbers.close()
    numbers.join_thread()
    numbers.cancel_join_thread()
    assert_type(tasks.get(), str)
    tasks.task_done()
    tasks.join()
    tasks.shutdown()
    try:
        numbers.shutdown(immediate=True)
        numbers.put(1)
    except (ShutDown, queues.ShutDown) as shut:
        assert_type(shut, ShutDown)
    assert_type(simple.get(), bytes)
    simple.put(b"bytes")
    assert_type(simple.empty(), bool)
    simple.close()


def make_queues() -> None:
    by_annotation: Queue[int] = multiprocessing.Queue()
    bounded: queues.Queue[str] = multiprocessing.Queue(maxsize=3)
    assert_type(by_annotation.get(), int)
    assert_type(bounded.get(), str)
    use_queues(Queue(), JoinableQueue(3), SimpleQueue())
    use_queues(
        queues.Queue[int](3, ctx=get_context()), get_context().JoinableQueue(), SimpleQueue()
    )
    assert_type(get_context("spawn").Queue(), queues.Queue[Any])
    assert_type(get_context("spawn").JoinableQueue(), queues.JoinableQueue[Any])
    assert_type(get_context("fork").JoinableQueue(3, redeliver=True), queues.JoinableQueue[Any])
    use_queues(Queue(), JoinableQueue(redeliver=True), SimpleQueue())
    assert_type(queues.JoinableQueue[int](0, redeliver=True).abandoned(), list[int])
    encoded: Queue[list[int]] = multiprocessing.Queue(codec="json")
    assert_type(encoded.get(), list[int])
    assert_type(queues.JoinableQueue[bytes](codec="bytes").get(), bytes)
    assert_type(get_context("spawn").Queue(codec="msgpack"), queues.Queue[Any])
    assert_type(get_context("spawn").SimpleQueue(), queues.SimpleQueue[Any])


def use_names() -> None:
    numbers: queues.Queue[int] = goprocessing.open_queue("numbers", 3, create=True, codec="json")
    assert_type(numbers.get(), int)
    assert_type(goprocessing.open_queue("numbers"), queues.Queue[Any])
    assert_type(named.open_joinable_queue("tasks", redeliver=True), queues.JoinableQueue[Any])
    assert_type(goprocessing.open_lock("lock", create=False), synchronize.Lock)
    assert_type(goprocessing.open_rlock("rlock", robust=True), synchronize.RLock)
    assert_type(goprocessing.open_semaphore("free", 3), synchronize.Semaphore)
    assert_type(named.open_bounded_semaphore("free", 3), synchronize.BoundedSemaphore)
    assert_type(goprocessing.open_event("begin"), synchronize.Event)
    lock = goprocessing.open_lock("lock", robust=True)
    assert_type(goprocessing.open_condition("changed", lock), synchronize.Condition)
    assert_type(goprocessing.open_barrier("round", 3, timeout=1.5), synchronize.Barrier)
    assert_type(goprocessing.open_pipe("pipe", timeout=1.5), connection.PipeEnd)
    assert_type(named.open_pipe("pipe", writable=False), connection.PipeEnd)
    numbers = goprocessing.open_queue("numbers", create=True, unlink_at_exit=True)
    goprocessing.open_lock("lock", create=True, unlink_at_exit=True).release()
    goprocessing.unlink("numbers")
    assert_type(goprocessing.names(), list[str])


class Counting(queues.Queue[int]):
    def put(self, obj: int, block: bool = True, timeout: float | None = None) -> None:
        super().put(obj + 1, block, timeout)

    def use_ends(self) -> None:
        assert_type(self._reader, queue_ends.Reader)
        assert_type(self._reader.fileno(), int)
        assert_type(self._reader.poll(timeout=None), bool)
        assert_type(self._reader.recv_bytes(), bytes)
        assert_type((self._reader.closed, self._reader.readable), tuple[bool, bool])
        self._reader.close()
        assert_type(self._writer, queue_ends.Writer)
        self._writer.send(self._reader.recv())
        self._writer.send_bytes(memoryview(b"bytes"))
        connection.wait([self._reader, Process().sentinel])
        connection.wait((self._reader,), timeout=1.5)


def use_locks() -> None:
    lock, recursive = multiprocessing.Lock(), multiprocessing.RLock()
    semaphore, bounded = multiprocessing.Semaphore(2), multiprocessing.BoundedSemaphore(value=2)
    assert_type(lock, synchronize.Lock)
    assert_type(recursive, synchronize.RLock)
    assert_type(semaphore, synchronize.Semaphore)
    assert_type(bounded, synchronize.BoundedSemaphore)
    for each in lock, recursive, semaphore, bounded:
        assert_type(each.acquire(), bool)
        assert_type(each.acquire(block=False, timeout=None), bool)
        each.release()
        with each as taken:
            assert_type(taken, bool)
        assert_type((each.get_value(), each.maxvalue), tuple[int, int])
        assert_type(each.locked(), bool)

    assert_type(goprocessing.Lock(robust=True), goprocessing.synchronize.Lock)
    assert_type(goprocessing.RLock(robust=True), goprocessing.synchronize.RLock)
    assert_type(goprocessing.Semaphore(2, robust=True), goprocessing.synchronize.Semaphore)
    robust = get_context("fork").BoundedSemaphore(robust=True)
    try:
        robust.acquire()
    except (OwnerDied, synchronize.OwnerDied) as died:
        assert_type(died, OwnerDied)
    robust.release()

    event = multiprocessing.Event()
    assert_type(event, synchronize.Event)
    event.set()
    event.clear()
    assert_type(event.is_set(), bool)
    assert_type(event.wait(), bool)
    assert_type(event.wait(timeout=1.5), bool)

    condition = multiprocessing.Condition(lock)
    assert_type(condition, synchronize.Condition)
    assert_type(multiprocessing.Condition(), synchronize.Condition)
    with condition:
        assert_type(condition.wait(1.5), bool)
        condition.notify(n=2)
        condition.notify_all()
        condition.wait_for(event.is_set, timeout=1.5)

    barrier = multiprocessing.Barrier(2, action=event.set, timeout=1.5)
    assert_type(barrier, synchronize.Barrier)
    assert_type(barrier.wait(timeout=1.5), int)
    assert_type(barrier.parties, int)
    assert_type(barrier.n_waiting, int)
    assert_type(barrier.broken, bool)
    barrier.reset()
    barrier.abort()


def use_connections() -> None:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    assert_type(ours, connection.PipeEnd)
    assert_type(connection.Pipe(), tuple[connection.PipeEnd, connection.PipeEnd])
    theirs.send({"a": "dict"})
    ours.recv()
    theirs.send_bytes(b"bytes", 1, 2)
    assert_type(ours.recv_bytes(maxlength=100), bytes)
    assert_type(ours.recv_bytes_into(bytearray(100), offset=2), int)
    assert_type(ours.poll(), bool)
    assert_type(ours.poll(timeout=None), bool)
    assert_type(ours.fileno(), int)
    assert_type((ours.closed, ours.readable, ours.writable), tuple[bool, bool, bool])
    connection.wait([ours, theirs, 7], timeout=1.5)
    with theirs as same:
        assert_type(same, connection.PipeEnd)
    ours.close()
    with connection.Listener(("127.0.0.1", 0), authkey=b"secret") as listener:
        listener.accept().close()
        connection.Client(listener.address, authkey=b"secret").close()
    reduction.send_handle(ours, 1, 2)
    assert_type(reduction.recv_handle(ours), int)
    with socket.socket() as sock:
        reduction.sendfds(sock, [1, 2])
        assert_type(reduction.recvfds(sock, 2), list[int])
    reduction.ForkingPickler.dumps({"a": "dict"})
    reduction.ForkingPickler.register(Subclass, Subclass.__reduce__)
    reduction.register(Subclass, Subclass.__reduce__)
    with open("file", "wb") as file:
        reduction.dump({"a": "dict"}, file)
    reduction.DupFd(1)


def run(number: int, name: str = "") -> None: ...


class Subclass(Process):
    def run(self) -> None:
        assert_type(self.name, str)


def use_processes() -> None:
    child = Process(target=run, args=(1,), kwargs={"name": "a"}, name="child", daemon=True)
    child.start()
    child.join(timeout=1.5)
    assert_type(child.is_alive(), bool)
    assert_type(child.exitcode, int | None)
    assert_type(child.pid, int | None)
    assert_type(child.sentinel, int)
    assert_type(child.daemon, bool)
    child.terminate()
    child.kill()
    child.close()
    Subclass().start()
    started: BaseProcess = get_context("spawn").Process(target=run)
    started.start()
    assert_type(multiprocessing.current_process(), BaseProcess)
    assert_type(multiprocessing.parent_process(), BaseProcess | None)
    assert_type(multiprocessing.active_children(), list[BaseProcess])
    assert_type(process.current_process(), BaseProcess)
    assert_type(multiprocessing.cpu_count(), int)
    multiprocessing.freeze_support()
    multiprocessing.allow_connection_pickling()
    multiprocessing.set_executable("/usr/bin/python3")
    multiprocessing.set_forkserver_preload(["module"])
    assert_type(multiprocessing.get_logger(), logging.Logger)
    assert_type(multiprocessing.log_to_stderr(logging.INFO), logging.Logger)
    goprocessing.install()
    assert_type(goprocessing.__version__, str)


def use_contexts(method: str) -> None:
    assert_type(get_context("fork"), context.ForkContext)
    assert_type(get_context("spawn"), context.SpawnContext)
    assert_type(get_context("forkserver"), context.ForkServerContext)
    assert_type(get_context(method), context.BaseContext)
    as_theirs: BaseContext = get_context(method)
    as_theirs.Queue()
    multiprocessing.set_start_method("spawn", force=True)
    multiprocessing.set_start_method(None, force=True)
    assert_type(multiprocessing.get_start_method(), str)
    assert_type(multiprocessing.get_start_method(allow_none=True), str | None)
    names: list[str] = multiprocessing.get_all_start_methods()
    get_context().Process(target=run).start()
    get_context(method).Process(target=run).start()
    assert_type(get_context("fork").Lock(), synchronize.Lock)
    assert_type(get_context("fork").RLock(), synchronize.RLock)
    assert_type(get_context("fork").Semaphore(), synchronize.Semaphore)
    assert_type(get_context("fork").BoundedSemaphore(), synchronize.BoundedSemaphore)
    assert_type(get_context("fork").Condition(), synchronize.Condition)
    assert_type(get_context("fork").Event(), synchronize.Event)
    assert_type(get_context("fork").Barrier(2), synchronize.Barrier)
    assert_type(get_context("fork").Pipe()[0], connection.PipeEnd)
    assert_type(get_context("fork").Pool(1), goprocessing.pool.Pool)
    assert_type(get_context("fork").Manager(), goprocessing.managers.SyncManager)
    del names


def square(number: int) -> float:
    return number * number


def use_pools() -> None:
    with multiprocessing.Pool(2, initializer=run, initargs=(1,), maxtasksperchild=10) as pool:
        assert_type(pool, goprocessing.pool.Pool)
        assert_type(pool.apply(square, (1,)), float)
        assert_type(pool.map(square, [1, 2], chunksize=1), list[float])
        assert_type(pool.imap(square, [1, 2]), goprocessing.pool.IMapIterator[float])
        assert_type(pool.apply_async(square, (1,)), goprocessing.pool.AsyncResult[float])
        assert_type(pool.apply_async(square, (1,)).get(timeout=1.5), float)
        for each in pool.imap_unordered(square, [1, 2]):
            assert_type(each, float)
        try:
            pool.map(square, [1])
        except goprocessing.pool.WorkerDied as died:
            assert_type(died.exitcode, int | None)
        pool.close()
        pool.join()
    in_context = goprocessing.pool.Pool(context=get_context("spawn"))
    in_context.terminate()
    with goprocessing.pool.ThreadPool(2) as threads:
        assert_type(threads.map(square, [1]), list[float])
        pool = threads


class Manager(goprocessing.managers.BaseManager):
    pass


def use_managers() -> None:
    Manager.register("Subclass", Subclass, exposed=("run",))
    token = goprocessing.managers.Token("Subclass", ("127.0.0.1", 1), "1")
    goprocessing.managers.BaseProxy(token, "pickle", authkey=b"secret")
    remote = Manager(address=("127.0.0.1", 0), authkey=b"secret", ctx=get_context("fork"))
    remote.connect()
    remote.get_server().serve_forever()
    with multiprocessing.Manager() as manager:
        assert_type(manager, goprocessing.managers.SyncManager)
        numbers = manager.list([1, 2])
        assert_type(numbers, goprocessing.managers.ListProxy[int])
        assert_type(manager.dict({"a": 1}), goprocessing.managers.DictProxy[str, int])
        assert_type(manager.Namespace(), goprocessing.managers.Namespace)
        proxy: goprocessing.managers.BaseProxy = numbers
        del proxy
        shared: queue.Queue[int] = manager.Queue()
        shared.put(1)
        manager.shutdown()
    with goprocessing.managers.SharedMemoryManager() as memory:
        assert_type(memory.SharedMemory(size=10), goprocessing.shared_memory.SharedMemory)
        items = memory.ShareableList([1, 2])
        assert_type(items, goprocessing.shared_memory.ShareableList[int])


def use_shared_memory() -> None:
    number = multiprocessing.Value(ctypes.c_int, 7)
    assert_type(number, Synchronized[int])
    with number.get_lock():
        number.value += 1
    numbers = multiprocessing.Array(ctypes.c_double, [1, 2, 3])
    assert_type(numbers, SynchronizedArray[float])
    assert_type(multiprocessing.Array(ctypes.c_char, 10), SynchronizedString)
    assert_type(multiprocessing.RawValue(ctypes.c_int, 1), ctypes.c_int)
    raw: ctypes.Array[ctypes.c_int] = multiprocessing.RawArray(ctypes.c_int, 3)
    goprocessing.sharedctypes.copy(raw)
    goprocessing.sharedctypes.Value(ctypes.c_int, 1, lock=multiprocessing.RLock())
    single: Synchronized[int] = goprocessing.sharedctypes.synchronized(ctypes.c_int(1))
    del single
    block = goprocessing.shared_memory.SharedMemory(create=True, size=10)
    assert block.buf is not None
    block.buf[:3] = b"abc"
    block.close()
    block.unlink()


def use_dummy() -> None:
    with goprocessing.dummy.Pool(2) as pool:
        pool.map(square, [1])
    thread = goprocessing.dummy.Process(target=run)
    thread.start()
    goprocessing.dummy.connection.Pipe()


def use_errors(error: Exception) -> Iterable[str]:
    try:
        raise error
    except multiprocessing.BufferTooShort:
        yield "too short"
    except (multiprocessing.AuthenticationError, multiprocessing.TimeoutError):
        yield "others"
    except multiprocessing.ProcessError:
        yield "any"


def use_modules() -> None:
    goprocessing.util.Finalize(None, run, (1,), exitpriority=1)
    goprocessing.util.register_after_fork(goprocessing, print)
    goprocessing.forkserver.ensure_running()
    goprocessing.resource_tracker.ensure_running()
    goprocessing.resource_sharer.stop()
    goprocessing.spawn.get_executable()
    goprocessing.heap.BufferWrapper(10)
    assert_type(goprocessing.popen_fork.Popen.method, str)
    assert_type(goprocessing.popen_spawn_posix.Popen.method, str)
    assert_type(goprocessing.popen_forkserver.Popen.method, str)
    assert_type(multiprocessing.reducer.ForkingPickler, type[reduction.ForkingPickler])


def look(thing: inspect.Object) -> None:
    assert_type((thing.id, thing.name, thing.kind, thing.problem), tuple[str, str, str, str])
    assert_type((thing.memory, thing.value, thing.limit), tuple[int, int, int])
    assert_type(thing.users, tuple[int, ...])
    assert_type(thing.streams, tuple[inspect.Stream, ...])
    assert_type(thing.holders, tuple[inspect.Holder, ...])
    assert_type(thing.waiters, tuple[inspect.Waiter, ...])
    assert_type(thing.stale or thing.broken or thing.robust or thing.awaited, bool)
    for stream in thing.streams:
        assert_type(stream.depth + stream.bytes + stream.max_items + stream.max_bytes, int)
        assert_type(stream.puts - stream.gets + stream.unfinished - stream.done, int)
        assert_type(stream.joinable or stream.full or stream.shut or stream.watched, bool)
    for holder in thing.holders:
        assert_type((holder.of, holder.count), tuple[str, int])
    for waiter in thing.waiters:
        assert_type(waiter.to, str)
    threads: list[inspect.Thread] = [*thing.holders, *thing.waiters]
    assert_type([(thread.pid, thread.tid) for thread in threads], list[tuple[int, int]])
    assert_type([thread.alive for thread in threads], list[bool])


def use_inspection() -> None:
    snapshot = inspect.snapshot()
    assert_type(snapshot, inspect.Snapshot)
    assert_type(snapshot.hidden, bool)
    for user in snapshot.processes:
        assert_type(user, inspect.Process)
        assert_type((user.pid, user.parent, user.command), tuple[int, int, str])
        assert_type(user.stopped, bool)
    for thing in snapshot.objects:
        look(thing)
    assert_type(inspect.identify(goprocessing.Lock()), str)
    assert_type(inspect.unlink_stale("a", "b"), list[str])
    for repaired in inspect.repair() + inspect.free("1"):
        assert_type(repaired, inspect.Repaired)
        assert_type((repaired.id, repaired.name, repaired.kind), tuple[str, str, str])
        assert_type((repaired.done, repaired.problem), tuple[str, str])
