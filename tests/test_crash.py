"""A few kills of each scenario of tests/crash: `make crash-python` is the long run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .crash.__main__ import SCENARIOS

KILLS = 12


@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_random(name: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.crash", "--kills", str(KILLS), name],
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=110,
    )
    assert result.returncode == 0, result.stdout
