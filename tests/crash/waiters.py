"""Conditions, events and barriers whose waiters are killed."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from threading import BrokenBarrierError
from typing import Any

import goprocessing

from .crew import LIMIT, Failure, Member, Role
from .locks import Exclusion, Lock
from .scenario import Scenario

CTX = goprocessing.get_context("fork")

# On the board, in the place of no member.
TOKENS = 0, 2
PAUSED = 0, 3


class Condition(Exclusion):
    """wait, notify and notify_all: each token is worth a notification, and wakes somebody"""

    def __init__(self, random: random.Random) -> None:
        super().__init__(random)
        self.condition = CTX.Condition(self.lock)

    def make(self) -> Any:
        return Lock(ctx=CTX)

    def roles(self) -> Sequence[Role]:
        return [self.take, self.take, self.take, self.add]

    def take(self, me: Member) -> None:
        board = self.crew.board
        self.lock.me = me
        while True:
            with self.condition:
                while not board[TOKENS]:
                    self.condition.wait()
                board[TOKENS] -= 1
            me.step()

    def add(self, me: Member) -> None:
        board = self.crew.board
        self.lock.me = me
        while True:
            if not board[PAUSED]:
                count = 1 + me.steps % 4
                with self.condition:
                    board[TOKENS] += count
                    if count == 4:
                        self.condition.notify_all()
                    else:
                        self.condition.notify(count)
            me.step()
            time.sleep(0.0005)

    def make_up(self) -> None:
        """Notifies, too: the dead may have been about to, or was notified and had its turn."""
        super().make_up()
        with self.condition:
            self.condition.notify_all()

    def died(self, member: Member) -> None:
        """No notification was lost with it, if those who live take all the tokens."""
        if member.role != self.take or len(self.crew.members) < 2:
            return
        self.crew.board[PAUSED] = 1
        deadline = time.monotonic() + LIMIT
        while self.crew.board[TOKENS]:
            self.live()
            if time.monotonic() > deadline:
                raise Failure(f"a notification is lost after {self.crew.killed} kills")
        self.crew.board[PAUSED] = 0


class Event(Scenario):
    """wait, set and clear"""

    def __init__(self, random: random.Random) -> None:
        super().__init__(random)
        # The members wait for these in turn: a member's state is for which.
        self.events = CTX.Event(), CTX.Event()
        self.turn = 0
        self.bell = CTX.Event()

    def roles(self) -> Sequence[Role]:
        return [self.alternate, self.alternate, self.alternate, self.ring, self.listen]

    def alternate(self, me: Member) -> None:
        while True:
            self.events[me.state].wait()
            me.state = 1 - me.state
            me.step()

    def ring(self, me: Member) -> None:
        while True:
            self.bell.set()
            self.bell.clear()
            me.step()

    def listen(self, me: Member) -> None:
        while True:
            self.bell.wait()
            me.step()

    def live(self) -> None:
        """Sets the event that all wait for, once they do."""
        states = {m.state for m in self.crew.members if m.role == self.alternate}
        if states == {self.turn}:
            self.events[1 - self.turn].clear()
            self.events[self.turn].set()
            self.turn = 1 - self.turn
        else:
            time.sleep(0.0002)


class Barrier(Scenario):
    """wait, abort and reset; a party that is killed breaks the barrier"""

    parties = 3

    def __init__(self, random: random.Random) -> None:
        super().__init__(random)
        self.barrier = CTX.Barrier(self.parties)
        self.rounds = [0] * self.parties

    def roles(self) -> Sequence[Role]:
        return [self.meet] * self.parties

    def meet(self, me: Member) -> None:
        """Counts in me.value, for each number that wait returned, how often it did."""
        while True:
            try:
                index = self.barrier.wait()
            except BrokenBarrierError:
                while self.barrier.broken:
                    time.sleep(0.0005)
                continue
            me.value += 1 << 20 * index
            me.step()

    def live(self) -> None:
        if self.barrier.broken:
            self.barrier.reset()
        elif self.random.random() < 0.005:
            self.barrier.abort()
        time.sleep(0.0005)

    def died(self, member: Member) -> None:
        for index in range(self.parties):
            self.rounds[index] += member.value >> 20 * index & (1 << 20) - 1

    def finish(self) -> None:
        """In each round each number came once, but to a party that died before it told."""
        if max(self.rounds) - min(self.rounds) > self.crew.killed:
            raise Failure(f"{self.crew.killed} dead, and the rounds are {self.rounds}")
        self.barrier.reset()
        if self.barrier.n_waiting:
            raise Failure(f"{self.barrier!r} counts the dead")
