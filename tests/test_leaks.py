"""Whatever is public is used over and over, and leaves nothing behind: `make leaks` is long."""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import sys
import threading
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from .leaks import inspection, named, pipes, processes, queues, synchronize  # noqa: F401
from .leaks.growth import leaks
from .leaks.names import public
from .leaks.needless import NEEDLESS
from .leaks.table import EXERCISES, Exercise


@pytest.fixture(scope="module", autouse=True)
def little_garbage() -> Iterator[None]:
    """Has the collections look at what the exercises make, and not at all that pytest has."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


SECONDS = float(os.environ.get("GOPROCESSING_TEST_LEAKS_SECONDS", "0.04"))


def test_every_public_name_has_an_exercise() -> None:
    names = {*public()}
    exercised = {name for exercise in EXERCISES for name in exercise.names}
    assert sorted(exercised - names) == [], "exercised, but not there"
    assert [p for p in NEEDLESS if not any(fnmatchcase(n, p) for n in names)] == []
    missing = [n for n in names - exercised if not any(fnmatchcase(n, p) for p in NEEDLESS)]
    assert sorted(missing) == []


@pytest.mark.timeout(600 + 20 * SECONDS)
@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.title)
def test_leaves_nothing_behind(exercise: Exercise) -> None:
    with contextlib.ExitStack() as stack:
        found = leaks(exercise.start(stack), SECONDS, exercise.most)
    assert not found, "; ".join(map(str, found))


kept: list[Any] = []


def keep_an_object() -> None:
    kept.append(object())


def keep_memory() -> None:
    # Not of malloc(), which may have that much already.
    memory = mmap.mmap(-1, 1 << 20)
    memory.write(bytes(1 << 20))
    kept.append(memory)


def keep_a_descriptor() -> None:
    kept.append(open(os.devnull))


def keep_a_mapping() -> None:
    # A guard between them, or the kernel makes one mapping of neighbours.
    kept.append(mmap.mmap(-1, 4096, prot=mmap.PROT_READ if len(kept) % 2 else mmap.PROT_WRITE))


def keep_a_thread() -> None:
    stop = threading.Event()
    threading.Thread(target=stop.wait).start()
    kept.append(stop)


def keep_a_child() -> None:
    if not (pid := os.fork()):
        os._exit(0)
    kept.append(pid)


needs_pymalloc = pytest.mark.skipif(
    sys.getallocatedblocks() == 0, reason="PYTHONMALLOC=malloc counts no blocks"
)


@pytest.mark.parametrize(
    ("use", "what"),
    [
        pytest.param(keep_an_object, "blocks", marks=needs_pymalloc),
        (keep_memory, "memory"),
        (keep_a_descriptor, "descriptors"),
        (keep_a_mapping, "mappings"),
        (keep_a_thread, "threads"),
        (keep_a_child, "children"),
    ],
)
def test_finds(use: Callable[[], None], what: str) -> None:
    try:
        assert what in [leak.what for leak in leaks(use, 0.02)]
    finally:
        for each in kept:
            match each:
                case int():
                    os.waitpid(each, 0)
                case threading.Event():
                    each.set()
                case object(close=close):
                    close()
        kept.clear()
