"""What is run of a package."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Tests(enum.Enum):
    """Where the tests of a program are."""

    SDIST = "files of its source distribution"
    PACKAGE = "modules of the installed package"
    PORTED = "files of the tests of `multiprocess`, with another import"
    EXAMPLE = "files of tests/programs/examples, after its documentation"


@dataclass(frozen=True)
class Program:
    name: str
    # Requirements, pinned as far as the result depends on them; first the program's own.
    packages: tuple[str, ...]
    where: Tests
    # Each is run in a process of its own, with a time limit of its own in seconds.
    tests: tuple[str, ...]
    limit: float = 600
    options: tuple[str, ...] = ()
    # Patterns (fnmatch) of tests that may fail with goprocessing only, and why.
    excused: Mapping[str, str] = field(default_factory=dict)
