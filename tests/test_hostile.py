"""Rubbish in shared memory raises exceptions; it does not crash or hang a process."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

RUBBISH = Path(__file__).parent / "scripts" / "rubbish.py"
ROUNDS = int(os.environ.get("GOPROCESSING_RUBBISH_ROUNDS", "15"))


def test_random_words() -> None:
    seed = random.randrange(2**32)
    result = subprocess.run(
        [sys.executable, "-P", RUBBISH, str(seed), str(ROUNDS)],
        capture_output=True,
        text=True,
        timeout=110,
    )
    last = result.stderr.splitlines()[-40:]
    assert result.returncode == 0, (result.returncode, *last)
    assert "OSError" in result.stdout.split()
