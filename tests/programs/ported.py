"""The test programs of `multiprocess`, a fork of `multiprocessing`, with another import.

They are CPython's own tests; here they are run as a program that was moved to
this package by its import, not under the substitution.
"""

from __future__ import annotations

import re
from pathlib import Path

NAME = "ported"


def copy(packages: Path, module: str, target: Path) -> None:
    """Copies the tests from among packages into target, for `module` as their multiprocessing."""
    replacements = {
        "multiprocess.tests": NAME,
        "_multiprocess": "_multiprocessing",
        "multiprocess": module,
    }
    words = re.compile(rf"\b({'|'.join(map(re.escape, replacements))})\b")
    source = packages / "multiprocess" / "tests"
    for file in source.rglob("*.py"):
        changed = target / NAME / file.relative_to(source)
        changed.parent.mkdir(parents=True, exist_ok=True)
        changed.write_text(words.sub(lambda match: replacements[match[1]], file.read_text()))
