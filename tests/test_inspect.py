"""Inspection: what `goprocessing.inspect`, `ps` and `top` say, and that nobody notices."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import goprocessing
import pytest
from goprocessing import _listing, inspect

from .waiting import eventually

# What is found does not depend on how processes are started.
CTX = goprocessing.get_context("fork")
YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")
# Where the kernel hides the system calls of others, who waits is not known.
sleepers_are_hidden = os.geteuid() != 0 and YAMA.exists() and YAMA.read_text() != "0\n"


def find(matches: Callable[[inspect.Object], object]) -> inspect.Object:
    """The object of this process that matches, as soon as there is one."""
    found: list[inspect.Object] = []

    def look() -> bool:
        mine = (thing for thing in inspect.snapshot().objects if os.getpid() in thing.users)
        found.extend(thing for thing in mine if matches(thing))
        return bool(found)

    eventually(look)
    return found[0]


def queue_of(size: int) -> Callable[[inspect.Object], bool]:
    return lambda thing: thing.kind == "queue" and thing.streams[0].max_items == size


def blocked(thing: inspect.Object, pid: int, to: str) -> bool:
    if sleepers_are_hidden:
        return thing.awaited
    return any(waiter.pid == pid and waiter.to == to for waiter in thing.waiters)


def _acquire_and_wait(lock: Any, held: Any, over: Any) -> None:
    lock.acquire()
    held.set()
    over.wait()


def _acquire_and_die(lock: Any) -> None:
    lock.acquire()
    os._exit(0)


def test_queue() -> None:
    queue = goprocessing.JoinableQueue(70001)
    for number in range(5):
        queue.put(number)
    queue.get()
    queue.task_done()
    thing = find(queue_of(70001))
    (stream,) = thing.streams
    assert (stream.depth, stream.puts, stream.gets) == (4, 5, 1)
    assert (stream.done, stream.unfinished, stream.joinable) == (1, 4, True)
    assert not (stream.full or stream.shut or stream.watched or thing.awaited)
    assert 0 < stream.bytes < thing.memory
    command = {process.pid: process.command for process in inspect.snapshot().processes}
    assert "pytest" in command[os.getpid()]


def test_pipe() -> None:
    a, b = goprocessing.Pipe()
    a.send_bytes(b"message")
    find(lambda thing: thing.kind == "pipe" and sum(s.depth for s in thing.streams) == 1)
    b.recv_bytes()


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_who_holds_a_lock_and_who_waits_for_it(kind: str) -> None:
    lock, held, over = getattr(CTX, kind)(), CTX.Event(), CTX.Event()
    holder = CTX.Process(target=_acquire_and_wait, args=(lock, held, over))
    holder.start()
    assert held.wait(60)
    waiter = CTX.Process(target=_acquire_and_wait, args=(lock, held, over))
    waiter.start()

    def is_it(thing: inspect.Object) -> bool:
        return thing.kind == kind.lower() and [h.pid for h in thing.holders] == [holder.pid]

    thing = find(lambda thing: is_it(thing) and blocked(thing, waiter.pid, "acquire"))
    assert [(h.tid, h.alive, h.of) for h in thing.holders] == [(holder.pid, True, "lock")]
    over.set()
    holder.join()
    lock.release() if kind == "Lock" else waiter.kill()
    waiter.join()


@pytest.mark.parametrize("robust", [False, True])
def test_the_holder_of_a_lock_has_died(robust: bool) -> None:
    lock = CTX.Lock(robust=robust)
    process = CTX.Process(target=_acquire_and_die, args=(lock,))
    process.start()
    process.join()
    thing = find(lambda thing: [h.pid for h in thing.holders] == [process.pid])
    assert (thing.kind, thing.robust) == ("lock", robust)
    assert not thing.holders[0].alive
    if not robust:
        lock.release()


def test_a_producer_waits_for_room() -> None:
    queue = CTX.Queue(1)
    queue.put("the only one")
    process = CTX.Process(target=queue.put, args=("one too many",))
    process.start()
    thing = find(lambda thing: queue_of(1)(thing) and blocked(thing, process.pid, "put"))
    assert thing.streams[0].full
    queue.get()
    process.join()
    assert process.exitcode == 0


def test_threads_that_wait() -> None:
    condition, barrier, event = (
        goprocessing.Condition(),
        goprocessing.Barrier(70002),
        goprocessing.Event(),
    )

    def wait_for_condition() -> None:
        with condition:
            condition.wait()

    def wait_for_barrier() -> None:
        with pytest.raises(threading.BrokenBarrierError):
            barrier.wait()

    threads = [
        threading.Thread(target=target)
        for target in (wait_for_condition, wait_for_barrier, event.wait)
    ]
    for thread in threads:
        thread.start()
    tids = [thread.native_id for thread in threads]
    find(lambda thing: thing.kind == "condition" and [w.tid for w in thing.waiters] == tids[:1])
    thing = find(lambda thing: thing.limit == 70002 and thing.waiters)
    assert (thing.kind, thing.value, [w.tid for w in thing.waiters]) == ("barrier", 1, tids[1:2])
    find(lambda thing: thing.kind == "event" and blocked(thing, os.getpid(), "wait"))
    event.set()
    barrier.abort()
    with condition:
        condition.notify_all()
    for thread in threads:
        thread.join()
    find(lambda thing: thing.limit == 70002 and thing.broken)


def test_which_one_is_it() -> None:
    name = f"inspect-{os.getpid()}"
    a, b = goprocessing.Pipe()
    known = {
        "queue": goprocessing.Queue(),
        "lock": goprocessing.Lock(),
        "rlock": goprocessing.RLock(robust=True),
        "semaphore": goprocessing.open_semaphore(name, create=True),
        "event": goprocessing.Event(),
        "condition": goprocessing.Condition(),
        "barrier": goprocessing.Barrier(2),
        "pipe": a,
    }
    goprocessing.unlink(name)
    found = {thing.id: thing for thing in inspect.snapshot().objects}
    for kind, thing in known.items():
        assert found[inspect.identify(thing)].kind == kind
    assert inspect.identify(a) == inspect.identify(b)
    simple = goprocessing.SimpleQueue()
    assert inspect.identify(simple) in {thing.id for thing in inspect.snapshot().objects}
    with pytest.raises(TypeError, match="not an object that is shared"):
        inspect.identify(threading.Lock())


def test_semaphore() -> None:
    semaphore = goprocessing.BoundedSemaphore(70003)
    semaphore.acquire()
    thing = find(lambda thing: thing.limit == 70003)
    assert (thing.kind, thing.value, thing.holders) == ("semaphore", 70002, ())


def _caught() -> list[str]:
    status = Path("/proc/self/status").read_text().splitlines()
    return [line for line in status if line.startswith(("SigCgt", "SigIgn"))]


def test_the_process_that_asks_stays_as_it_was() -> None:
    before, callbacks = _caught(), list(gc.callbacks)
    inspect.snapshot()
    assert _caught() == before
    assert gc.callbacks == callbacks
    assert "goprocessing._inspect" not in sys.modules


def test_a_forked_process_can_ask() -> None:
    queue = CTX.Queue(70004)
    inspect.snapshot()
    process = CTX.Process(target=find, args=(queue_of(70004),))
    process.start()
    process.join()
    assert process.exitcode == 0
    del queue


def test_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho first >&2; echo it went wrong >&2; exit 3\n")
    broken.chmod(0o700)
    monkeypatch.setattr("multiprocessing.spawn.get_executable", lambda: str(broken))
    with pytest.raises(RuntimeError, match=r"^Snapshot failed: it went wrong$"):
        inspect.snapshot()


def run(*arguments: str, cwd: Path, code: int = 0, encoding: str = "utf-8") -> str:
    result = subprocess.run(
        [sys.executable, "-P", "-m", "goprocessing", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=cwd,
        env=os.environ | {"COLUMNS": "200", "PYTHONIOENCODING": encoding},
        stdin=subprocess.DEVNULL,
    )
    assert result.returncode == code, result.stderr
    return result.stdout if code == 0 else result.stdout + result.stderr


def test_ps(tmp_path: Path) -> None:
    queue = goprocessing.Queue(70005)
    queue.put("item")
    lock, free = goprocessing.Lock(), goprocessing.Lock()
    with lock:
        output = run("ps", str(os.getpid()), cwd=tmp_path)
    lines = output.splitlines()
    assert lines[0].split()[:3] == ["OBJECT", "KIND", "STATE"]
    assert any("queue" in line and "1 of 70005" in line for line in lines)
    assert any(
        line.split()[1:3] + line.split()[4:5] == ["lock", "held", str(os.getpid())]
        for line in lines
    )
    assert any(line.split()[:1] == [str(os.getpid())] and "pytest" in line for line in lines)
    assert not any(" lock " in line and " free " in line for line in lines)
    everything = run("ps", "--all", str(os.getpid()), cwd=tmp_path).splitlines()
    assert any(" lock " in line and " free " in line for line in everything)
    del free


def test_ps_of_nothing(tmp_path: Path) -> None:
    nobody = str(2**31)
    output = run("ps", nobody, cwd=tmp_path, code=1)
    assert output == f"python -m goprocessing ps: no such process: {nobody}\n"
    queue = goprocessing.Queue()
    output = run("ps", nobody, str(os.getpid()), cwd=tmp_path, code=1)
    assert "no such process" in output
    assert inspect.identify(queue) in output
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as other:
        result = subprocess.run(
            [sys.executable, "-P", "-m", "goprocessing", "ps", str(other.pid)],
            capture_output=True,
            text=True,
            timeout=100,
            cwd=tmp_path,
        )
        assert (result.returncode, result.stdout) == (0, "")
        assert result.stderr == f"python -m goprocessing ps: no objects of process {other.pid}\n"
        other.communicate()


def test_ps_json(tmp_path: Path) -> None:
    queue = goprocessing.Queue(70006)
    found = json.loads(run("ps", "--json", str(os.getpid()), cwd=tmp_path))
    assert any(
        stream["max_items"] == 70006 for thing in found["objects"] for stream in thing["streams"]
    )
    output = run("ps", "--json", str(2**31), cwd=tmp_path, code=1)
    nothing, end = json.JSONDecoder().raw_decode(output)
    assert "no such process" in output[end:]
    assert [nothing[key] for key in ("objects", "processes", "blocked", "idle")] == [[]] * 4
    del queue


def test_ps_to_nobody(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = subprocess.run(
        [sys.executable, "-P", "-m", "goprocessing", "ps", "--json"],
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=100,
        cwd=tmp_path,
    )
    os.close(writer)
    assert (result.returncode, result.stderr) == (-signal.SIGPIPE, b"")


def test_a_command_takes_one_line() -> None:
    program = "python -c first()\nsecond()\x1b[2J caf\N{LATIN SMALL LETTER E WITH ACUTE}"
    lines = _listing.processes(
        inspect.Snapshot((), (inspect.Process(1, 0, False, program),), False), 100
    )
    assert [*lines] == [
        "PID  PARENT  COMMAND",
        r"  1       0  python -c first()\nsecond()\x1b[2J caf"
        "\N{LATIN SMALL LETTER E WITH ACUTE}",
    ]


def test_top(tmp_path: Path) -> None:
    queue = goprocessing.Queue(2)
    queue.put(1)
    queue.put(2)
    process = goprocessing.Process(target=queue.put, args=(3,))
    process.start()
    find(lambda thing: queue_of(2)(thing) and blocked(thing, process.pid, "put"))
    output = run("top", "--count=2", "--interval=0.01", str(process.pid), cwd=tmp_path)
    assert "2 of 2, full" in output
    assert "██" in output
    if not sleepers_are_hidden:
        assert f"is full (2 of 2); {process.pid} waits to put" in output
    queue.get()
    process.join()


def test_top_where_there_are_no_such_characters(tmp_path: Path) -> None:
    queue = goprocessing.Queue(70007)
    queue.put(1)
    arguments = "--count=1", str(os.getpid())
    output = run("top", *arguments, cwd=tmp_path, encoding="ascii")
    assert re.search(r"1 of 70007 +\?", output), output


@pytest.mark.parametrize("argument", ["--interval=-1", "--interval=nan", "--count=0", "self"])
def test_top_of_what_makes_no_sense(argument: str, tmp_path: Path) -> None:
    assert "error: argument" in run("top", argument, cwd=tmp_path, code=2)


def test_top_ends_when_interrupted(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "goprocessing", "top", str(os.getpid())],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=60)
        assert (process.returncode, complaints) == (0, b"")
    finally:
        process.kill()
        process.communicate()


def test_top_without_rich(tmp_path: Path) -> None:
    (tmp_path / "rich.py").write_text("raise ImportError\n")
    result = subprocess.run(
        [sys.executable, "-m", "goprocessing", "top"],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=tmp_path,
    )
    assert result.returncode == 1
    assert "pip install 'goprocessing[cli]'" in result.stderr


@pytest.mark.parametrize("command", ["ps", "top", "repair", "unlink"])
def test_a_script_of_that_name_runs(command: str, tmp_path: Path) -> None:
    (tmp_path / command).write_text("import sys; print('ran', sys.argv)\n")
    assert run(command, "--json", cwd=tmp_path) == f"ran ['{command}', '--json']\n"
