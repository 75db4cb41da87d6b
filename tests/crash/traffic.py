"""Items on their way from producers to this process, by way of members that move them.

Nothing is lost but what a mover that was killed had taken, nothing comes twice, and
nothing is torn.
"""

from __future__ import annotations

import contextlib
import queue
import random
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import goprocessing

from .crew import LIMIT, Failure, Member, Role
from .items import KINDS, Ledger, check, make, make_small, received
from .scenario import Scenario

CTX = goprocessing.get_context("fork")

AHEAD = 100
"""Items that are in an unbounded queue at most, or little more."""


def wait_for_room(q: Any) -> None:
    while q.qsize() > AHEAD:
        time.sleep(0.001)


class Traffic(Scenario):
    at_once: ClassVar[int] = 1  # items that a member puts or takes in one call

    def __init__(self, random: random.Random) -> None:
        super().__init__(random)
        self.ledger = Ledger()
        self.movers_killed = 0

    def roles(self) -> Sequence[Role]:
        return [self.produce, self.move, self.move, self.produce]

    def produce(self, me: Member) -> None:
        """Puts items; me.value is how many were put."""
        raise NotImplementedError

    def move(self, me: Member) -> None:
        """Takes items and passes them on."""
        raise NotImplementedError

    def drain(self) -> None:
        """Takes all that is there, at both places, when no member lives any more."""
        raise NotImplementedError

    def died(self, member: Member) -> None:
        if member.role == self.move:
            self.movers_killed += 1
        elif member.role == self.produce:
            self.ledger.put(member.number, member.value)

    def arrive(self, item: Any) -> None:
        self.ledger.arrive(*received(item))

    def finish(self) -> None:
        self.drain()
        lost = self.ledger.lost(self.at_once)
        if lost > self.movers_killed * self.at_once:
            raise Failure(
                f"{lost} items are lost with {self.movers_killed} members that moved some"
            )


class Queue(Traffic):
    """put and get of small items, of large ones, and of buffers received in place"""

    def __init__(self, random: random.Random) -> None:
        super().__init__(random)
        self.source = self.make(random.choice([0, 20]))
        self.sink = CTX.Queue(random.choice([0, 20]))

    def make(self, maxsize: int) -> Any:
        return CTX.Queue(maxsize)

    def produce(self, me: Member) -> None:
        while True:
            self.source.put(make(me.number, me.value))
            me.value += 1
            me.step()
            wait_for_room(self.source)

    def move(self, me: Member) -> None:
        kept = []  # received buffers are in use for a while
        while True:
            item = self.source.get()
            self.pass_on(item, kept)
            me.step()

    def pass_on(self, item: Any, kept: list[Any]) -> None:
        _, n = check(item)
        self.sink.put(item)
        wait_for_room(self.sink)
        kept.append(item)
        del kept[: -(n % KINDS) or None]

    def live(self) -> None:
        try:
            self.arrive(self.sink.get(timeout=0.001))
        except queue.Empty:
            return

    def drain(self) -> None:
        for q in self.source, self.sink:
            while not q.empty():
                self.arrive(q.get(timeout=LIMIT))
            q.put("sound", timeout=LIMIT)
            if q.get(timeout=LIMIT) != "sound" or q.qsize() != 0:
                raise Failure(f"{q!r} is not empty")


class Many(Queue):
    """put_many and get_many"""

    at_once = 10

    def produce(self, me: Member) -> None:
        while True:
            count = 1 + me.steps % self.at_once
            items = [make_small(me.number, n) for n in range(me.value, me.value + count)]
            self.source.put_many(items)
            me.value += count
            me.step()
            wait_for_room(self.source)

    def move(self, me: Member) -> None:
        while True:
            items = self.source.get_many(1 + me.steps % self.at_once)
            self.sink.put_many(items)
            wait_for_room(self.sink)
            me.step()

    def arrive(self, item: Any) -> None:
        self.ledger.arrive(*check(item))


class JoinableQueue(Queue):
    """put, get, task_done and join"""

    def make(self, maxsize: int) -> Any:
        return CTX.JoinableQueue(maxsize)

    def roles(self) -> Sequence[Role]:
        return [self.produce, self.move, self.move, self.produce, self.join]

    def move(self, me: Member) -> None:
        kept = []
        while True:
            self.pass_on(self.source.get(), kept)
            self.source.task_done()
            me.step()

    def join(self, me: Member) -> None:
        """Waits until all is done, which is at the end, unless the movers are fast."""
        while True:
            self.source.join()
            me.step()
            time.sleep(0.001)

    def may_wait(self, member: Member) -> bool:
        return member.role == self.join

    def drain(self) -> None:
        # The dead movers' items are told, each once, and are all that is unfinished but
        # for those that drain gets, and the one that it puts.
        abandoned = self.source.abandoned()
        if len({received(item) for item in abandoned}) != len(abandoned):
            raise Failure("an item was abandoned twice")
        left = self.source.qsize() + 1 + len(abandoned)
        super().drain()
        unfinished = self.mark_all()
        if unfinished != left or len(abandoned) > self.movers_killed:
            raise Failure(
                f"{unfinished} tasks were unfinished, not {left}; {len(abandoned)} abandoned"
                f" by {self.movers_killed} members"
            )
        self.await_steps(self.crew.members)

    def mark_all(self) -> int:
        """Marks all tasks as done; returns how many there were."""
        unfinished = 0
        with contextlib.suppress(ValueError):
            while True:
                self.source.task_done()
                unfinished += 1
        self.source.join()
        return unfinished


class Redelivery(JoinableQueue):
    """The same with redeliver=True: nothing is lost, but what is redelivered may come twice"""

    def make(self, maxsize: int) -> Any:
        return CTX.JoinableQueue(maxsize, redeliver=True)

    def arrive(self, item: Any) -> None:
        key = received(item)
        if not self.ledger.has(*key):
            self.ledger.arrive(*key)

    def drain(self) -> None:
        while not self.sink.empty():
            self.arrive(self.sink.get())
        (joiner,) = (member for member in self.crew.members if member.role == self.join)
        # The join that is under way may have returned before the last item was put.
        steps = joiner.steps + 2
        deadline = time.monotonic() + LIMIT
        while joiner.steps < steps:
            with contextlib.suppress(queue.Empty):
                self.arrive(self.source.get(timeout=0.01))
                self.source.task_done()
            if time.monotonic() > deadline:
                raise Failure("what the dead had does not return")
        self.source.join()
        self.movers_killed = 0  # what they had was in the queue again
        self.await_steps(self.crew.members)


class SimpleQueue(Traffic):
    """put, of several processes; who is killed in get leaves the queue to nobody else"""

    def __init__(self, random: random.Random) -> None:
        super().__init__(random)
        self.queue = CTX.SimpleQueue()

    def roles(self) -> Sequence[Role]:
        return [self.produce, self.produce, self.produce]

    def produce(self, me: Member) -> None:
        while True:
            self.queue.put(make(me.number, me.value))
            me.value += 1
            me.step()

    def live(self) -> None:
        if self.queue._reader.poll(0.001):
            self.arrive(self.queue.get())

    def drain(self) -> None:
        while not self.queue.empty():
            self.arrive(self.queue.get())
        self.queue.put("sound")
        if self.queue.get() != "sound":
            raise Failure("the queue is not empty")
        self.queue.close()


class Pipe(Traffic):
    """send and recv, of several processes at each end"""

    def __init__(self, random: random.Random) -> None:
        super().__init__(random)
        self.source = CTX.Pipe(duplex=False)
        self.sink = CTX.Pipe(duplex=random.random() < 0.5)

    def produce(self, me: Member) -> None:
        _, end = self.source
        while True:
            end.send(make(me.number, me.value))
            me.value += 1
            me.step()

    def move(self, me: Member) -> None:
        begin, end = self.source[0], self.sink[1]
        while True:
            item = begin.recv()
            check(item)
            end.send(item)
            me.step()

    def live(self) -> None:
        if self.sink[0].poll(0.001):
            self.arrive(self.sink[0].recv())

    def drain(self) -> None:
        for begin, end in self.source, self.sink:
            while begin.poll():
                self.arrive(begin.recv())
            end.send("sound")
            if begin.recv() != "sound":
                raise Failure("the pipe is not empty")
            end.close()
            try:
                raise Failure(f"{begin.recv()!r} instead of the end of file")
            except EOFError:
                begin.close()
