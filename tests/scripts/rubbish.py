"""Writes random words into the memory of objects, and uses them: `rubbish.py SEED ROUNDS`.

A call may fail, and one without a time limit may wait for what never comes, until a
signal. It must do no more harm. Prints the types of the exceptions.
"""

import faulthandler
import mmap
import os
import random
import resource
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any

import goprocessing

PAGE = mmap.PAGESIZE
WORD = struct.Struct("=Q")
raised: set[str] = set()


class Alarm(Exception):
    """The time of a call is up."""


armed = False


def ring(*_: object) -> None:
    if armed:
        raise Alarm


def attempt(call: Callable[[], object]) -> None:
    global armed
    try:
        try:
            armed = True
            signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
            call()
        finally:
            armed = False
    except Exception as error:
        raised.add(type(error).__name__)
    finally:
        armed = False  # the alarm may have come just before the first time
        signal.setitimer(signal.ITIMER_REAL, 0)


def each(*calls: Callable[[], object]) -> None:
    for call in calls:
        attempt(call)


def value() -> int:
    small = [0, 1, random.randrange(256), random.getrandbits(17), random.getrandbits(32)]
    large = [2**31, 2**40, 2**63, 2**64 - 1, random.getrandbits(64), random.getrandbits(64)]
    return random.choice([*small, *large])


def names_a_process(word: int) -> bool:
    """Whether a lock with this word would be one that a process has which lives."""
    return os.path.exists(f"/proc/{word & 0x7FFFFFFF}")


def spoil(fd: int, start: int, size: int, words: int, locks: set[int]) -> None:
    """Writes to some of the words of `size` bytes at `start`, as far as the file goes."""
    with mmap.mmap(fd, 0) as memory:
        for _ in range(words):
            offset, word = start + random.randrange(size // 8) * 8, value()
            if offset in locks and names_a_process(word):
                continue
            if offset + 8 <= len(memory):
                WORD.pack_into(memory, offset, word)


# Where the engine's own locks lie: of two streams and the pool of extents.
STREAM_LOCKS = {128, 320, 640, 896, 1088, 1408, 1600}
ARENA_LOCK = 64


def arena() -> None:
    """Of the objects to come; there may be none after this."""
    fd, _ = goprocessing.Lock()._handle()
    for _ in range(20):
        spoil(fd, 64, 1024 - 64, 2, {ARENA_LOCK})
        each(goprocessing.Lock, goprocessing.Event, goprocessing.RLock, goprocessing.Condition)


def spoil_stream(fd: int) -> None:
    words = random.choice([1, 1, 1, 2, 5, 20, 200])
    # Streams, extents, links; links of the second MiB, and descriptors; records.
    places = [(64, 2112), (64, 2112), (1 << 20, 128), (1 << 16, 1 << 16)]
    spoil(fd, *random.choice(places), words, STREAM_LOCKS)


def queue() -> None:
    q: Any = goprocessing.JoinableQueue(random.choice([0, 20]))
    q._watch()
    for n in [0, 10, 10_000, 100_000, 300_000, 300_000, 10]:
        q.put(bytes(n))
    q.put(bytearray(300_000))
    each(q.get, q.get, q.get, q.get, q.get)
    spoil_stream(q._fileno())
    for _ in range(2):
        each(
            lambda: q.get(timeout=0.01),
            q.get_nowait,
            q.get,
            lambda: q.get_many(5, timeout=0.01),
            lambda: q.put(1, timeout=0.01),
            lambda: q.put(bytes(100_000), timeout=0.01),
            lambda: q.put_nowait(bytearray(300_000)),
            lambda: q.put_many(range(100), timeout=0.01),
            q.qsize,
            q.empty,
            q.full,
            q.task_done,
            q.join,
            lambda: q._poll(0.01),
        )
    each(lambda: q.shutdown(immediate=True), q.get)


def pipe() -> None:
    a, b = goprocessing.Pipe()
    for n in [0, 10, 10_000, 100_000, 300_000, 10]:
        a.send_bytes(bytes(n))
        b.send(n)
    spoil_stream(a._descriptors()[0])
    for end in [a, b, a]:
        each(
            lambda end=end: end.poll(0.01),
            end.recv,
            end.recv_bytes,
            lambda end=end: end.recv_bytes_into(bytearray(100)),
            lambda end=end: end.send(bytes(100_000)),
            lambda end=end: end.send(bytearray(300_000)),
            lambda end=end: end.send_bytes(b"x"),
            end.fileno,
        )
    a.close()
    b.close()


# So many that no other slot is near the first ones. wait() takes the lock again, for
# which it may have to wait for ever.
sound: list[Any] = []


def locks() -> None:
    lock, rlock, semaphore = goprocessing.Lock(), goprocessing.RLock(), goprocessing.Semaphore(3)
    event = goprocessing.Event()
    condition, barrier = goprocessing.Condition(sound[0]), goprocessing.Barrier(2)
    each(lambda: barrier.wait(0.01))
    each(barrier.reset)
    words = random.choice([1, 2, 5, 20])
    fd, offset = random.choice([lock, rlock, semaphore, event])._handle()
    spoil(fd, offset & -1024, 1024, words, set())
    for large in [condition, barrier]:
        fd, offset = large._handle()
        spoil(fd, offset, 128, words, {offset + 16})
    for each_lock in [lock, rlock, semaphore]:
        each(
            lambda k=each_lock: k.acquire(timeout=0.01),
            each_lock.acquire,
            each_lock.release,
            lambda k=each_lock: repr(k),
            each_lock.release,
        )
    each(event.is_set, lambda: event.wait(0.01), event.set, event.wait, event.clear)
    if sound[0].acquire(timeout=0.01):
        each(condition.notify, lambda: condition.wait(0.01), condition.notify_all)
        sound[0].release()
    each(lambda: repr(condition))
    each(barrier.wait, barrier.reset, lambda: barrier.wait(0.01), barrier.abort)
    each(lambda: barrier.n_waiting, lambda: barrier.broken)


def limit_memory() -> None:
    """Pickles of rubbish may ask for any amount of memory."""
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * PAGE
    resource.setrlimit(resource.RLIMIT_AS, (size + (6 << 30),) * 2)


def main() -> None:
    seed, rounds = int(sys.argv[1]), int(sys.argv[2])
    signal.signal(signal.SIGALRM, ring)
    goprocessing.Queue().put(1)
    limit_memory()
    sound.extend(goprocessing.Lock() for _ in range(40))
    for number in range(rounds):
        random.seed(seed + number)
        for use in [queue, pipe, locks]:
            print(seed + number, use.__name__, file=sys.stderr, flush=True)
            faulthandler.dump_traceback_later(60, exit=True)
            use()
    arena()
    print(*sorted(raised))


if __name__ == "__main__":
    main()
