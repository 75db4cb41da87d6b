"""What is left behind by processes that were killed, and names: `repair` and `unlink`."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import goprocessing
import pytest
from goprocessing import inspect

from .test_inspect import CTX, find, run
from .test_named import file_of


@pytest.fixture
def name() -> Iterator[str]:
    """A name that is free, also after the test, like all that begin so."""
    chosen = f"repair-{os.getpid()}"
    yield chosen
    for left in goprocessing.names():
        if left.startswith(chosen):
            goprocessing.unlink(left)


def _acquire_and_die(lock: Any) -> None:
    lock.acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def _get_and_die(queue: Any) -> None:
    queue.get()
    os.kill(os.getpid(), signal.SIGKILL)


def _die(target: Any, thing: Any) -> int:
    process = CTX.Process(target=target, args=(thing,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert process.pid is not None
    return process.pid


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_the_lock_of_a_dead_holder_is_made_free(kind: str, tmp_path: Path) -> None:
    lock = getattr(CTX, kind)()
    pid = _die(_acquire_and_die, lock)
    held = find(lambda thing: [holder.pid for holder in thing.holders] == [pid])
    listing = run("ps", str(os.getpid()), cwd=tmp_path).splitlines()
    assert f"{held.kind} {held.id} is held by {pid} (dead)" in listing
    assert any("repair --free" in line for line in listing)
    waiter = CTX.Process(target=lock.acquire)
    waiter.start()
    assert run("repair", "--free", held.id, cwd=tmp_path) == (
        f"{held.kind} {held.id}: the lock of {pid} is free\n"
    )
    waiter.join()
    assert waiter.exitcode == 0


def test_the_lock_of_one_who_lives_is_not_made_free(tmp_path: Path) -> None:
    lock = CTX.Lock()
    with lock:
        held = find(
            lambda thing: thing.kind == "lock" and [h.pid for h in thing.holders] == [os.getpid()]
        )
        assert "holder has died" in run("repair", "--free", held.id, cwd=tmp_path, code=1)
        assert lock.acquire(block=False) is False


def test_free_says_of_each_what_was_done(name: str, tmp_path: Path) -> None:
    locks = [CTX.Lock(), CTX.RLock()]
    pids = [_die(_acquire_and_die, lock) for lock in locks]
    first, last = map(inspect.identify, locks)
    named = goprocessing.open_lock(name, create=True)
    output = run("repair", "--free", first, "none", name, last, cwd=tmp_path, code=1)
    freed, missing, refused, freed_last = output.splitlines()
    assert freed == f"lock {first}: the lock of {pids[0]} is free"
    assert missing.startswith("unknown none: no such object")
    assert refused.startswith(f"lock {name}: not a lock whose holder has died")
    assert freed_last == f"rlock {last}: the lock of {pids[1]} is free"
    del named


def test_free_of_nothing(tmp_path: Path) -> None:
    assert inspect.free() == []
    (nothing,) = inspect.free("none")
    assert (nothing.id, nothing.kind, nothing.done) == ("none", "unknown", "")
    assert nothing.problem.startswith("no such object")
    assert "which lock" in run("repair", "--free", cwd=tmp_path, code=2)


def test_repair_of_nothing(tmp_path: Path) -> None:
    (nothing,) = inspect.repair("nothing")
    assert (nothing.id, nothing.kind) == ("nothing", "unknown")
    assert nothing.problem.startswith("no such object")
    assert "no such object" in run("repair", "nothing", cwd=tmp_path, code=1)


def test_repair_of_what_another_version_made(name: str, tmp_path: Path) -> None:
    queue = goprocessing.open_queue(name, create=True)
    (thing,) = (thing for thing in inspect.snapshot().objects if thing.name == name)
    with file_of(name).open("r+b") as file:
        file.seek(8)  # behind the magic
        file.write(b"\xff\xff\xff\xff")
    for asked in name, thing.id:
        (refused,) = inspect.repair(asked)
        assert (refused.id, refused.name, refused.kind) == (thing.id, name, "unknown")
        assert "another version" in refused.problem
    for arguments in ["repair", name], ["repair", "--free", name]:
        output = run(*arguments, cwd=tmp_path, code=1)
        assert output.startswith(f"unknown {name}: segment made by another version")
    del queue


def test_repair_returns_items_of_the_dead(tmp_path: Path) -> None:
    queue = CTX.JoinableQueue(70008, redeliver=True)
    queue.put("item")
    pid = _die(_get_and_die, queue)
    thing = find(lambda thing: any(stream.max_items == 70008 for stream in thing.streams))
    assert [(h.pid, h.of, h.count, h.alive) for h in thing.holders] == [(pid, "items", 1, False)]
    (repaired,) = inspect.repair(thing.id)
    assert (repaired.id, repaired.kind, repaired.problem) == (thing.id, "queue", "")
    assert run("repair", thing.id, cwd=tmp_path) == ""
    assert queue.get() == "item"


def test_a_named_object_in_use_and_stale(name: str, tmp_path: Path) -> None:
    queue = goprocessing.open_queue(name, create=True)
    queue.put(1)

    def listed() -> inspect.Object:
        (thing,) = (thing for thing in inspect.snapshot().objects if thing.name == name)
        return thing

    thing = listed()
    assert (thing.kind, thing.stale, thing.users) == ("queue", False, (os.getpid(),))
    complaint = run("unlink", "--stale", name, cwd=tmp_path, code=1)
    assert complaint == f"python -m goprocessing unlink: {name}: Device or resource busy\n"
    assert inspect.unlink_stale(name) == []
    queue.close()
    del queue
    thing = listed()
    assert (thing.kind, thing.stale, thing.users) == ("queue", True, ())
    assert thing.streams[0].depth == 1
    assert "unlink --stale" in run("ps", cwd=tmp_path)
    assert run("unlink", "--stale", name, cwd=tmp_path) == f"{name}\n"
    assert "No such file" in run("unlink", "--stale", name, cwd=tmp_path, code=1)
    with pytest.raises(FileNotFoundError):
        goprocessing.open_queue(name, create=False)


def test_unlink(name: str, tmp_path: Path) -> None:
    lock = goprocessing.open_lock(name, create=True)
    with lock:
        objects = json.loads(run("ps", "--json", str(os.getpid()), cwd=tmp_path))["objects"]
        (thing,) = (thing for thing in objects if thing["name"] == name)
        assert (thing["kind"], [h["pid"] for h in thing["holders"]]) == ("lock", [os.getpid()])
    complaint = run("unlink", "a/b", name, cwd=tmp_path, code=1)
    assert "a/b: a name must be a file name" in complaint
    assert name not in complaint
    assert "No such file" in run("unlink", name, cwd=tmp_path, code=1)
    with pytest.raises(RuntimeError, match=r'^segment name "a/b": invalid argument$'):
        inspect.unlink_stale("a/b")
    assert "--stale" in run("unlink", cwd=tmp_path, code=2)


def test_what_cannot_be_unlinked_does_not_hide_the_others(name: str, tmp_path: Path) -> None:
    goprocessing.open_event(name, create=True)
    missing, wrong = f"{name}-missing", ["a/b", "x" * 250]
    output = run("unlink", "--stale", wrong[0], name, missing, wrong[1], cwd=tmp_path, code=1)
    prefix = "python -m goprocessing unlink: "
    unlinked, *problems = output.splitlines()
    assert unlinked == name
    assert sorted(problems) == [
        f"{prefix}{missing}: No such file or directory",
        f'{prefix}segment name "a/b": invalid argument',
        f'{prefix}segment name "{"x" * 20}"...: file name too long',
    ]


def test_a_name_that_is_not_utf8(name: str, tmp_path: Path) -> None:
    odd = f"{name}-\N{EURO SIGN}\udcff"
    semaphore = goprocessing.open_semaphore(odd, create=True)
    found = [thing for thing in inspect.snapshot().objects if thing.name == odd]
    assert [thing.kind for thing in found] == ["semaphore"]
    (refused,) = inspect.free(odd)
    assert (refused.id, refused.name) == (found[0].id, odd)
    assert [nothing.id for nothing in inspect.repair(f"{odd}?")] == [f"{odd}?"]
    assert inspect.repair(odd) == []
    del semaphore
    shown = f"{name}-\N{EURO SIGN}\\udcff\n"
    assert run("unlink", "--stale", odd, cwd=tmp_path) == shown
    assert odd not in goprocessing.names()
