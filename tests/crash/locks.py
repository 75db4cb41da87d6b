"""Locks and semaphores whose takers are killed.

What a dead process held stays taken, as in the standard library: the scenario finds that
out, and gives it back, or makes a new one of what none but its holder may release.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import goprocessing
from goprocessing import synchronize

from .crew import LIMIT, Board, Failure, Member, Role
from .scenario import Scenario

CTX = goprocessing.get_context("fork")

OUTSIDE, ACQUIRING, INSIDE = range(3)  # states of a member

# On the board, in the place of no member.
FIRST, SECOND = (0, 0), (0, 1)


class Telling:
    """A lock that tells on the board what its taker does: it is INSIDE when it may have the lock.

    Or when it is ACQUIRING, and does not sleep.
    """

    me: Member

    def acquire(self, *args: Any, **kwargs: Any) -> bool:
        self.me.state = ACQUIRING
        acquired: bool = super().acquire(*args, **kwargs)  # type: ignore[misc]
        self.me.value += 1
        self.me.state = INSIDE if acquired else OUTSIDE
        return acquired

    def release(self) -> None:
        super().release()  # type: ignore[misc]
        if not self._is_mine():  # type: ignore[attr-defined]
            self.me.state = OUTSIDE

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class Lock(Telling, synchronize.Lock):
    pass


class RLock(Telling, synchronize.RLock):
    pass


class Semaphore(Telling, synchronize.Semaphore):
    def _is_mine(self) -> bool:
        return False


class BoundedSemaphore(Telling, synchronize.BoundedSemaphore):
    def _is_mine(self) -> bool:
        return False


def check_alone(board: Board) -> None:
    """Writes two words one after the other, which must not be seen in between."""
    if board[FIRST] != board[SECOND]:
        raise Failure("two have the lock")
    board[FIRST] += 1
    board[SECOND] += 1
    if board[FIRST] != board[SECOND]:
        raise Failure("two have the lock")


class Exclusion(Scenario):
    """Members that hold one of `places` at a time, as a lock or semaphore lets them."""

    places: ClassVar[int] = 1

    def __init__(self, random: random.Random) -> None:
        super().__init__(random)
        self.lock = self.make()
        self.returned = 0

    def make(self) -> Any:
        raise NotImplementedError

    def roles(self) -> Sequence[Role]:
        return [self.take, self.take, self.take, self.take_briefly]

    def take(self, me: Member) -> None:
        self.lock.me = me
        while True:
            with self.lock:
                self.check_inside(me)
            me.step()

    def take_briefly(self, me: Member) -> None:
        self.lock.me = me
        while True:
            if self.lock.acquire(timeout=0.002):
                self.check_inside(me)
                self.lock.release()
            me.step()

    def check_inside(self, me: Member) -> None:
        check_alone(self.crew.board)

    def live(self) -> None:
        time.sleep(0.0005)
        if self.held_by_the_dead():
            self.returned += 1
            self.make_up()

    def held_by_the_dead(self) -> bool:
        """Whether it is taken, and by none of the living from one look at them to the next."""
        before = [self.look_at(member) for member in self.crew.members]
        if None in before or not self.lock._is_zero():
            return False
        return before == [self.look_at(member) for member in self.crew.members]

    def look_at(self, member: Member) -> tuple[int, int] | None:
        """What does not change as long as it does not have the lock, or None if it may have it."""
        state = member.state, member.value
        if state[0] == OUTSIDE or (state[0] == ACQUIRING and member.sleeps()):
            return state
        return None

    def make_up(self) -> None:
        board = self.crew.board
        board[SECOND] = board[FIRST]
        self.take_over()
        self.lock.release()

    def take_over(self) -> None:
        """Makes this process one that may use the lock."""
        self.lock.me = Member(self.crew.board, -1, self.take)

    def finish(self) -> None:
        self.take_over()
        taken = 0
        while self.lock.acquire(False):
            taken += 1
        held = self.places - taken
        if not 0 <= held <= self.crew.killed - self.returned:
            raise Failure(f"{self.crew.killed} dead had {self.returned}, and {held} at the end")
        for _ in range(self.places):
            self.lock.release()
        if not self.lock.acquire(timeout=LIMIT):
            raise Failure("the lock cannot be acquired")


class OfLock(Exclusion):
    """acquire, with and without time limit, and release"""

    def make(self) -> Any:
        return Lock(ctx=CTX)


class OfSemaphore(Exclusion):
    """The same with two places"""

    places = 2

    def make(self) -> Any:
        return self.random.choice([Semaphore, BoundedSemaphore])(self.places, ctx=CTX)

    def check_inside(self, me: Member) -> None:
        """That no more were inside shows in the value at the end."""


class OfRLock(Exclusion):
    """acquire, twice, and release, of which nobody else can do the last"""

    def make(self) -> Any:
        return RLock(ctx=CTX)

    def check_inside(self, me: Member) -> None:
        with self.lock:
            super().check_inside(me)

    def make_up(self) -> None:
        """Has all members start again, with a new lock."""
        board = self.crew.board
        board[SECOND] = board[FIRST]
        roles = [member.role for member in self.crew.members]
        for member in [*self.crew.members]:
            self.crew.kill(member)
        self.lock = self.make()
        for role in roles:
            self.crew.start(role)

    def finish(self) -> None:
        self.take_over()
        if not self.lock._is_zero():
            with self.lock:
                pass


class OfRobustLock(Scenario):
    """acquire, which tells that a holder died; nobody else need find that out"""

    def __init__(self, random: random.Random) -> None:
        super().__init__(random)
        self.lock = random.choice([CTX.Lock, CTX.RLock, CTX.Semaphore])(robust=True)

    def roles(self) -> Sequence[Role]:
        return [self.take] * 4

    def take(self, me: Member) -> None:
        board = self.crew.board
        while True:
            try:
                self.lock.acquire()
            except goprocessing.OwnerDied:
                board[SECOND] = board[FIRST]
            check_alone(board)
            self.lock.release()
            me.step()

    def live(self) -> None:
        time.sleep(0.0005)

    def finish(self) -> None:
        try:
            taken = self.lock.acquire(timeout=LIMIT)
        except goprocessing.OwnerDied:
            taken = True
        if not taken:
            raise Failure("the lock cannot be acquired")
