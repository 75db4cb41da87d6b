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
    races: frozenset[str]
    """The patterns of those that pass at times."""

    @classmethod
    def load(cls, mode: str) -> Exceptions:
        lines = [line.split(maxsplit=1) for line in LIST.read_text().splitlines()]
        marked = {pattern: reason for pattern, reason in filter(None, lines) if pattern != "#"}
        if len(marked) > MOST:
            raise ValueError(f"{LIST.name} has {len(marked)} lines; {MOST} are allowed")
        reasons = {pattern.removeprefix("~"): reason for pattern, reason in marked.items()}
        races = frozenset(pattern[1:] for pattern in marked if pattern.startswith("~"))
        return cls(mode, reasons, races)

    def _pattern(self, cls: ShippedClass, test: str) -> str | None:
        name = f"{self.mode}:{cls.full_name(test)}"
        return next((p for p in self.reasons if fnmatch.fnmatchcase(name, p)), None)

    def reason(self, cls: ShippedClass, test: str) -> str | None:
        """Why a test may fail; None if it may not."""
        pattern = self._pattern(cls, test)
        return None if pattern is None else self.reasons[pattern]

    def fails(self, cls: ShippedClass, test: str) -> bool:
        """Whether a test cannot but fail."""
        pattern = self._pattern(cls, test)
        return pattern is not None and pattern not in self.races
