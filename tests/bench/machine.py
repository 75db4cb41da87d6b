"""What the figures depend on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import goprocessing


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def facts() -> str:
    usable = len(os.sched_getaffinity(0))
    busy = os.getloadavg()[0]
    return (
        f"{_cpu()}, {usable} of {os.cpu_count()} CPUs usable, load {busy:.1f};"
        f" Linux {platform.release()}; CPython {platform.python_version()};"
        f" goprocessing {goprocessing.__version__}"
    )
