"""A program and all processes it starts, none of which outlives the call."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from pathlib import Path

from .crew import LIMIT


def output(*command: str | Path) -> str:
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as program:
        try:
            out, err = program.communicate(timeout=LIMIT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
    if program.returncode:
        raise RuntimeError(f"{shlex.join(map(str, command))}: {program.returncode}\n{err}")
    return out
