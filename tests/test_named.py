"""Objects with names: unrelated processes, in Python and in Go, that find each other."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import goprocessing
import pytest
from goprocessing import OwnerDied, named, queues, synchronize

from .conftest import descriptors
from .forks import exit_code, fork
from .test_large_items import pattern
from .waiting import LIMIT, eventually

# With nothing cached the peer in Go takes long to compile.
pytestmark = pytest.mark.timeout(600)

HERE = Path(__file__).parent
DIRECTORY = Path("/dev/shm")
NAMES = (f"test-{os.getpid()}-{number}" for number in itertools.count())

MAKERS: dict[str, Callable[..., Any]] = {
    "queue": named.open_queue,
    "joinable queue": named.open_joinable_queue,
    "lock": named.open_lock,
    "robust lock": partial(named.open_lock, robust=True),
    "rlock": named.open_rlock,
    "robust rlock": partial(named.open_rlock, robust=True),
    "semaphore": named.open_semaphore,
    "robust semaphore": partial(named.open_semaphore, robust=True),
    "bounded semaphore": partial(named.open_bounded_semaphore, value=2),
    "robust bounded semaphore": partial(named.open_bounded_semaphore, robust=True),
    "event": named.open_event,
    "condition": lambda name, **options: named.open_condition(name, goprocessing.Lock(), **options),
    "barrier": partial(named.open_barrier, parties=2),
}
# What a name can be opened as besides what it was made as.
WILL_DO = {
    ("lock", "semaphore"),
    ("lock", "bounded semaphore"),
    ("bounded semaphore", "semaphore"),
    ("robust semaphore", "robust bounded semaphore"),
    ("robust bounded semaphore", "robust semaphore"),
    ("joinable queue", "queue"),
}


def file_of(name: str) -> Path:
    return DIRECTORY / f"goprocessing.{os.geteuid()}.{name}"


def files_of(name: str) -> list[str]:
    return [file for file in os.listdir(DIRECTORY) if name in file]


@pytest.fixture
def new_name() -> Iterator[Callable[[], str]]:
    """Names that nobody has; what gets one is unlinked."""
    given: list[str] = []

    def new() -> str:
        given.append(next(NAMES))
        return given[-1]

    yield new
    for name in given:
        with contextlib.suppress(FileNotFoundError):
            goprocessing.unlink(name)
        assert files_of(name) == []


@pytest.fixture
def name(new_name: Callable[[], str]) -> str:
    return new_name()


@pytest.fixture(params=MAKERS)
def open_(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return MAKERS[request.param]


# ---- create and open ----


def test_create(open_: Any, name: str) -> None:
    made = open_(name, create=True)
    status = file_of(name).stat()
    assert (status.st_uid, status.st_mode & 0o777) == (os.geteuid(), 0o600)
    with pytest.raises(FileExistsError) as raised:
        open_(name, create=True)
    assert (raised.value.errno, raised.value.filename) == (errno.EEXIST, name)
    again, either = open_(name, create=False), open_(name)
    assert type(made) is type(again) is type(either)
    assert file_of(name).stat().st_ino == status.st_ino


def test_open_without_creating(open_: Any, name: str) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        open_(name, create=False)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOENT, name)
    assert files_of(name) == []
    open_(name)
    open_(name, create=False)


def test_whatever_the_umask(open_: Any, new_name: Any) -> None:
    for umask in 0o777, 0:
        name = new_name()
        before = os.umask(umask)
        try:
            open_(name)
        finally:
            os.umask(before)
        open_(name, create=False)
        assert file_of(name).stat().st_mode & 0o777 == 0o600


def test_unlink(open_: Any, name: str) -> None:
    old = open_(name)
    goprocessing.unlink(name)
    assert files_of(name) == []
    with pytest.raises(FileNotFoundError) as raised:
        goprocessing.unlink(name)
    assert raised.value.filename == name
    with pytest.raises(FileNotFoundError):
        open_(name, create=False)
    new = open_(name, create=True)
    if isinstance(old, queues.Queue):
        old.put("to the old one")
        assert new.empty()
        assert old.get() == "to the old one"
    del old, new


def test_an_object_outlives_its_users(new_name: Any) -> None:
    first, second = new_name(), new_name()
    goprocessing.open_queue(first).put("left behind")
    goprocessing.open_semaphore(second, 3).acquire()
    assert goprocessing.open_queue(first, create=False).get() == "left behind"
    assert goprocessing.open_semaphore(second).get_value() == 2


def make_for_a_while(open_: Any, name: str, events: tuple[Any, Any], again: bool) -> None:
    made, end = events
    thing = open_(name, create=True, unlink_at_exit=True)
    made.set()
    del thing
    end.wait()
    if again:
        goprocessing.unlink(name)
        open_(name, create=True)


@pytest.mark.parametrize("again", [False, True], ids=["its own", "another's"])
def test_unlinked_at_exit(open_: Any, name: str, again: bool) -> None:
    """The name goes with its maker's process, but not if another object has it by then."""
    ctx = goprocessing.get_context("fork")
    made, end = ctx.Event(), ctx.Event()
    process = ctx.Process(target=make_for_a_while, args=(open_, name, (made, end), again))
    process.start()
    assert made.wait(LIMIT)
    thing = open_(name, create=False)
    end.set()
    process.join(LIMIT)
    assert process.exitcode == 0
    assert bool(files_of(name)) == again
    del thing


def test_only_the_maker_unlinks_at_exit(open_: Any, name: str) -> None:
    for create in False, None:
        with pytest.raises(ValueError, match="create=True"):
            open_(name, create=create, unlink_at_exit=True)
    assert files_of(name) == []


def test_nothing_is_left_of_the_bell(name: str) -> None:
    q = goprocessing.open_queue(name)
    q._reader.fileno()
    inode = str(file_of(name).stat().st_ino)
    goprocessing.unlink(name)
    assert [file for file in os.listdir(DIRECTORY) if inode in file] == []
    q.put("item")
    assert q._reader.poll()


def test_names(new_name: Any) -> None:
    expected = {new_name() for _ in range(40)}
    assert not expected & {*goprocessing.names()}
    for each in expected:
        named.open_event(each)
    found = goprocessing.names()
    assert expected <= {*found}
    assert found == sorted(found)
    for each in expected:
        named.unlink(each)
    assert not expected & {*goprocessing.names()}


def test_no_names() -> None:
    for wrong in "", ".", "..", "a/b", "/", "a\0b":
        for call in *MAKERS.values(), goprocessing.unlink:
            with pytest.raises(ValueError):
                call(wrong)


def test_long_names(open_: Any, name: str) -> None:
    longest = name + "x" * (225 - len(name))
    open_(longest)
    goprocessing.unlink(longest)
    with pytest.raises(OSError) as raised:
        open_(name + "x" * 256)
    assert raised.value.errno == errno.ENAMETOOLONG


@pytest.mark.parametrize("odd", ["\u00e4\u20ac", "\udcff", " ", "-", ".hidden", "a\nb"])
def test_odd_names(name: str, odd: str) -> None:
    odd = name + odd
    goprocessing.open_event(odd).set()
    assert goprocessing.open_event(odd, create=False).is_set()
    goprocessing.unlink(odd)


def test_wrong_arguments(name: str) -> None:
    for call in (
        lambda: named.open_semaphore(name, -1),
        lambda: named.open_semaphore(name, 2**31),
        lambda: named.open_bounded_semaphore(name, -1),
        lambda: named.open_semaphore(name, 0, robust=True),
        lambda: named.open_semaphore(name, 16385, robust=True),
        lambda: named.open_barrier(name),
        lambda: named.open_barrier(name, -1),
        lambda: named.open_queue(name, codec="yaml"),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError):
            call()
    for wrong in 1, b"x", Path("x"), None:
        for each in (*MAKERS.values(), named.open_pipe, named.unlink):
            message = f"^a name must be a str, not {type(wrong).__name__}$"
            with pytest.raises(TypeError, match=message):
                each(wrong)
    with pytest.raises(OverflowError):
        named.open_queue(name, 1 << 100)
    with pytest.raises(AttributeError):
        named.open_condition(name, object())
    assert files_of(name) == []


def test_interrupted_at_any_time(open_: Any, name: str) -> None:
    """By the handler of a signal, after any call that it makes."""
    open_(name)
    before, calls = descriptors(), 0

    def profile(_frame: object, event: str, _function: object) -> None:
        nonlocal calls
        calls -= event == "c_return"
        if calls == 0:
            sys.setprofile(None)
            raise Interrupted

    for number in itertools.count(1):
        calls = number
        try:
            sys.setprofile(profile)
            open_(name)
        except Interrupted:
            pass
        else:
            break
        finally:
            sys.setprofile(None)
        assert descriptors() == before
    assert number > 2


# ---- what else may have the name ----


@pytest.mark.parametrize("made", MAKERS)
def test_of_another_kind(made: str, name: str) -> None:
    kept = MAKERS[made](name)
    for other, open_ in MAKERS.items():
        if other == made or (made, other) in WILL_DO:
            open_(name)
            continue
        with pytest.raises(OSError) as raised:
            open_(name)
        assert (raised.value.errno, raised.value.filename) == (errno.EINVAL, name), other
        with pytest.raises(FileExistsError):
            open_(name, create=True)
    del kept


def test_no_segment(open_: Any, name: str) -> None:
    path = file_of(name)
    path.touch(0o600)
    for content in b"", b"rubbish", bytes(100_000):
        path.write_bytes(content)
        with pytest.raises(OSError) as raised:
            open_(name)
        assert raised.value.errno == errno.EINVAL
        with pytest.raises(FileExistsError):
            open_(name, create=True)
        assert path.read_bytes() == content
    goprocessing.unlink(name)
    assert files_of(name) == []


def test_made_by_another_version(open_: Any, name: str) -> None:
    open_(name)
    with file_of(name).open("r+b") as file:
        file.seek(8)  # behind the magic
        file.write(b"\xff\xff\xff\xff")
    with pytest.raises(OSError, match="another version") as raised:
        open_(name)
    assert raised.value.errno == errno.EPROTO


def test_accessible_to_others(open_: Any, name: str) -> None:
    open_(name)
    for mode in 0o640, 0o606, 0o666:
        file_of(name).chmod(mode)
        with pytest.raises(PermissionError) as raised:
            open_(name)
        assert raised.value.filename == name


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_of_another_user(open_: Any, name: str) -> None:
    open_(name)
    os.chown(file_of(name), 12345, -1)
    with pytest.raises(PermissionError):
        open_(name)


def test_links_are_not_followed(open_: Any, new_name: Any) -> None:
    target, link = new_name(), new_name()
    open_(target)
    file_of(link).symlink_to(file_of(target))
    with pytest.raises(OSError) as raised:
        open_(link)
    assert raised.value.errno == errno.ELOOP
    with pytest.raises(FileExistsError):
        open_(link, create=True)


# ---- what they do ----


def test_the_attributes_of_one_that_exists_win(new_name: Any) -> None:
    names = [new_name() for _ in range(5)]
    keep: list[Any] = [
        named.open_queue(names[0], 3),
        named.open_semaphore(names[1], 5),
        named.open_bounded_semaphore(names[2], 2),
        named.open_barrier(names[3], 4),
        named.open_semaphore(names[4], 7, robust=True),
    ]
    assert named.open_queue(names[0], 99)._maxsize == 3
    assert named.open_semaphore(names[1], 99).get_value() == 5
    bounded = named.open_bounded_semaphore(names[2], 99)
    assert (bounded.get_value(), bounded.maxvalue) == (2, 2)
    assert named.open_barrier(names[3], 99).parties == 4
    assert named.open_barrier(names[3], create=False).parties == 4
    assert named.open_semaphore(names[4], 99, robust=True).get_value() == 7
    del keep


def test_a_queue(name: str) -> None:
    mine, other = named.open_queue(name, 2), named.open_queue(name)
    for item in 1, pattern(100_000):
        mine.put(item)
        assert other.get() == item
    mine.put_many("ab")
    with pytest.raises(queue.Full):
        other.put("c", False)
    assert other.get_many() == ["a", "b"]
    assert not mine._reader.poll()
    assert mine._reader.fileno() != other._reader.fileno()
    other.put("item")
    assert goprocessing.connection.wait([mine._reader], LIMIT) == [mine._reader]
    assert goprocessing.connection.wait([other._reader], 0) == [other._reader]
    assert mine.get() == "item"
    assert goprocessing.connection.wait([mine._reader, other._reader], 0) == []
    other.shutdown()
    with pytest.raises(goprocessing.ShutDown):
        mine.get()


def test_codecs(name: str) -> None:
    encoded = named.open_queue(name, codec="json")
    encoded.put(["a", 1])
    assert named.open_queue(name, codec="bytes").get() == b'["a",1]'


def test_a_joinable_queue(name: str) -> None:
    q, other = named.open_joinable_queue(name), named.open_joinable_queue(name)
    q.put("item")
    assert exit_code(fork(other.get)) == 0
    assert q.abandoned() == ["item"]
    other.task_done()
    q.join()


def test_a_joinable_queue_that_redelivers(name: str) -> None:
    q = named.open_joinable_queue(name, redeliver=True)
    q.put("item")
    assert exit_code(fork(lambda: named.open_joinable_queue(name).get())) == 0
    assert q.get() == "item"
    q.task_done()
    q.join()


@pytest.mark.parametrize("open_", [named.open_lock, named.open_rlock])
def test_locks(open_: Any, name: str) -> None:
    mine = open_(name)

    def try_it() -> None:
        assert not open_(name, create=False).acquire(False)

    with mine:
        assert exit_code(fork(try_it)) == 0
    assert open_(name, create=False).acquire(False)
    mine.release()


@pytest.mark.parametrize("open_", [named.open_lock, named.open_rlock, named.open_semaphore])
def test_robust_locks(open_: Any, name: str) -> None:
    lock = open_(name, robust=True)
    assert exit_code(fork(lambda: open_(name, robust=True).acquire())) == 0
    with pytest.raises(OwnerDied):
        lock.acquire()
    lock.release()


def test_a_condition(new_name: Any) -> None:
    lock_name, name = new_name(), new_name()

    def opened() -> Any:
        return named.open_condition(name, named.open_lock(lock_name))

    condition, waiter = opened(), opened()
    woken = threading.Event()

    def wait_here() -> None:
        with waiter:
            waiter.wait()
            woken.set()

    thread = threading.Thread(target=wait_here)
    thread.start()
    eventually(lambda: condition._waiting() == 1)
    with condition:
        condition.notify()
    thread.join()
    assert woken.is_set()


def test_a_barrier(name: str) -> None:
    actions: list[str] = []
    mine = named.open_barrier(name, 2, lambda: actions.append("mine"))
    other = named.open_barrier(name, 2, lambda: actions.append("other"))
    thread = threading.Thread(target=other.wait)
    thread.start()
    mine.wait()
    thread.join()
    assert len(actions) == 1


# ---- passed to other processes ----


def use(queue_: Any, lock: Any, event: Any, condition: Any, barrier: Any) -> None:
    with lock, condition:
        queue_.put("from the child")
    event.set()
    barrier.wait()


def test_passed_to_a_child(new_name: Any, our_ctx: Any, our_start: Any) -> None:
    lock = named.open_lock(new_name())
    objects = (
        named.open_queue(new_name(), codec="json"),
        lock,
        named.open_event(new_name()),
        named.open_condition(new_name(), named.open_rlock(new_name())),
        named.open_barrier(new_name(), 2),
    )
    child = our_start(use, *objects)
    q, _, event, _, barrier = objects
    event.wait()
    assert q.get_bytes() == b'"from the child"'
    barrier.wait()
    child.join()
    assert child.exitcode == 0


def test_passed_on_without_a_name(open_: Any, name: str) -> None:
    """By its descriptors, as any other."""
    carrier = goprocessing.Queue()
    made = open_(name)
    goprocessing.unlink(name)
    carrier.put(made)
    got = carrier.get()
    assert type(got) is type(made)
    if isinstance(made, queues.Queue):
        got.put("item")
        assert made._reader.poll(LIMIT)
        assert made.get() == "item"
    elif isinstance(made, synchronize.Event):
        got.set()
        assert made.is_set()


# ---- races ----


def test_one_of_many_creates(open_: Any, name: str) -> None:
    begin = goprocessing.Event()

    def create() -> None:
        begin.wait()
        try:
            open_(name, create=True)
        except FileExistsError:
            sys.exit(3)

    pids = [fork(create) for _ in range(4)]
    begin.set()
    assert sorted(map(exit_code, pids)) == [0, 3, 3, 3]


def test_many_create_or_open_and_unlink(name: str) -> None:
    """Each gets a whole object, and what was put under one name is not got under the next."""
    begin = goprocessing.Event()

    def repeat() -> None:
        begin.wait()
        for _ in range(100):
            q = named.open_queue(name)
            q.put(os.getpid())
            q.get_nowait()
            with contextlib.suppress(FileNotFoundError):
                named.unlink(name)

    pids = [fork(repeat) for _ in range(3)]
    begin.set()
    assert [exit_code(pid) for pid in pids] == [0, 0, 0]
    assert files_of(name) == []


def test_killed_while_it_creates_and_unlinks(name: str) -> None:
    def repeat() -> None:
        while True:
            named.open_queue(name, create=True)
            named.unlink(name)

    for number in range(10):
        pid = fork(repeat)
        for _ in range(number):
            eventually(file_of(name).exists)
        os.kill(pid, signal.SIGKILL)
        assert exit_code(pid) == -signal.SIGKILL
        with contextlib.suppress(FileNotFoundError):
            named.unlink(name)
        named.open_queue(name, create=True).put("item")
        named.unlink(name)
    assert files_of(name) == []


# ---- unrelated processes ----


Peer = Callable[..., contextlib.AbstractContextManager[subprocess.Popen[str]]]


@pytest.fixture(params=["python", "go"])
def peer(request: pytest.FixtureRequest) -> Peer:
    """Runs an unrelated process, which says when it has opened what it uses, and succeeds."""
    if request.param == "python":
        command = [sys.executable, "-P", str(HERE / "peers/peer.py")]
    else:
        command = [str(request.getfixturevalue("go_peer"))]

    @contextlib.contextmanager
    def run(*arguments: str) -> Iterator[subprocess.Popen[str]]:
        argv = [*command, *arguments]
        with subprocess.Popen(argv, text=True, stdout=subprocess.PIPE) as process:
            try:
                yield process
                assert process.wait(LIMIT) == 0
            finally:
                process.kill()

    return run


def until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


@pytest.fixture(params=["first", "second"])
def create(request: pytest.FixtureRequest) -> bool:
    """Whether this process makes the objects, before the other one comes."""
    return bool(request.param == "first")


ITEMS = [b"item", b"\0" * 10, pattern(3000), pattern(1_000_000)]


def test_queues(peer: Peer, create: bool, new_name: Any) -> None:
    names = new_name(), new_name()

    def opened() -> tuple[Any, Any]:
        return (
            named.open_queue(names[0], create=create),
            named.open_joinable_queue(names[1], create=create),
        )

    there, back = opened() if create else (None, None)
    with peer("echo", *names) as process:
        until_ready(process)
        if there is None or back is None:
            there, back = opened()
        for item in ITEMS:
            there.put_bytes(item)
            assert back.get_bytes(timeout=LIMIT) == item
            back.task_done()
        there.put_bytes(b"")


def test_what_a_process_left_in_a_queue(peer: Peer, new_name: Any) -> None:
    there, back = new_name(), new_name()
    q = named.open_queue(there, create=True)
    for item in ITEMS:
        q.put_bytes(item)
    q.put_bytes(b"")
    del q
    with peer("echo", there, back):
        q = named.open_joinable_queue(back)
        for item in ITEMS:
            assert q.get_bytes(timeout=LIMIT) == item
            q.task_done()


def test_a_watched_queue(peer: Peer, create: bool, new_name: Any) -> None:
    names = new_name(), new_name()
    back = named.open_joinable_queue(names[1], create=True) if create else None
    with peer("echo", *names) as process:
        until_ready(process)
        back = back or named.open_joinable_queue(names[1], create=False)
        there = named.open_queue(names[0], create=False)
        for item in ITEMS:
            assert goprocessing.connection.wait([back._reader], 0) == []
            there.put_bytes(item)
            assert goprocessing.connection.wait([back._reader], LIMIT) == [back._reader]
            assert back.get_bytes(False) == item
            back.task_done()
        there.put_bytes(b"")


def test_semaphores(peer: Peer, create: bool, new_name: Any) -> None:
    names = new_name(), new_name()

    def opened() -> list[Any]:
        return [named.open_semaphore(each, 0, create=create) for each in names]

    pair = opened() if create else None
    with peer("semaphores", *names) as process:
        until_ready(process)
        acquired, released = pair or opened()
        acquired.release()
        assert released.acquire(timeout=LIMIT)


def test_events(peer: Peer, create: bool, new_name: Any) -> None:
    names = new_name(), new_name()

    def opened() -> list[Any]:
        return [named.open_event(each, create=create) for each in names]

    pair = opened() if create else None
    with peer("events", *names) as process:
        until_ready(process)
        awaited, to_set = pair or opened()
        awaited.set()
        assert to_set.wait(LIMIT)


def test_a_lock(peer: Peer, create: bool, new_name: Any) -> None:
    names = new_name(), new_name()
    lock = named.open_lock(names[0], create=True) if create else None
    with peer("hold", *names) as process:
        until_ready(process)
        lock = lock or named.open_lock(names[0], create=False)
        event = named.open_event(names[1], create=False)
        assert not lock.acquire(False)
        event.set()
        assert lock.acquire(timeout=LIMIT)
    lock.release()


# ---- pipes ----


def test_a_pipe(peer: Peer, create: bool, name: str) -> None:
    with peer("pipe", name, "") as process:
        if not create:
            eventually(lambda: name in goprocessing.names())
        end = named.open_pipe(name, timeout=LIMIT)
        until_ready(process)
        assert files_of(name) == []
        for item in ITEMS:
            end.send_bytes(item)
            assert end.recv_bytes() == item
        end.close()


def test_the_pipe_of_a_child(name: str) -> None:
    def talk() -> None:
        with named.open_pipe(name) as end:
            end.send({"from": "the child"})
            assert end.recv() == [1, None]

    pid = fork(talk)
    with named.open_pipe(name, timeout=LIMIT) as end:
        assert end.recv() == {"from": "the child"}
        end.send([1, None])
        with pytest.raises(EOFError):
            end.recv()
    assert exit_code(pid) == 0


def test_one_way(name: str) -> None:
    def send() -> None:
        with named.open_pipe(name, readable=False) as end:
            assert (end.readable, end.writable) == (False, True)
            end.send("one way")

    pid = fork(send)
    with named.open_pipe(name, writable=False, timeout=LIMIT) as end:
        assert (end.readable, end.writable) == (True, False)
        assert end.recv() == "one way"
        with pytest.raises(OSError, match="read-only"):
            end.send(1)
    assert exit_code(pid) == 0


def test_ends_that_do_not_fit(name: str) -> None:
    pid = fork(lambda: named.open_pipe(name, readable=False).close())
    eventually(lambda: name in goprocessing.names())
    with pytest.raises(OSError) as raised:
        named.open_pipe(name)
    assert (raised.value.errno, raised.value.filename) == (errno.EINVAL, name)
    named.open_pipe(name, writable=False, timeout=LIMIT).close()
    assert exit_code(pid) == 0


def test_nobody_comes(name: str) -> None:
    for timeout in 0, -1, 0.01:
        with pytest.raises(TimeoutError) as raised:
            named.open_pipe(name, timeout=timeout)
        assert raised.value.filename == name
        assert files_of(name) == []


def test_wrong_arguments_of_a_pipe(name: str) -> None:
    with pytest.raises(ValueError, match="at least one"):
        named.open_pipe(name, readable=False, writable=False)
    with pytest.raises(ValueError):
        named.open_pipe("a/b")
    with pytest.raises(TypeError):
        named.open_pipe(name, timeout="soon")  # type: ignore[arg-type]
    named.open_event(name)
    with pytest.raises(OSError) as raised:
        named.open_pipe(name, timeout=LIMIT)
    assert raised.value.errno == errno.EINVAL


def test_unlinked_while_one_waits(name: str) -> None:
    def wait() -> None:
        with pytest.raises(FileNotFoundError):
            named.open_pipe(name)

    pid = fork(wait)
    eventually(lambda: name in goprocessing.names())
    named.unlink(name)
    assert exit_code(pid) == 0
    assert files_of(name) == []


class Interrupted(Exception):
    pass


def interrupt(*_: object) -> None:
    raise Interrupted


def test_a_signal_ends_the_wait(name: str) -> None:
    def wait() -> None:
        signal.signal(signal.SIGUSR1, interrupt)
        with pytest.raises(Interrupted):
            named.open_pipe(name)
        assert files_of(name) == []

    pid = fork(wait)
    eventually(lambda: name in goprocessing.names())
    os.kill(pid, signal.SIGUSR1)
    assert exit_code(pid) == 0


def test_a_signal_that_is_handled_does_not_end_it(name: str) -> None:
    handled = goprocessing.Event()

    def wait() -> None:
        signal.signal(signal.SIGUSR1, lambda *_: handled.set())
        named.open_pipe(name).close()

    pid = fork(wait)
    eventually(lambda: name in goprocessing.names())
    os.kill(pid, signal.SIGUSR1)
    assert handled.wait(LIMIT)
    named.open_pipe(name, timeout=LIMIT).close()
    assert exit_code(pid) == 0


def test_killed_while_it_waits(name: str) -> None:
    pid = fork(lambda: named.open_pipe(name))
    eventually(lambda: name in goprocessing.names())
    os.kill(pid, signal.SIGKILL)
    assert exit_code(pid) == -signal.SIGKILL
    pid = fork(lambda: named.open_pipe(name).close())
    named.open_pipe(name, timeout=LIMIT).close()
    assert exit_code(pid) == 0
    assert files_of(name) == []
