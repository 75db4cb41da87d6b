"""The programs of scripts/, each run by an interpreter of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from . import program

_SCRIPTS = Path(__file__).with_name("scripts")


def run(script: str, *args: str) -> str:
    """What it prints."""
    return program.output(sys.executable, _SCRIPTS / script, *args)
