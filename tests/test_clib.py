"""The C library as `make install` installs it: programs in C and C++, and with ctypes."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import goprocessing
import pytest
from goprocessing import _engine

from .waiting import LIMIT, until_blocked

HERE = Path(__file__).parent
PREFIX = "/opt/goprocessing"
COUNT = 500

# What is to be installed may have to be built first.
pytestmark = pytest.mark.timeout(300)


class Installation:
    """As a package's build has it: below another root than it will be used in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.prefix = root / PREFIX[1:]
        self.library = self.prefix / "lib/libgoprocessing.so"
        self.header = self.prefix / "include/goprocessing.h"
        self.description = self.prefix / "lib/pkgconfig/goprocessing.pc"

    def flags(self) -> list[str]:
        if shutil.which("pkg-config"):
            return shlex.split(self.pkg_config("--cflags", "--libs"))
        return self.described_flags()

    def pkg_config(self, *options: str) -> str:
        env = {
            **os.environ,
            "PKG_CONFIG_LIBDIR": str(self.description.parent),
            "PKG_CONFIG_SYSROOT_DIR": str(self.root),
        }
        return subprocess.check_output(["pkg-config", *options, "goprocessing"], env=env, text=True)

    def described_flags(self) -> list[str]:
        values: dict[str, str] = {}
        for name, value in re.findall(r"(?m)^(\w+)[=:] *(.*)$", self.description.read_text()):
            values[name] = re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], value)
        flags = shlex.split(f"{values['Cflags']} {values['Libs']}")
        return [re.sub("^-[IL]", rf"\g<0>{self.root}", flag) for flag in flags]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    root = tmp_path_factory.mktemp("root")
    of_make = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")  # which may be what runs the tests
    subprocess.run(
        ["make", "install", f"PREFIX={PREFIX}", f"DESTDIR={root}"],
        cwd=HERE.parent,
        env={name: value for name, value in os.environ.items() if name not in of_make},
        stdin=subprocess.DEVNULL,
        check=True,
    )
    return Installation(root)


Programs = Callable[[str], Path]


@pytest.fixture(scope="module")
def programs(installed: Installation, tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """The programs in tests/clib, each built when it is first asked for."""
    folder = tmp_path_factory.mktemp("programs")

    @cache
    def build(source: str) -> Path:
        variable, default, standard = {
            ".c": ("CC", "cc", "-std=gnu11"),
            ".cc": ("CXX", "c++", "-std=c++17"),
        }[Path(source).suffix]
        compiler = shlex.split(os.environ.get(variable, default))
        if shutil.which(compiler[0]) is None:
            pytest.skip(f"there is no {compiler[0]}")
        program = folder / source.replace(".", "-")
        options = [standard, "-O1", "-pthread", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
        options += ["-o", str(program), str(HERE / "clib" / source)]
        options += ["-Wl,--as-needed", *installed.flags()]
        options += [f"-Wl,-rpath,{installed.library.parent}", "-ldl"]
        subprocess.run([*compiler, *options], check=True)
        return program

    return build


@contextlib.contextmanager
def running(
    *command: object, inherits: tuple[int, ...] = (), **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """A program that succeeds, and ends by itself once the body has."""
    argv = list(map(str, command))
    with subprocess.Popen(argv, pass_fds=inherits, text=True, **options) as process:
        try:
            yield process
            assert process.wait(LIMIT) == 0
        finally:
            process.kill()


def descriptors_of(queue: goprocessing.Queue[Any]) -> tuple[int, int]:
    return queue._fileno(), queue._bell


def test_what_is_installed(installed: Installation) -> None:
    abi = re.search(r"#define GOP_ABI (\d+)", installed.header.read_text())
    assert abi is not None
    name = f"libgoprocessing.so.{abi[1]}"
    files = {str(p.relative_to(installed.root)) for p in installed.root.rglob("*") if p.is_file()}
    assert {os.path.relpath(file, PREFIX[1:]) for file in files} == {
        "include/goprocessing.h",
        "lib/libgoprocessing.so",
        f"lib/{name}",
        "lib/pkgconfig/goprocessing.pc",
    }
    assert os.readlink(installed.library) == name
    dynamic = subprocess.check_output(["readelf", "-d", installed.library], text=True)
    assert re.findall(r"\(SONAME\).*\[(.*)\]", dynamic) == [name]


@pytest.mark.skipif(shutil.which("pkg-config") is None, reason="there is no pkg-config")
def test_pkg_config(installed: Installation) -> None:
    assert installed.pkg_config("--modversion").strip() == goprocessing.__version__
    assert installed.flags() == installed.described_flags()


@pytest.mark.parametrize("which", ["installed", "the package's"])
def test_exported_symbols(installed: Installation, which: str) -> None:
    library = installed.library if which == "installed" else _engine.libpath
    symbols = subprocess.check_output(["nm", "-D", "--defined-only", library], text=True)
    _, _, functions = installed.header.read_text().partition("#define GOP_FUNCTIONS(X)")
    listed = re.findall(r"\bX\((\w+)\)", functions)
    assert sorted(line.split()[-1] for line in symbols.splitlines()) == sorted(listed)


@pytest.mark.parametrize("source", ["pipe.c", "errors.c", "names.c", "threads.c", "language.cc"])
def test_programs_that_need_nobody(programs: Programs, source: str) -> None:
    with running(programs(source)):
        pass


@pytest.mark.parametrize("source", ["forks.c", "signals.c"])
def test_programs_that_load_it(programs: Programs, installed: Installation, source: str) -> None:
    with running(programs(source), installed.library):
        pass


def test_a_producer_in_c(programs: Programs) -> None:
    queue: goprocessing.Queue[Any] = goprocessing.Queue(3)
    fds = descriptors_of(queue)
    with running(programs("producer.c"), *fds, COUNT, inherits=fds) as process:
        until_blocked(process.pid)
        assert [queue.get_bytes() for _ in range(COUNT)] == [b"%d" % i for i in range(COUNT)]
    assert queue.empty()


def test_a_consumer_in_c(programs: Programs) -> None:
    queue: goprocessing.Queue[Any] = goprocessing.Queue(3)
    fds = descriptors_of(queue)
    with running(programs("consumer.c"), *fds, inherits=fds, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        until_blocked(process.pid)
        for i in range(COUNT):
            queue.put_bytes(b"%d" % i)
        queue.shutdown()
        assert process.stdout.read().split() == [str(i) for i in range(COUNT)]


def test_a_semaphore_and_an_event(programs: Programs) -> None:
    theirs, ours = goprocessing.Semaphore(0), goprocessing.Semaphore(0)
    asked, answered = goprocessing.Event(), goprocessing.Event()
    handles = [object._handle() for object in (theirs, ours, asked, answered)]
    # The program closes each of its descriptors once.
    fds = tuple(os.dup(fd) for fd, _ in handles)
    places = [part for fd, (_, offset) in zip(fds, handles, strict=True) for part in (fd, offset)]
    try:
        with running(programs("turns.c"), COUNT, *places, inherits=fds) as process:
            for _ in range(COUNT):
                theirs.release()
                assert ours.acquire(timeout=LIMIT)
            until_blocked(process.pid)
            asked.set()
            assert answered.wait(LIMIT)
    finally:
        for fd in fds:
            os.close(fd)


def test_objects_made_in_c(programs: Programs) -> None:
    with running(programs("maker.c"), sys.executable, "-P", HERE / "clib/made.py"):
        pass


def test_a_program_with_ctypes(installed: Installation) -> None:
    queue: goprocessing.Queue[Any] = goprocessing.Queue()
    fds = descriptors_of(queue)
    script = HERE / "clib/with_ctypes.py"
    with running(sys.executable, "-I", script, installed.library, 3, *fds, inherits=fds) as process:
        until_blocked(process.pid)
        for i in range(3):
            queue.put_bytes(b"%d" % i)
    assert [queue.get_bytes() for _ in range(3)] == [b"0!", b"1!", b"2!"]
