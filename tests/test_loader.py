"""The engine in forked children, each of which loads a copy of its own."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import threading
from pathlib import Path

import pytest
from goprocessing import _engine

from .conftest import descriptors
from .forks import descend, exit_code, fork, limit_time, run_fresh, use_engine
from .waiting import eventually, until_blocked

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = 65534


def nothing() -> None:
    pass


def copies() -> set[str]:
    """The files from which the engine is mapped as code."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {line.split(None, 4)[4] for line in lines if "libgoprocessing" in line and "r-x" in line}


def test_nested_generations() -> None:
    assert descend(*[use_engine] * 40) == 0


def test_generations_between_that_do_not_use_it() -> None:
    assert descend(use_engine, *[nothing] * 10, use_engine, nothing, use_engine) == 0


def test_a_parent_that_never_loaded_it() -> None:
    assert run_fresh(children_of_a_process_without) == 0


def children_of_a_process_without() -> None:
    def load() -> None:
        assert _engine.engine_threads() == 0
        use_engine()
        assert _engine.engine_threads() > 0
        (mapped,) = copies()
        assert mapped.endswith(_engine.libpath)

    for _ in range(2):
        assert descend(load, use_engine) == 0
    assert _engine.engine_threads() == 0
    assert not copies()


@pytest.mark.parametrize("kind", ["semaphore", "event"])
def test_who_only_wakes_others_needs_none(kind: str) -> None:
    semaphore, event = _engine.Semaphore(0), _engine.Event()
    sleep, wake = {
        "semaphore": (semaphore.acquire, semaphore.release),
        "event": (event.wait, event.set),
    }[kind]

    def sleep_on() -> None:
        assert sleep()

    def wake_up() -> None:
        wake()
        assert _engine.engine_threads() == 0

    sleeper = fork(sleep_on)
    until_blocked(sleeper)
    assert exit_code(fork(wake_up)) == 0
    assert exit_code(sleeper) == 0


def test_one_copy_for_all_threads_and_all_siblings() -> None:
    use_engine()
    before = copies()
    mine, theirs = os.pipe()

    def load_at_once() -> None:
        barrier = threading.Barrier(4)
        threads = [
            threading.Thread(target=lambda: (barrier.wait(), use_engine())) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (new,) = copies() - before
        os.write(theirs, new.encode() + b" %d\n" % len(descriptors()))

    for _ in range(3):
        assert descend(load_at_once) == 0
    os.close(theirs)
    with open(mine) as file:
        inodes, numbers = zip(*((line.split()[0], line.split()[-1]) for line in file), strict=True)
    assert len(inodes) == 3
    assert len(set(inodes)) == 1
    assert len(set(numbers)) == 1


def close_all() -> None:
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def reuse_all() -> None:
    """Closes what the engine knows, and lets other files have the numbers."""
    count = max(descriptors()) + 1 - 3
    close_all()
    assert [os.open("/dev/null", os.O_RDONLY) for _ in range(count)] == list(range(3, 3 + count))


def test_all_descriptors_closed() -> None:
    use_engine()
    assert descend(close_all, use_engine, close_all, use_engine) == 0
    assert descend(close_use_and_close, use_engine) == 0


def close_use_and_close() -> None:
    close_all()
    use_engine()
    close_all()


def test_all_numbers_used_again() -> None:
    def use_and_look() -> None:
        before = descriptors()
        use_engine()
        after = descriptors()
        assert before == {fd: after[fd] for fd in before}

    use_engine()
    assert descend(lambda: (reuse_all(), use_and_look()), use_and_look) == 0
    assert descend(lambda: (use_engine(), reuse_all()), use_and_look, use_and_look) == 0


def refuse_memfd() -> None:
    """memfd_create fails from now on: a filter (seccomp(2)) answers ENOSYS."""
    number = {"x86_64": 319, "aarch64": 279}[platform.machine()]
    steps = [
        (0x20, 0, 0, 0),  # load the word at 0, the system call's number
        (0x15, 0, 1, number),  # not this one: skip a step
        (0x06, 0, 0, 0x00050000 | 38),  # SECCOMP_RET_ERRNO, ENOSYS
        (0x06, 0, 0, 0x7FFF0000),  # SECCOMP_RET_ALLOW
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HP", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for option, argument, pointer in ((38, 1, None), (22, 2, program)):  # NO_NEW_PRIVS, SECCOMP
        if libc.prctl(option, ctypes.c_ulong(argument), pointer, ctypes.c_ulong(0), 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")
    with pytest.raises(OSError, match="not implemented"):
        os.memfd_create("refused")


def test_without_memfd() -> None:
    semaphore = _engine.Semaphore(0)

    def wait() -> None:
        assert semaphore.acquire(True, 0.002) is False

    def wait_without() -> None:
        refuse_memfd()
        close_all()
        wait()
        (new,) = copies() - before
        assert new.endswith("(deleted)")

    before = copies()
    assert descend(wait_without, wait) == 0


@needs_root
@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("user", [0, NOBODY])
def test_another_root_without_proc(tmp_path: Path, closed: bool, user: int) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)

    def change() -> None:
        os.chroot(tmp_path)
        os.chdir("/")
        os.setgid(user)
        os.setuid(user)
        if closed:
            close_all()

    assert descend(change, use_engine, use_engine) == 0
    assert descend(lambda: (change(), use_engine()), use_engine) == 0
    assert not list((tmp_path / "tmp").iterdir())


@needs_root
def test_another_user() -> None:
    def change() -> None:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        use_engine()

    assert descend(change, use_engine) == 0


@needs_root
def test_nowhere_to_load_it_from(tmp_path: Path) -> None:
    def fail_then_recover() -> None:
        os.chroot(tmp_path)
        os.chdir("/")
        for _ in range(2):
            with pytest.raises(ImportError, match=r"in this forked process: .*/tmp: No such file"):
                use_engine()
        os.mkdir("/tmp")
        use_engine()

    assert descend(fail_then_recover, use_engine) == 0


@pytest.mark.parametrize("uses", [False, True])
def test_the_forking_thread_ends_in_the_child(uses: bool) -> None:
    """glibc then runs the destructor that the parent's runtime has for its threads."""
    codes = []

    def outlive() -> None:
        pid = os.getpid()
        task = Path(f"/proc/{pid}/task/{pid}/stat")
        eventually(lambda: ") Z " in task.read_text())
        use_engine()
        os._exit(0)

    def run() -> None:
        use_engine()
        if pid := os.fork():
            codes.append(exit_code(pid))
            return
        try:
            limit_time()
            if uses:
                use_engine()
                threading.Thread(target=outlive).start()
        except BaseException:
            os._exit(1)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert codes == [0]


def test_threads_of_a_child_end() -> None:
    def run() -> None:
        for _ in range(20):
            thread = threading.Thread(target=use_engine)
            thread.start()
            thread.join()

    run()
    assert descend(run, run) == 0
