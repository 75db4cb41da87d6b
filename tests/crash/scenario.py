"""What is common to the scenarios: who is killed when, and that all others go on."""

from __future__ import annotations

import gc
import os
import random
import time
from collections.abc import Iterator, Sequence

from .crew import LIMIT, Crew, Failure, Member, Role

MOST = 0.015  # seconds from one kill to the next, besides what the others need for a step


class Scenario:
    """Processes around one object, and this process, which uses it too and is not killed."""

    def __init__(self, random: random.Random) -> None:
        self.random = random
        self.crew = Crew()

    def roles(self) -> Sequence[Role]:
        """What each member does."""
        raise NotImplementedError

    def live(self) -> None:
        """Does this process's part for about a millisecond."""
        raise NotImplementedError

    def died(self, member: Member) -> None:
        """Does what is the program's to do for a member that was killed."""

    def may_wait(self, member: Member) -> bool:
        """Whether it need not make a step until finish, to which it lives."""
        return False

    def finish(self) -> None:
        """Checks what must hold when the members were killed."""

    def run(self, kills: int) -> Iterator[int]:
        """Yields after each kill how many there were."""
        try:
            for role in self.roles():
                self.crew.start(role)
            self._await_all()
            for done in range(1, kills + 1):
                self._kill_one()
                self._await_all()
                yield done
            doomed = [m for m in self.crew.members if not self.may_wait(m)]
            self.random.shuffle(doomed)
            for member in doomed:
                self._kill(member)
            self.finish()
        finally:
            self.crew.close()

    def _kill_one(self) -> None:
        self._live_for(self.random.uniform(0, MOST))
        victim = self.random.choice(self.crew.members)
        if self.random.random() < 0.2:
            self.crew.stop(victim)
            self._live_for(self.random.uniform(0, MOST))
            if victim not in self.crew.members:
                return  # it had to start again
            if self.random.random() < 0.5:
                self.crew.resume(victim)
        self._kill(victim)
        self.crew.start(victim.role)

    def _kill(self, victim: Member) -> None:
        self.crew.kill(victim)
        self.died(victim)

    def _live_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.live()

    def _await_all(self) -> None:
        self.await_steps([m for m in self.crew.members if not self.may_wait(m)])

    def await_steps(self, members: Sequence[Member]) -> None:
        """Returns once each that lives has made a step from now on."""
        before = {member: member.steps for member in members}
        deadline = time.monotonic() + LIMIT
        while waiting := [m for m in self.crew.members if m.steps == before.get(m)]:
            self.live()
            for member in {*waiting} & {*self.crew.members}:
                if os.waitid(os.P_PID, member.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                    self.crew.kill(member)
            if time.monotonic() > deadline:
                raise Failure(f"after {self.crew.killed} kills hang: {waiting}")


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))
