"""Who is blocked on what, in sentences: what one wants to know of a program that is stuck."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .inspect import Holder, Object, Snapshot, Thread, Waiter

# So many threads or processes are named in one place.
NAMED = 6


def name(thread: Thread) -> str:
    """The process, with the thread unless that is its first one or unknown."""
    text = str(thread.pid)
    if thread.tid not in (0, thread.pid):
        text += f":{thread.tid}"
    return text if thread.alive else f"{text} (dead)"


def label(thing: Object) -> str:
    return f"{thing.kind} {shown(thing.name) or thing.id}"


def shown(text: str) -> str:
    """The text on one line, and without what a terminal would obey."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def enumeration(names: Iterable[str]) -> str:
    *some, last = names
    if len(some) >= NAMED:
        some, last = some[: NAMED - 1], f"{len(some) + 2 - NAMED} more"
    return f"{', '.join(some)} and {last}" if some else last


def _locks(thing: Object) -> list[Holder]:
    return [holder for holder in thing.holders if holder.of == "lock"]


def _living(thing: Object) -> list[Waiter]:
    """Who waits, but for those who died as they did."""
    return [waiter for waiter in thing.waiters if waiter.alive]


def _state(thing: Object) -> str:
    """Why those who wait do."""
    match thing.kind:
        case "lock" | "rlock" | "semaphore":
            if holders := _locks(thing):
                return f"is held by {enumeration(dict.fromkeys(map(name, holders)))}"
            return "is 0" if thing.kind == "semaphore" else "is held"
        case "queue" | "pipe":
            return _contents(thing)
        case "event":
            return "is clear"
        case "barrier":
            return f"has {thing.value} of {thing.limit}"
    return "is not notified"


def _contents(thing: Object) -> str:
    reasons = []
    if full := [stream for stream in thing.streams if stream.full]:
        of = f" ({full[0].depth} of {full[0].max_items})" if full[0].max_items else ""
        reasons.append(f"is full{of}")
    elif any(waiter.to == "get" for waiter in thing.waiters):
        reasons.append("is empty")
    takers = [holder for holder in thing.holders if holder.of == "items"]
    if takers or any(waiter.to == "join" for waiter in thing.waiters):
        reasons.append(f"has {thing.streams[0].unfinished} unfinished")
    if takers:
        has = enumeration(f"{name(taker)} has {taker.count}" for taker in takers)
        reasons.append(f"of which {has}")
    if users := [h for h in thing.holders if h.of in ("put", "get")]:
        reasons.append(f"is inside a {enumeration(f'{h.of} of {name(h)}' for h in users)}")
    return ", ".join(reasons) or "is in use"


def _purpose(thing: Object, to: str) -> str:
    match thing.kind, to:
        case "pipe", "get":
            return "to receive"
        case "pipe", "put":
            return "to send"
        case "event", "wait":
            return "until it is set"
        case "condition", "wait":
            return "for a notification"
        case "barrier", "wait":
            return "for the others"
        case _, "put lock" | "get lock":
            return "for its turn"
    return f"to {to}"


def _sentence(thing: Object) -> str:
    purposes: dict[str, list[str]] = {}
    for waiter in _living(thing):
        purposes.setdefault(_purpose(thing, waiter.to), []).append(name(waiter))
    clauses = [f"{label(thing)} {_state(thing)}"]
    clauses += [
        f"{enumeration(who)} wait{'' if who[1:] else 's'} {purpose}"
        for purpose, who in purposes.items()
    ]
    if thing.awaited and not purposes:
        clauses.append("somebody may wait")
    if _all_wait(thing):
        clauses.append("nobody else has it")
    return "; ".join(clauses)


def _all_wait(thing: Object) -> bool:
    """Whether there is no process that could put what others wait for."""
    waiters = {waiter.pid for waiter in _living(thing)}
    return bool(thing.streams and waiters) and waiters.issuperset(thing.users)


def _matters(thing: Object) -> bool:
    """Whether threads wait for what another ought to do, or nobody can."""
    if any(waiter.to not in ("get", "wait") for waiter in _living(thing)) or _all_wait(thing):
        return True
    return abandoned(thing)


def _may_matter(thing: Object) -> bool:
    """Whether threads may wait, of which the kernel does not tell, for what another has."""
    return thing.awaited and bool(_locks(thing) or any(stream.full for stream in thing.streams))


def abandoned(thing: Object) -> bool:
    """Whether it is a lock whose holder has died, and stays so."""
    return not thing.robust and any(not holder.alive for holder in _locks(thing))


def _circles(waits: Mapping[str, tuple[Object, str]]) -> Iterator[list[str]]:
    """Threads of which each waits for what the next one holds."""
    seen: set[str] = set()
    for start in waits:
        path: list[str] = []
        thread = start
        while thread in waits and thread not in seen:
            seen.add(thread)
            path.append(thread)
            thread = waits[thread][1]
        if thread in path:
            yield path[path.index(thread) :]


def deadlocks(snapshot: Snapshot) -> Iterator[str]:
    # A thread waits for one thing at a time, and a lock has one holder. Of some it is
    # not known which thread of a process they are.
    waits = {
        name(waiter): (thing, name(holder))
        for thing in snapshot.objects
        for holder in _locks(thing)[:1]
        for waiter in thing.waiters
        if waiter.to == "acquire" and thing.kind != "semaphore" and holder.tid
    }
    for circle in _circles(waits):
        steps = (f"{who} waits for {label(waits[who][0])} of {waits[who][1]}" for who in circle)
        yield f"deadlock: {', '.join(steps)}"


def blocked(snapshot: Snapshot) -> Iterator[str]:
    """A sentence for each object that keeps threads waiting until another acts, and for
    each lock whose holder cannot any more."""
    yield from deadlocks(snapshot)
    for process in snapshot.processes:
        if process.stopped:
            yield f"{process.pid} is stopped"
    for thing in snapshot.objects:
        if _matters(thing) or (snapshot.hidden and _may_matter(thing)):
            yield _sentence(thing)


def idle(snapshot: Snapshot) -> Iterator[str]:
    """A sentence for each object at which threads wait for something to do."""
    return (_sentence(thing) for thing in snapshot.objects if thing.waiters and not _matters(thing))
