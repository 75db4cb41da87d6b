"""Limits of the system: a clear error or it works, and the object is sound afterwards.

What takes long, or much memory, runs with `make limits`.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import mmap
import os
import queue
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import goprocessing
import pytest

from .conftest import descriptors
from .forks import exit_code, fork, run_fresh
from .test_errors import limited, raises_oserror
from .test_memory import held
from .test_scripts import SCRIPTS, lines
from .waiting import eventually

MIB = 1 << 20
GIB = 1 << 30

PATIENCE = 600


def large(test: Any) -> Any:
    """Marks a test that takes minutes where the machine is busy."""
    skip = pytest.mark.skipif("GOPROCESSING_LIMITS" not in os.environ, reason="see make limits")
    return pytest.mark.timeout(PATIENCE)(skip(test))


def assert_sound(q: Any) -> None:
    """An empty queue does what it should."""
    assert q.empty()
    for item in ["sound", b"x" * 100_000, b"y" * MIB]:
        q.put(item)
        assert q.get(timeout=60) == item
    assert q.qsize() == 0


def drain(q: Any) -> Iterator[Any]:
    while not q.empty():
        yield q.get()


# ---- descriptors ----


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    lift = limited(resource.RLIMIT_NOFILE, max(descriptors()) + 1)
    fill = []
    with contextlib.suppress(OSError):
        while True:
            fill.append(os.dup(0))
    try:
        yield
    finally:
        for fd in fill:
            os.close(fd)
        lift()


def condition_of_its_own() -> Any:
    return goprocessing.Condition(goprocessing.Lock())


NEED_DESCRIPTORS = [
    goprocessing.Queue,
    goprocessing.JoinableQueue,
    goprocessing.SimpleQueue,
    goprocessing.Pipe,
    goprocessing.Pool,
    goprocessing.Manager,
]
# The first one of a process does; others take what it left.
NEED_AN_ARENA = [
    goprocessing.Lock,
    goprocessing.RLock,
    goprocessing.Semaphore,
    goprocessing.BoundedSemaphore,
    goprocessing.Event,
    condition_of_its_own,
    lambda: goprocessing.Barrier(1),
]


def constructors_without_descriptors() -> None:
    goprocessing.Queue()  # loads the engine
    for make in [*NEED_DESCRIPTORS, *NEED_AN_ARENA]:
        with no_descriptors():
            raises_oserror(make, errno.EMFILE)
    for make in NEED_AN_ARENA:
        make()
    with goprocessing.Lock(), no_descriptors():
        for make in NEED_AN_ARENA:
            make()
    assert_sound(goprocessing.Queue())
    assert goprocessing.Barrier(1).wait() == 0
    for end in goprocessing.Pipe():
        end.close()


def test_constructors_without_descriptors() -> None:
    assert run_fresh(constructors_without_descriptors) == 0


def receive_without_descriptors(q: Any, results: Any) -> None:
    results.put("ready")
    while q.qsize() < 3:
        q._poll(1)
    numbers = []
    with no_descriptors():
        for _ in range(3):
            try:
                q.get()
            except OSError as error:
                numbers.append(error.errno)
    results.put(numbers)
    received = q.get(timeout=60)
    received.put("received")


def test_objects_that_are_received_without_descriptors() -> None:
    """They are gone, as anything that cannot be unpickled; the queue is not."""
    q, results, last = goprocessing.Queue(), goprocessing.Queue(), goprocessing.Queue()
    ends = goprocessing.Pipe()
    pid = fork(lambda: receive_without_descriptors(q, results))
    assert results.get(timeout=60) == "ready"
    for each in [goprocessing.Queue(), goprocessing.Lock(), ends[0]]:
        q.put(each)
    assert results.get(timeout=60) == [errno.EMFILE] * 3
    q.put(last)
    assert last.get(timeout=60) == "received"
    assert exit_code(pid) == 0
    assert_sound(q)
    for end in ends:
        end.close()


# ---- memory ----


def address_space() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * mmap.PAGESIZE


def short_of_address_space() -> None:
    # The Go runtime would end the process.
    for room in [0, 300 * MIB, 700 * MIB, GIB, 1900 * MIB]:
        lift = limited(resource.RLIMIT_AS, address_space() + room)
        raises_oserror(goprocessing.Queue, errno.ENOMEM)
        raises_oserror(goprocessing.Lock, errno.ENOMEM)
        lift()
    limited(resource.RLIMIT_AS, address_space() + 2 * GIB + 64 * MIB)
    q: Any = goprocessing.Queue()
    assert_sound(q)
    with pytest.raises(queue.Empty):
        q.get(timeout=0.1)
    lock = goprocessing.Lock()
    assert lock.acquire()
    assert not lock.acquire(timeout=0.1)
    assert exit_code(fork(short_of_address_space_in_a_child)) == 0


def short_of_address_space_in_a_child() -> None:
    # What the parent's engine has reserved is reserved here, too.
    raises_oserror(goprocessing.Queue, errno.ENOMEM)


def test_the_address_space_is_too_small_for_the_engine() -> None:
    assert run_fresh(short_of_address_space) == 0


def short_of_threads() -> None:
    nobody = 65534
    os.setgid(nobody)
    os.setuid(nobody)  # root has no limit
    limit = resource.getrlimit(resource.RLIMIT_NPROC)
    for number in [1, 3]:
        resource.setrlimit(resource.RLIMIT_NPROC, (number, limit[1]))
        raises_oserror(goprocessing.Queue, errno.EAGAIN)
        raises_oserror(goprocessing.Event, errno.EAGAIN)
    resource.setrlimit(resource.RLIMIT_NPROC, limit)
    assert_sound(goprocessing.Queue())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_no_threads_are_left_for_the_engine() -> None:
    assert run_fresh(short_of_threads) == 0


@contextlib.contextmanager
def memory_cgroup(limit: int) -> Iterator[Path]:
    """A control group whose processes have so much memory, shared memory included."""
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))
    root = Path("/sys/fs/cgroup")
    if "memory" in own:
        place, file = root / "memory" / own["memory"].lstrip("/"), "memory.limit_in_bytes"
    else:
        place, file = root / own.get("", "").lstrip("/"), "memory.max"
    group = place / f"goprocessing-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"cannot make a control group: {error}")
    try:
        try:
            (group / file).write_text(str(limit))
        except OSError as error:
            pytest.skip(f"cannot limit a control group: {error}")
        yield group
    finally:
        # A process that was killed leaves it a moment later.
        eventually(lambda: remove(group))


def remove(group: Path) -> bool:
    try:
        group.rmdir()
    except OSError:
        return False
    return True


def put_until_it_fails(q: Any, size: int, group: Path) -> None:
    (group / "cgroup.procs").write_text(str(os.getpid()))
    number = 0
    with contextlib.suppress(OSError, MemoryError):
        while number < 100_000:
            q.put(b"%d" % number + bytes(size))
            number += 1


@pytest.mark.parametrize("size", [1000, 50_000, 400_000])
def test_the_memory_of_the_control_group_is_used_up(size: int) -> None:
    """The kernel kills whoever wants more; what was put is in the queue."""
    q = goprocessing.Queue()
    q.put("load the engine")
    q.get()
    with memory_cgroup(96 * MIB) as group:
        code = exit_code(fork(lambda: put_until_it_fails(q, size, group)))
        assert code in (0, -signal.SIGKILL)
        count = q.qsize()
        assert MIB < count * size < 96 * MIB
        for number, item in enumerate(drain(q)):
            assert item == b"%d" % number + bytes(size)
            count -= 1
        assert count == 0
        assert_sound(q)


def test_dev_shm_is_full() -> None:
    """It has 64 MiB in many containers, and 1 MiB here."""
    root = [] if os.geteuid() == 0 else ["--map-root-user"]
    mount = "mount -t tmpfs -o size=1m none /dev/shm"
    alone = ["unshare", "--mount", *root, "sh", "-c", f'{mount} && "$@"', "sh"]
    probe = subprocess.run([*alone, "true"], capture_output=True, text=True, timeout=60)
    if probe.returncode:
        pytest.skip(f"cannot mount a file system: {probe.stderr}")
    command = [*alone, sys.executable, str(SCRIPTS / "full_disk.py")]
    assert lines(subprocess.run(command, capture_output=True, text=True, timeout=60)) == ["sound"]


def put_and_get(q: Any, back: Any, number: int) -> None:
    signal.alarm(PATIENCE)
    for _ in range(10):
        q.put(number)
        back.put(q.get())


# ---- sizes and numbers ----


def test_more_than_there_can_be() -> None:
    """Pages that were never touched stand for an item of any size."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE
    with contextlib.ExitStack() as stack:
        memory = stack.enter_context(mmap.mmap(-1, 40 << 40, flags=flags))
        view = stack.enter_context(memoryview(memory))
        a, b = goprocessing.Pipe()
        with a, b:
            raises_oserror(lambda: a.send_bytes(view), errno.EFBIG)
            a.send_bytes(b"sound")
            assert b.recv_bytes() == b"sound"


def available() -> int:
    with open("/proc/meminfo") as file:
        lines = dict(line.split(":") for line in file)
    return int(lines["MemAvailable"].split()[0]) * 1024


# A little more than 32 bits can count.
HUGE = 4 * GIB + 5


@large
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_an_item_of_4_gib(kind: type[bytes] | type[bytearray]) -> None:
    if available() < 3 * HUGE + GIB:
        pytest.skip("not enough memory")
    q: Any = goprocessing.Queue()
    q.put(kind(HUGE))
    item = q.get()
    assert len(item) == HUGE
    assert type(item) is kind
    assert item[-1] == 0
    del item
    gc.collect()
    assert_sound(q)


def send_zeros(end: Any) -> None:
    signal.alarm(PATIENCE)
    end.send_bytes(bytes(HUGE))


@large
def test_a_message_of_4_gib() -> None:
    if available() < 3 * HUGE + GIB:
        pytest.skip("not enough memory")
    a, b = goprocessing.Pipe()
    with a, b:
        pid = fork(lambda: send_zeros(a))
        assert len(b.recv_bytes()) == HUGE
        assert exit_code(pid) == 0
        a.send("sound")
        assert b.recv() == "sound"


@large
def test_ten_million_items() -> None:
    count = 10_000_000
    q: Any = goprocessing.Queue()
    for start in range(0, count, 10_000):
        q.put_many(range(start, start + 10_000))
    assert q.qsize() == count
    expected = 0
    while expected < count:
        for item in q.get_many():
            assert item == expected
            expected += 1
    assert_sound(q)
    assert held(q._fileno()) < 8 * MIB


@large
def test_ten_thousand_queues() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10_000, (hard - 100) // 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * count + 100), hard))
    try:
        queues = [goprocessing.Queue() for _ in range(count)]
        for number, q in enumerate(queues):
            q.put(number)
        assert [q.get() for q in queues] == list(range(count))
        assert sum(held(q._fileno()) for q in queues) < count * 100 * 1024
        assert_sound(queues[-1])
        del q, queues
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@large
def test_a_thousand_processes_on_one_queue() -> None:
    q, back = goprocessing.Queue(), goprocessing.Queue()
    pids = [fork(lambda number=number: put_and_get(q, back, number)) for number in range(1000)]
    assert [exit_code(pid) for pid in pids] == [0] * 1000
    assert sorted(drain(back)) == sorted(list(range(1000)) * 10)
    assert_sound(q)


@large
def test_a_hundred_thousand_locks() -> None:
    before = len(descriptors())
    locks = [goprocessing.Lock() for _ in range(100_000)]
    assert len(descriptors()) - before < 110  # an arena has room for a thousand
    for lock in locks:
        assert lock.acquire(False)
        assert not lock.acquire(False)
        lock.release()
    conditions = [goprocessing.Condition(locks[0]) for _ in range(10_000)]
    with locks[0]:
        for condition in conditions:
            condition.notify_all()
        assert not conditions[-1].wait(0.001)
