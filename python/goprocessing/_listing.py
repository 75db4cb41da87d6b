"""What `python -m goprocessing ps` and `top` say of a snapshot, in words."""

from __future__ import annotations

from .inspect import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from .inspect import Object, Stream, Thread

COLUMNS = ("ID", "KIND", "STATE", "PUTS", "GETS", "MEMORY", "HELD BY", "WAITING", "USERS")
NUMBERS = frozenset(("PUTS", "GETS", "MEMORY"))


def size(amount: int) -> str:
    """A number of bytes in three digits or so."""
    value, units = float(amount), "BKMGT"
    while value >= 1000 and units[1:]:
        value, units = value / 1024, units[1:]
    return f"{value:.0f}{units[0]}" if units[0] == "B" or value >= 10 else f"{value:.1f}{units[0]}"


def name(thread: Thread) -> str:
    """The process, with the thread unless that is its first one or unknown."""
    text = str(thread.pid)
    if thread.tid not in (0, thread.pid):
        text += f":{thread.tid}"
    return text if thread.alive else f"{text} (dead)"


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


def held(thing: Object) -> str:
    return " ".join(name(holder) for holder in thing.holders if holder.of == "lock")


def waiters(thing: Object, to: str) -> str:
    return " ".join(name(waiter) for waiter in thing.waiters if waiter.to == to)


def waiting(thing: Object) -> str:
    """Who waits to do what, those who wait for the same together."""
    purposes = sorted({waiter.to for waiter in thing.waiters})
    if not purposes:
        return "?" if thing.awaited else ""
    return "; ".join(f"{to}: {waiters(thing, to)}" for to in purposes)


def at_rest(thing: Object) -> bool:
    """Whether it is one of many that do nothing: a lock that is free, and the like."""
    return not (thing.streams or thing.problem or thing.holders or thing.awaited or thing.broken)


def row(thing: Object) -> tuple[str, ...]:
    """A line of the table; its columns are COLUMNS."""
    return (
        thing.id,
        thing.kind,
        state(thing),
        " | ".join(str(stream.puts) for stream in thing.streams),
        " | ".join(str(stream.gets) for stream in thing.streams),
        size(thing.memory),
        held(thing),
        waiting(thing),
        " ".join(map(str, thing.users)),
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


def blocked(snapshot: Snapshot) -> Iterator[str]:
    """A sentence for each object that keeps threads waiting until another acts, and for
    each lock whose holder cannot any more."""
    for thing in snapshot.objects:
        what = f"{thing.kind} {thing.id}"
        holder = next((holder for holder in thing.holders if holder.of == "lock"), None)
        if who := waiters(thing, "acquire"):
            by = f", held by {name(holder)}" if holder else ""
            yield f"waiting to acquire {what}{by}: {who}"
        elif holder and not (holder.alive or thing.robust):
            yield f"{what} is held by {name(holder)}"
        if who := waiters(thing, "put"):
            yield f"waiting to put into {what}, which is full: {who}"
        if who := waiters(thing, "join"):
            yield f"waiting to join {what}, {thing.streams[0].unfinished} unfinished: {who}"


def used_by(snapshot: Snapshot, pids: Collection[int]) -> Snapshot:
    """What these processes use, if there are any, and who else does."""
    if not pids:
        return snapshot
    objects = [thing for thing in snapshot.objects if not set(pids).isdisjoint(thing.users)]
    users = {pid for thing in objects for pid in thing.users}
    processes = [process for process in snapshot.processes if process.pid in users]
    return Snapshot(tuple(objects), tuple(processes))


def shown(text: str) -> str:
    """The text on one line, and without what a terminal would obey."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def processes(snapshot: Snapshot, width: int) -> Iterator[str]:
    for process in snapshot.processes:
        yield f"{process.pid:>8}  {shown(process.command)}"[:width].rstrip()


def listing(snapshot: Snapshot, rest: bool, width: int) -> Iterator[str]:
    """All of it, but without what is at rest unless rest. Only commands are cut to width."""
    objects = [thing for thing in snapshot.objects if rest or not at_rest(thing)]
    if objects:
        yield from table([COLUMNS, *map(row, objects)])
        yield ""
    if lines := list(blocked(snapshot)):
        yield from lines
        yield ""
    yield from processes(snapshot, width)
    if left_out := len(snapshot.objects) - len(objects):
        yield f"{left_out} locks and the like are at rest; --all lists them, too."
