"""What `python -m goprocessing ps` and `top` say of a snapshot, in words."""

from __future__ import annotations

from ._blocked import NAMED, abandoned, blocked, enumeration, idle, name, shown
from .inspect import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from .inspect import Object, Stream

COLUMNS = ("OBJECT", "KIND", "STATE", "PUTS", "GETS", "MEMORY", "HELD BY", "WAITING", "USERS")
NUMBERS = frozenset(("PUTS", "GETS", "MEMORY", "PID", "PARENT"))


def size(amount: int) -> str:
    """A number of bytes in three digits or so."""
    value, units = float(amount), "BKMGT"
    while value >= 1000 and units[1:]:
        value, units = value / 1024, units[1:]
    return f"{value:.0f}{units[0]}" if units[0] == "B" or value >= 10 else f"{value:.1f}{units[0]}"


def _stream(stream: Stream) -> str:
    text = str(stream.depth)
    if stream.max_items:
        text += f" of {stream.max_items}"
    if stream.full:
        text += ", full"
    if stream.joinable:
        text += f", {stream.unfinished} unfinished"
    return text + ", shut down" if stream.shut else text


def state(thing: Object) -> str:
    return f"{_state(thing)}, stale".lstrip(", ") if thing.stale else _state(thing)


def _state(thing: Object) -> str:
    if thing.problem:
        return thing.problem
    match thing.kind:
        case "queue" | "pipe":
            return " | ".join(map(_stream, thing.streams))
        case "lock":
            return "free" if thing.value else "held"
        case "rlock":
            times = f" {thing.value} times" if thing.value > 1 else ""
            return f"held{times}" if thing.value else "free"
        case "semaphore":
            return f"{thing.value} of {thing.limit}" if thing.limit else str(thing.value)
        case "event":
            return "set" if thing.value else "clear"
        case "barrier":
            return "broken" if thing.broken else f"{thing.value} of {thing.limit}"
    return ""


def _few(names: Iterable[str]) -> str:
    """Some of them: a line of the table is to fit into one of the terminal."""
    distinct = [*dict.fromkeys(names)]
    if len(distinct) > NAMED:
        distinct[NAMED - 1 :] = [f"+{len(distinct) + 1 - NAMED}"]
    return " ".join(distinct)


def held(thing: Object) -> str:
    """Who has the lock, or items that are not done."""
    return _few(
        name(holder) + (f" ({holder.count})" if holder.of == "items" else "")
        for holder in thing.holders
        if holder.of in ("lock", "items")
    )


def waiting(thing: Object) -> str:
    """Who waits to do what, those who wait for the same together."""
    purposes = sorted({waiter.to for waiter in thing.waiters})
    if not purposes:
        return "?" if thing.awaited else ""
    return "; ".join(
        f"{to}: {_few(name(waiter) for waiter in thing.waiters if waiter.to == to)}"
        for to in purposes
    )


def at_rest(thing: Object) -> bool:
    """Whether it is one of many that do nothing: a lock that is free, and the like."""
    busy = thing.streams or thing.holders or thing.awaited
    return not (busy or thing.problem or thing.broken or thing.name)


def row(thing: Object) -> tuple[str, ...]:
    """A line of the table; its columns are COLUMNS."""
    return (
        shown(thing.name) or thing.id,
        thing.kind,
        state(thing),
        " | ".join(str(stream.puts) for stream in thing.streams),
        " | ".join(str(stream.gets) for stream in thing.streams),
        size(thing.memory),
        held(thing),
        waiting(thing),
        _few(map(str, thing.users)),
    )


def table(lines: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Lines in columns, of which the first one holds the titles."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (
            cell.rjust(width) if title in NUMBERS else cell.ljust(width)
            for title, cell, width in zip(lines[0], line, widths, strict=True)
        )
        yield "  ".join(cells).rstrip()


def used_by(snapshot: Snapshot, pids: Collection[int]) -> Snapshot:
    """What these processes use, if there are any, and who else does."""
    if not pids:
        return snapshot
    objects = [thing for thing in snapshot.objects if not set(pids).isdisjoint(thing.users)]
    users = {pid for thing in objects for pid in thing.users}
    processes = [process for process in snapshot.processes if process.pid in users]
    return Snapshot(tuple(objects), tuple(processes), snapshot.hidden)


def processes(snapshot: Snapshot, width: int) -> Iterator[str]:
    """A table of them, cut to width."""
    lines = [
        (str(process.pid), str(process.parent), shown(process.command))
        for process in snapshot.processes
    ]
    return (line[:width].rstrip() for line in table([("PID", "PARENT", "COMMAND"), *lines]))


def remarks(snapshot: Snapshot, left_out: int) -> Iterator[str]:
    """What is to be known besides, the most important last: that stays on the screen."""
    if left_out:
        yield f"{left_out} more at rest: locks and the like; --all lists them, too."
    if any(map(abandoned, snapshot.objects)):
        yield "repair --free makes the lock of a dead holder free, if what it guards is sound."
    if stale := [shown(thing.name) for thing in snapshot.objects if thing.stale]:
        yield f"Nobody uses {enumeration(stale)}: unlink --stale removes such names."
    if snapshot.hidden:
        yield "The kernel hides who waits (/proc/sys/kernel/yama/ptrace_scope); root sees it."
    yield from idle(snapshot)
    yield from blocked(snapshot)


def listing(snapshot: Snapshot, rest: bool, width: int) -> Iterator[str]:
    """All of it, but without what is at rest unless rest. Only commands are cut to width."""
    objects = [thing for thing in snapshot.objects if rest or not at_rest(thing)]
    parts = []
    if objects:
        parts.append(table([COLUMNS, *map(row, objects)]))
    if snapshot.processes:
        parts.append(processes(snapshot, width))
    parts.append(remarks(snapshot, len(snapshot.objects) - len(objects)))
    separator = ""
    for part in parts:
        for line in part:
            yield separator + line
            separator = ""
        separator = "\n"
