"""Processes forked from a parent in which the engine is busy."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import goprocessing
import pytest

from .forks import exit_code, fork
from .test_queue import produce

CTX = goprocessing.get_context("fork")


@pytest.fixture
def busy() -> Iterator[None]:
    """Threads that pass items to and fro, sleeping and waking in the engine, all the time."""
    to, back = CTX.Queue(1), CTX.Queue(1)

    def serve() -> None:
        while (item := to.get()) is not None:
            back.put(item)

    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            to.put("item")
            back.get()
        to.put(None)

    threads = [threading.Thread(target=serve), threading.Thread(target=ask)]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join()


def use_everything(answers: Any, number: int) -> None:
    """Uses what was inherited, and new objects that make a thread wait for another."""
    q, event, lock = CTX.Queue(1), CTX.Event(), CTX.Lock()
    a, b = CTX.Pipe()
    thread = threading.Thread(target=produce, args=(q, 0, 3))
    thread.start()
    assert [q.get() for _ in range(3)] == [0, 1, 2]
    thread.join()
    thread = threading.Thread(target=lambda: (event.wait(), a.send("sent")))
    thread.start()
    event.set()
    assert b.recv() == "sent"
    thread.join()
    with lock:
        answers.put(number)


@pytest.mark.slow
@pytest.mark.timeout(600)  # nearly a minute with ASan, where the machine is not busy
def test_a_thousand_forks_in_a_row(busy: None) -> None:
    answers = CTX.Queue()
    for number in range(1000):
        child = CTX.Process(target=use_everything, args=(answers, number))
        child.start()
        assert answers.get(timeout=60) == number
        child.join(60)
        assert child.exitcode == 0
        child.close()


@pytest.mark.slow
def test_forks_of_many_threads_at_once(busy: None) -> None:
    answers = CTX.Queue()
    codes = []

    def fork_some() -> None:
        for number in range(20):
            codes.append(exit_code(fork(lambda n=number: use_everything(answers, n))))

    threads = [threading.Thread(target=fork_some) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0] * 80
    assert sorted(answers.get_nowait() for _ in codes) == sorted([*range(20)] * 4)


def descend(answers: Any, depth: int) -> None:
    use_everything(answers, depth)
    if depth:
        child = CTX.Process(target=descend, args=(answers, depth - 1))
        child.start()
        child.join()
        sys.exit(child.exitcode)


def test_grandchildren(busy: None) -> None:
    answers = CTX.Queue()
    child = CTX.Process(target=descend, args=(answers, 10))
    child.start()
    child.join()
    assert child.exitcode == 0
    child.close()
    assert [answers.get_nowait() for _ in range(11)] == list(range(10, -1, -1))


def test_a_daemon_that_closed_all_descriptors(busy: None) -> None:
    """What needs no descriptor works on, and so does all that is made afterwards."""
    lock, semaphore, event = CTX.Lock(), CTX.Semaphore(0), CTX.Event()

    def run() -> None:
        os.closerange(3, 1000)
        with lock:
            assert semaphore.acquire(timeout=0.01) is False
        own = CTX.Queue()
        use_everything(own, 3)
        assert own.get_nowait() == 3
        semaphore.release()
        event.set()

    assert exit_code(fork(run)) == 0
    assert semaphore.acquire(False)
    assert event.is_set()


def test_objects_dropped_in_the_child_live_in_the_parent() -> None:
    q, lock, (a, b) = CTX.Queue(), CTX.Lock(), CTX.Pipe()

    def drop() -> None:
        nonlocal q, lock, a, b
        q.put("from the child")
        q.close()
        a.close()
        b.close()
        del q, lock, a, b

    assert exit_code(fork(drop)) == 0
    assert q.get_nowait() == "from the child"
    assert lock.acquire(False)
    a.send("open")
    assert b.recv() == "open"
    a.close()
    b.close()


def test_a_process_started_by_a_thread(busy: None) -> None:
    answers = CTX.Queue()
    codes = []

    def run() -> None:
        child = CTX.Process(target=use_everything, args=(answers, 7))
        child.start()
        child.join()
        codes.append(child.exitcode)
        child.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert codes == [0]
    assert answers.get_nowait() == 7


WARNINGS = """
import sys, threading, warnings
import goprocessing

def child(filters):
    assert warnings.filters == filters
    assert warnings.showwarning.__module__ == "warnings"

if __name__ == "__main__":
    goprocessing.set_start_method("fork")
    q = goprocessing.Queue()
    stop = threading.Event()
    if sys.argv[1] == "user thread":
        threading.Thread(target=stop.wait).start()
    for _ in range(3):
        process = goprocessing.Process(target=child, args=(warnings.filters[:],))
        process.start()
        process.join()
        process.close()
        assert not warnings.filters or warnings.filters[0][0] == "always"
    stop.set()
"""


@pytest.mark.parametrize("thread", ["user thread", "engine only"])
def test_the_warning_of_a_fork_with_threads(thread: str, tmp_path: Any) -> None:
    """CPython's since 3.12: for the program's own threads, not for the engine's."""
    script = tmp_path / "script.py"
    script.write_text(WARNINGS)
    result = subprocess.run(
        [sys.executable, "-W", "always", script, thread],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0
    if thread == "user thread" and sys.version_info >= (3, 12):
        assert result.stderr.count("DeprecationWarning: This process") == 3
    else:
        assert result.stderr == ""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_no_warning_is_an_error(method: str, tmp_path: Any) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, goprocessing\n"
        "if __name__ == '__main__':\n"
        "    ctx = goprocessing.get_context(sys.argv[1])\n"
        "    q, lock, pipe = ctx.Queue(), ctx.Lock(), ctx.Pipe()\n"
        "    process = ctx.Process(target=q.put, args=(1,))\n"
        "    process.start()\n"
        "    process.join()\n"
        "    assert process.exitcode == 0 and q.get() == 1\n"
    )
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", script, method],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
