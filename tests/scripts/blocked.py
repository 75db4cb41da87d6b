"""Blocks in one call, named by argv[1]; prints "ready" before it, and what became of it.

With argv[2] "masked", another thread takes the signals that are to end or interrupt it.
"""

import os
import signal
import sys
import threading

from goprocessing import (
    Barrier,
    Condition,
    Event,
    JoinableQueue,
    Lock,
    Pipe,
    Queue,
    RLock,
    Semaphore,
    open_pipe,
)
from goprocessing.connection import wait
from goprocessing.reduction import recv_handle, send_handle


class Holder:
    """A thread that has a lock until it is told to release it."""

    def __init__(self, lock):
        acquired, self._end = threading.Event(), threading.Event()
        self._lock = lock
        threading.Thread(target=self._hold, args=(acquired,), daemon=True).start()
        acquired.wait()

    def _hold(self, acquired):
        with self._lock:
            acquired.set()
            self._end.wait()

    def release(self):
        self._end.set()


def calls():
    queue, full, joinable = Queue(), Queue(1), JoinableQueue()
    full.put("first")
    joinable.put("task")
    ours, theirs = Pipe()
    reader, writer = Pipe(duplex=False)
    writer.send_bytes(bytes(2 << 20))
    lock, semaphore, event = Lock(), Semaphore(0), Event()
    lock.acquire()
    rlock, condition, barrier = RLock(), Condition(), Barrier(2)
    name = f"test-blocked-{os.getpid()}"
    holder = Holder(rlock)

    def wait_for_notify(*timeout):
        with condition:
            condition.wait(*timeout)

    def notify():
        with condition:
            condition.notify()

    return {
        "get": (queue.get, lambda: queue.put("released")),
        "get with timeout": (lambda: queue.get(timeout=1000), lambda: queue.put("released")),
        "put": (lambda: full.put("second"), full.get),
        "put with timeout": (lambda: full.put("second", timeout=1000), full.get),
        "get_many": (queue.get_many, lambda: queue.put("released")),
        "put_many": (lambda: full.put_many(["second"]), full.get),
        "get_bytes": (queue.get_bytes, lambda: queue.put("released")),
        "put_bytes": (lambda: full.put_bytes(b"second"), full.get),
        "put of a large item": (lambda: full.put(bytes(1 << 20)), full.get),
        "join": (joinable.join, joinable.task_done),
        "recv": (ours.recv, lambda: theirs.send("released")),
        "recv_bytes": (ours.recv_bytes, lambda: theirs.send("released")),
        "send": (lambda: writer.send("second"), reader.recv_bytes),
        "poll": (lambda: ours.poll(None), lambda: theirs.send("released")),
        "recv_handle": (lambda: recv_handle(ours), lambda: send_handle(theirs, 0, None)),
        "wait for a connection": (lambda: wait([ours]), lambda: theirs.send("released")),
        "open_pipe": (lambda: open_pipe(name), lambda: open_pipe(name)),
        "acquire": (lock.acquire, lock.release),
        "acquire with timeout": (lambda: lock.acquire(timeout=1000), lock.release),
        "acquire semaphore": (semaphore.acquire, semaphore.release),
        "with": (lock.__enter__, lock.release),
        "wait": (event.wait, event.set),
        "wait with timeout": (lambda: event.wait(1000), event.set),
        "acquire rlock": (rlock.acquire, holder.release),
        "wait for condition": (wait_for_notify, notify),
        "wait for condition with timeout": (lambda: wait_for_notify(1000), notify),
        "wait at barrier": (barrier.wait, barrier.wait),
        "wait at barrier with timeout": (lambda: barrier.wait(1000), barrier.wait),
    }


def main():
    block, release = calls()[sys.argv[1]]
    signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))

    def release_on_request():
        if sys.stdin.readline():
            release()

    threading.Thread(target=release_on_request, daemon=True).start()
    if sys.argv[2:] == ["masked"]:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGUSR1])
    print("ready", flush=True)
    try:
        block()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    else:
        print("returned", flush=True)


main()
