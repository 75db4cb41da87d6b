"""What `ps` and `top` answer those whose program is stuck: who is blocked on what."""

from __future__ import annotations

from typing import Any

import pytest
from goprocessing import _blocked, _listing, _top, inspect

from .test_inspect import CTX, blocked, find, sleepers_are_hidden

STREAM: dict[str, Any] = dict.fromkeys(inspect.Stream.__dataclass_fields__, 0)
OBJECT: dict[str, Any] = {
    "id": "7",
    "name": "",
    "kind": "lock",
    "problem": "",
    "users": (1, 2, 3),
    "memory": 64,
    **dict.fromkeys(("streams", "holders", "waiters"), ()),
    **dict.fromkeys(("stale", "broken", "robust", "awaited"), False),
    "value": 0,
    "limit": 1,
}


def waiter(pid: int, to: str, tid: int = 0) -> inspect.Waiter:
    return inspect.Waiter(pid, tid or pid, alive=True, to=to)


def holder(pid: int, of: str = "lock", count: int = 1, alive: bool = True) -> inspect.Holder:
    return inspect.Holder(pid, 0 if of == "items" else pid, alive, of, count)


def thing(**fields: Any) -> inspect.Object:
    return inspect.Object(**OBJECT | fields)


def queue(stream: dict[str, Any], **fields: Any) -> inspect.Object:
    return thing(kind="queue", streams=(inspect.Stream(**STREAM | stream),), **fields)


def snapshot(*things: inspect.Object) -> inspect.Snapshot:
    return inspect.Snapshot(things, (), False)


@pytest.mark.parametrize(
    ("of", "sentence"),
    [
        (
            thing(holders=(holder(1),), waiters=(waiter(2, "acquire"), waiter(3, "acquire", 33))),
            "lock 7 is held by 1; 2 and 3:33 wait to acquire",
        ),
        (thing(holders=(holder(1, alive=False),)), "lock 7 is held by 1 (dead)"),
        (thing(name="a\nb", waiters=(waiter(2, "acquire"),)),
         r"lock a\nb is held; 2 waits to acquire"),
        (
            thing(kind="semaphore", waiters=[waiter(pid, "acquire") for pid in range(1, 10)]),
            "semaphore 7 is 0; 1, 2, 3, 4, 5 and 4 more wait to acquire",
        ),
        (
            queue({"depth": 5, "max_items": 5, "full": True}, waiters=(waiter(1, "put"),)),
            "queue 7 is full (5 of 5); 1 waits to put",
        ),
        (
            queue({"unfinished": 3, "joinable": True}, waiters=(waiter(1, "join"),),
                  holders=(holder(2, "items", 2), holder(3, "items", alive=False))),
            "queue 7 has 3 unfinished, of which 2 has 2 and 3 (dead) has 1; 1 waits to join",
        ),
        (
            queue({}, users=(1,), waiters=(waiter(1, "get"),)),
            "queue 7 is empty; 1 waits to get; nobody else has it",
        ),
        (
            queue({}, waiters=(waiter(2, "put lock"),), holders=(holder(1, "put"),)),
            "queue 7 is inside a put of 1; 2 waits for its turn",
        ),
    ],
)  # fmt: skip
def test_blocked(of: inspect.Object, sentence: str) -> None:
    assert [*_blocked.blocked(snapshot(of))] == [sentence]
    assert [*_blocked.idle(snapshot(of))] == []


@pytest.mark.parametrize(
    ("of", "sentence"),
    [
        (queue({}, waiters=(waiter(1, "get"),)), "queue 7 is empty; 1 waits to get"),
        (thing(kind="event", waiters=(waiter(1, "wait"),)),
         "event 7 is clear; 1 waits until it is set"),
        (thing(kind="condition", waiters=(waiter(1, "wait"),)),
         "condition 7 is not notified; 1 waits for a notification"),
        (thing(kind="barrier", value=1, limit=3, waiters=(waiter(1, "wait"),)),
         "barrier 7 has 1 of 3; 1 waits for the others"),
    ],
)  # fmt: skip
def test_idle(of: inspect.Object, sentence: str) -> None:
    assert [*_blocked.idle(snapshot(of))] == [sentence]
    assert [*_blocked.blocked(snapshot(of))] == []


def test_nobody_waits() -> None:
    things = (
        thing(),
        thing(value=1),
        queue({}),
        thing(robust=True, holders=(holder(1, alive=False),)),
    )
    assert [*_blocked.blocked(snapshot(*things)), *_blocked.idle(snapshot(*things))] == []


def test_deadlock() -> None:
    def held(name: str, by: int, awaited: int) -> inspect.Object:
        return thing(name=name, holders=(holder(by),), waiters=(waiter(awaited, "acquire"),))

    circle = held("a", 1, 2), held("b", 2, 3), held("c", 3, 1)
    assert [*_blocked.deadlocks(snapshot(*circle, held("d", 1, 4)))] == [
        "deadlock: 2 waits for lock a of 1, 1 waits for lock c of 3, 3 waits for lock b of 2"
    ]
    assert [*_blocked.deadlocks(snapshot(*circle[:2]))] == []
    assert [*_blocked.deadlocks(snapshot(held("a", 1, 1)))] == ["deadlock: 1 waits for lock a of 1"]
    # The holder is another thread, or one that is not known.
    other = thing(holders=(holder(1),), waiters=(waiter(1, "acquire", 11),))
    unknown = thing(holders=(inspect.Holder(1, 0, True, "lock", 1),), waiters=other.waiters)
    assert [*_blocked.deadlocks(snapshot(other, unknown))] == []


def test_a_stopped_process() -> None:
    processes = inspect.Process(5, 1, True, "python"), inspect.Process(6, 1, False, "python")
    assert [*_blocked.blocked(inspect.Snapshot((), processes, False))] == ["5 is stopped"]


def test_stale_names_are_pointed_out() -> None:
    stale = queue({}, name="jobs", stale=True, users=())
    lines = [*_listing.listing(snapshot(stale), False, 80)]
    assert lines[1].split()[:4] == ["jobs", "queue", "0,", "stale"]
    assert "unlink --stale" in lines[-1]


def test_a_receiver_from_a_pipe_waits() -> None:
    a, b = CTX.Pipe()
    process = CTX.Process(target=b.recv)
    process.start()

    def waits(of: inspect.Object) -> bool:
        return of.kind == "pipe" and blocked(of, process.pid, "get")

    if sleepers_are_hidden:
        pytest.skip("the kernel hides what others wait for")
    pipe = find(waits)
    assert [*_blocked.idle(snapshot(pipe))] == [
        f"pipe {pipe.id} is empty; {process.pid} waits to receive"
    ]
    a.send(None)
    process.join()


def test_the_kernel_hides_who_waits() -> None:
    things = (
        thing(holders=(holder(1),), awaited=True),
        queue({"depth": 1, "max_items": 1, "full": True}, awaited=True),
        queue({}, awaited=True),
        thing(kind="event", awaited=True),
    )
    assert [*_blocked.blocked(snapshot(*things))] == []
    hidden = inspect.Snapshot(things, (), True)
    assert [*_listing.remarks(hidden, 0)] == [
        "The kernel hides who waits (/proc/sys/kernel/yama/ptrace_scope); root sees it.",
        "lock 7 is held by 1; somebody may wait",
        "queue 7 is full (1 of 1); somebody may wait",
    ]


def test_top_says_for_how_long() -> None:
    view, held = _top.View(), snapshot(thing(holders=(holder(1),), waiters=(waiter(2, "acquire"),)))
    expected = {100.0: "", 100.5: "", 107.9: " (7 s)"}
    for now, lasting in expected.items():
        view.add(held, now)
        (sentence,) = view.lasting(_blocked.blocked(held))
        assert sentence == f"lock 7 is held by 1; 2 waits to acquire{lasting}"
    view.add(snapshot(), 108.0)
    view.add(held, 120.0)
    assert [*view.lasting(_blocked.blocked(held))] == [*_blocked.blocked(held)]


def test_a_table_of_many() -> None:
    waiters = [inspect.Waiter(pid, 0, pid < 3, "wait") for pid in range(1, 10)]
    crowded = thing(kind="event", waiters=waiters, users=range(1, 8), awaited=True)
    line = [*_listing.listing(snapshot(crowded), False, 80)][1]
    assert line.split()[4:] == "wait: 1 2 3 (dead) 4 (dead) 5 (dead) +4 1 2 3 4 5 +2".split()
    assert [*_blocked.idle(snapshot(crowded))] == ["event 7 is clear; 1 and 2 wait until it is set"]
