"""`python -m goprocessing top`"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import threading
import time
from collections import deque

from . import inspect
from ._blocked import blocked, idle
from ._listing import at_rest, held, row, size, state, used_by, waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import Group

    from .inspect import Object, Snapshot

BARS = "▁▂▃▄▅▆▇█"
SAMPLES = 20


class History:
    """What was seen of a queue or pipe."""

    def __init__(self) -> None:
        self.depths: deque[int] = deque(maxlen=SAMPLES)
        self.rates = (0.0, 0.0)
        self._last: tuple[float, int, int] | None = None

    def add(self, thing: Object, now: float) -> None:
        puts = sum(stream.puts for stream in thing.streams)
        gets = sum(stream.gets for stream in thing.streams)
        self.depths.append(sum(stream.depth for stream in thing.streams))
        if self._last is not None and now > self._last[0]:
            then, puts_then, gets_then = self._last
            self.rates = (puts - puts_then) / (now - then), (gets - gets_then) / (now - then)
        self._last = now, puts, gets

    def sparkline(self) -> str:
        """The depths, the greatest of them as the highest bar."""
        greatest = max(self.depths, default=0)
        if not greatest:
            return BARS[0] * len(self.depths)
        return "".join(BARS[-(-depth * (len(BARS) - 1) // greatest)] for depth in self.depths)


class View:
    def __init__(self) -> None:
        self._histories: dict[str, History] = {}
        self._since: dict[str, float] = {}  # when a sentence was first true
        self._now = 0.0

    def add(self, snapshot: Snapshot, now: float) -> None:
        self._histories = {
            thing.id: self._histories.get(thing.id) or History()
            for thing in snapshot.objects
            if thing.streams
        }
        for thing in snapshot.objects:
            if thing.streams:
                self._histories[thing.id].add(thing, now)
        sentences = (*blocked(snapshot), *idle(snapshot))
        self._since = {line: self._since.get(line, now) for line in sentences}
        self._now = now

    def lasting(self, sentences: Iterable[str]) -> Iterator[str]:
        """The sentences, with how long they have been seen to be true: who is blocked for
        an instant is not stuck."""
        for line in sentences:
            seconds = int(self._now - self._since[line])
            yield f"{line} ({seconds} s)" if seconds else line

    def cells(self, thing: Object) -> tuple[str, ...]:
        identity, kind = row(thing)[:2]
        puts = gets = sparkline = ""
        if history := self._histories.get(thing.id):
            puts, gets = (f"{rate:,.0f}" for rate in history.rates)
            sparkline = history.sparkline()
        return (identity, kind, state(thing), sparkline, puts, gets,
                size(thing.memory), held(thing), waiting(thing))  # fmt: skip

    def render(self, snapshot: Snapshot) -> Group:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="reverse", expand=True)
        for title in ("OBJECT", "KIND", "STATE", "DEPTH"):
            table.add_column(title, no_wrap=True)
        for title in ("PUTS/s", "GETS/s", "MEMORY"):
            table.add_column(title, no_wrap=True, justify="right")
        table.add_column("HELD BY")
        table.add_column("WAITING")
        shown = [thing for thing in snapshot.objects if not at_rest(thing)]
        for thing in sorted(shown, key=_first):
            full = any(stream.full for stream in thing.streams)
            table.add_row(*map(Text, self.cells(thing)), style="bold" if full else None)
        title = (
            f"{len(snapshot.objects)} objects of {len(snapshot.processes)} processes;"
            f" {len(snapshot.objects) - len(shown)} more at rest: locks and the like"
        )
        return Group(
            Text(title),
            Text(),
            *(Text(line, style="red") for line in self.lasting(blocked(snapshot))),
            *(Text(line, style="dim") for line in self.lasting(idle(snapshot))),
            table,
        )


def _first(thing: Object) -> tuple[bool, bool]:
    """What may need attention comes first, then what items pass through."""
    return not (thing.holders or thing.waiters), not thing.streams


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m goprocessing top",
        description="Show your queues, pipes, locks and the like as they change, and which"
        " threads are blocked; until interrupted.",
    )
    parser.add_argument("pid", type=int, nargs="*", help="only what one of these processes uses")
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="SECONDS", help="default %(default)s"
    )
    parser.add_argument("--count", type=int, metavar="N", help="end after N times")
    options = parser.parse_args(arguments)
    if not 0 <= options.interval <= threading.TIMEOUT_MAX:
        parser.error("argument --interval: not a time to wait")
    if options.count is not None and options.count < 1:
        parser.error("argument --count: less than once")
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        parser.exit(1, "top needs the package rich: pip install 'goprocessing[cli]'\n")
    view, console = View(), Console()
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        show = console.print
        if console.is_terminal:
            live = stack.enter_context(Live(console=console, auto_refresh=False, screen=True))
            show = functools.partial(live.update, refresh=True)
        for turn in itertools.count(1):
            snapshot = used_by(inspect.snapshot(), options.pid)
            view.add(snapshot, time.monotonic())
            show(view.render(snapshot))
            if turn == options.count:
                return
            time.sleep(options.interval)
