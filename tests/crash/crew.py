"""Processes that use an object in a loop until they are killed, and what they tell meanwhile."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

LIMIT = 60.0
"""Seconds that nothing but a hang takes."""

MEMBERS = 4096  # that live and that died since the board was made
WORDS = 4

PR_SET_PDEATHSIG = 1


class Failure(Exception):
    """Something that must hold does not."""


class Board:
    """Words that all members see: each writes its own, or, with a lock, those of number 0."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, MEMBERS * WORDS * 8)
        self._words = memoryview(self._memory).cast("q")

    def __getitem__(self, place: tuple[int, int]) -> int:
        number, word = place
        return self._words[number * WORDS + word]

    def __setitem__(self, place: tuple[int, int], value: int) -> None:
        number, word = place
        self._words[number * WORDS + word] = value

    def clear(self, number: int) -> None:
        for word in range(WORDS):
            self[number, word] = 0

    def close(self) -> None:
        self._words.release()
        self._memory.close()


class Member:
    """A process, as it sees itself and as its parent sees it."""

    STEPS, STATE, VALUE = range(3)

    def __init__(self, board: Board, number: int, role: Role) -> None:
        self.number = number
        self.role = role
        self.pid = 0
        self._board = board
        board.clear(self._place)

    @property
    def _place(self) -> int:
        return 1 + self.number % (MEMBERS - 1)

    def _get(self, word: int) -> int:
        return self._board[self._place, word]

    def _set(self, word: int, value: int) -> None:
        self._board[self._place, word] = value

    @property
    def steps(self) -> int:
        """How often its call returned."""
        return self._get(self.STEPS)

    def step(self) -> None:
        self._set(self.STEPS, self.steps + 1)

    @property
    def state(self) -> int:
        """What it is about to do, or does; the roles say what the numbers mean."""
        return self._get(self.STATE)

    @state.setter
    def state(self, state: int) -> None:
        self._set(self.STATE, state)

    @property
    def value(self) -> int:
        return self._get(self.VALUE)

    @value.setter
    def value(self, value: int) -> None:
        self._set(self.VALUE, value)

    def sleeps(self) -> bool:
        """Whether it sleeps in the kernel."""
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        return stat[stat.rindex(")") + 2] == "S"

    def __repr__(self) -> str:
        return f"{self.role.__name__} {self.number} (pid {self.pid}, {self.steps} steps)"


Role = Callable[[Member], None]


class Crew:
    """The members that live. A role runs until its process is killed: it does not return."""

    def __init__(self) -> None:
        self.board = Board()
        self.members: list[Member] = []
        self.killed = 0
        self._count = 0
        self._libc = ctypes.CDLL(None)

    def start(self, role: Role) -> Member:
        member = Member(self.board, self._count, role)
        self._count += 1
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        member.pid = os.fork()
        if not member.pid:
            self._live(member, parent)
        self.members.append(member)
        return member

    def _live(self, member: Member, parent: int) -> None:
        try:
            self._libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() == parent:
                member.pid = os.getpid()
                member.role(member)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(1)

    def kill(self, member: Member) -> None:
        """Kills and reaps it. A member that ended by itself is a failure."""
        os.kill(member.pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(member.pid, 0)[1])
        self.members.remove(member)
        self.killed += 1
        if code != -signal.SIGKILL:
            raise Failure(f"{member} ended with {code}")

    def stop(self, member: Member) -> None:
        os.kill(member.pid, signal.SIGSTOP)

    def resume(self, member: Member) -> None:
        os.kill(member.pid, signal.SIGCONT)

    def close(self) -> None:
        for member in [*self.members]:
            with contextlib.suppress(Failure):
                self.kill(member)
        self.board.close()
