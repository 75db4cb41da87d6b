"""The tests that need not pass here, although they pass with the standard library."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path

from .results import ShippedClass

__all__ = ["Exceptions"]

LIST = Path(__file__).with_name("exceptions.txt")
MOST = 15


@dataclass(frozen=True)
class Exceptions:
    mode: str
    reasons: dict[str, str]
    """By pattern of "mode:start method/class.test"."""

    @classmethod
    def load(cls, mode: str) -> Exceptions:
        lines = [line.split(maxsplit=1) for line in LIST.read_text().splitlines()]
        reasons = {pattern: reason for pattern, reason in filter(None, lines) if pattern != "#"}
        if len(reasons) > MOST:
            raise ValueError(f"{LIST.name} has {len(reasons)} lines; {MOST} are allowed")
        return cls(mode, reasons)

    def reason(self, cls: ShippedClass, test: str) -> str | None:
        name = f"{self.mode}:{cls.full_name(test)}"
        for pattern, reason in self.reasons.items():
            if fnmatch.fnmatchcase(name, pattern):
                return reason
        return None
