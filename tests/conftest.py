"""One suite over both implementations and all start methods; no test leaves anything behind."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import multiprocessing
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from multiprocessing import forkserver, resource_sharer, resource_tracker
from pathlib import Path
from types import ModuleType
from typing import Any

import goprocessing
import pytest

from .waiting import eventually

IMPLEMENTATIONS = {"stdlib": multiprocessing, "ours": goprocessing}
# What the engine keeps one of, for the locks to come.
ARENA = "/memfd:goprocessing-arena (deleted)"
METHODS = ("fork", "spawn", "forkserver")
ROOT = Path(__file__).parent.parent


def pytest_configure(config: pytest.Config) -> None:
    # The standard library's fork, from a process in which an engine runs.
    config.addinivalue_line(
        "filterwarnings", "ignore:This process .* is multi-threaded:DeprecationWarning"
    )


@pytest.fixture(params=IMPLEMENTATIONS)
def module(request: pytest.FixtureRequest) -> ModuleType:
    return IMPLEMENTATIONS[request.param]


@pytest.fixture(params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def in_force(method: str) -> Iterator[str]:
    """The start method that processes are started by unless a context is named."""
    multiprocessing.set_start_method(method, force=True)
    yield method
    multiprocessing.set_start_method(None, force=True)


@pytest.fixture
def ctx(module: ModuleType, method: str) -> Any:
    """A context of each implementation and start method."""
    return module.get_context(method)


@pytest.fixture
def our_ctx(method: str) -> Any:
    """A context of this package, for what it promises beyond the standard library."""
    return goprocessing.get_context(method)


@pytest.fixture
def start(ctx: Any) -> Iterator[Callable[..., Any]]:
    with starter(ctx) as run:
        yield run


@pytest.fixture
def our_start(our_ctx: Any) -> Iterator[Callable[..., Any]]:
    with starter(our_ctx) as run:
        yield run


@contextlib.contextmanager
def starter(ctx: Any) -> Iterator[Callable[..., Any]]:
    """Starts processes, and kills those that the test does not join."""
    started: list[Any] = []

    def run(target: Callable[..., Any], *args: Any) -> Any:
        process = ctx.Process(target=target, args=args, daemon=True)
        process.start()
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.join()
        process.close()


def descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # listdir's own descriptor
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def children() -> list[int]:
    pid = os.getpid()
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def build_go(package: str, folder: Path) -> Path:
    """A program in Go. That on the PATH may be older than the one which make has brought."""
    known = os.environ.get("GO"), str(ROOT / ".venvs/tools/go"), "go"
    go = next(filter(None, map(shutil.which, filter(None, known))), None)
    if go is None:
        pytest.skip("there is no Go")
    program = folder / Path(package).name
    # Of those that test at the same time one compiles, and the rest find what it has cached.
    with open(ROOT / "pyproject.toml") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        subprocess.run(
            [go, "build", "-buildvcs=false", "-o", program, f"./{package}"],
            cwd=ROOT,
            env={**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"},
            check=True,
        )
    return program


@pytest.fixture(scope="session")
def go_peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in Go in tests/peers."""
    return build_go("tests/peers", tmp_path_factory.mktemp("go"))


@pytest.fixture(scope="session", autouse=True)
def long_lived() -> Iterator[set[int]]:
    """What stays open or running once it was used, used before the first test."""
    resource_tracker.ensure_running()
    forkserver.ensure_running()
    forkserver._forkserver._inherited_fds = None
    goprocessing.Lock()
    multiprocessing.RawValue("i")
    process = goprocessing.get_context("fork").Process()
    process.start()
    process.join()
    process.close()
    yield set(children())
    forkserver._forkserver._stop()
    resource_tracker._resource_tracker._stop()


@pytest.fixture(autouse=True)
def nothing_left(long_lived: set[int], request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails the test that leaves a child process or a descriptor."""
    before = descriptors()
    yield
    request.node.funcargs.clear()  # what the fixtures made
    resource_sharer.stop()

    def children_left() -> set[int]:
        multiprocessing.active_children()  # waits for those that have ended
        return set(children()) - long_lived

    # A manager of the standard library may end after it was waited for.
    with contextlib.suppress(AssertionError):
        eventually(lambda: not children_left(), limit=10)
    left = children_left()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert not left, "processes left behind"

    def new_descriptors() -> dict[int, str]:
        gc.collect()
        found = descriptors()
        new = {fd: what for fd, what in found.items() if fd not in before}
        if list(found.values()).count(ARENA) <= max(1, list(before.values()).count(ARENA)):
            new = {fd: what for fd, what in new.items() if what != ARENA}
        return new

    # The feeder thread of a standard library's queue closes it when it comes to it.
    eventually(lambda: not new_descriptors(), lambda: f"left open: {new_descriptors()}")
