"""What the figures depend on."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import goprocessing

_PEERS = ("faster-fifo", "numpy")


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def facts() -> dict[str, str]:
    found = {
        "CPU": _cpu(),
        "CPUs": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} CPUs",
        "kernel": f"Linux {platform.release()}",
        "Python": f"CPython {platform.python_version()}",
        "goprocessing": goprocessing.__version__,
    }
    for peer in _PEERS:
        try:
            found[peer] = metadata.version(peer)
        except metadata.PackageNotFoundError:
            found[peer] = "not installed"
    return found


def sentence(facts: dict[str, str]) -> str:
    peers = ", ".join(f"{peer} {facts[peer]}" for peer in _PEERS)
    return f"{facts['CPU']}, {facts['CPUs']}, {facts['kernel']}, {facts['Python']}, {peers}"
