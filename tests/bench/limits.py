"""What bounds the figures: pickle alone, memcpy alone, two processes that spin on a word."""

from __future__ import annotations

import ctypes
import pickle
import time
from functools import cache
from pathlib import Path
from typing import Any

from . import crew, program, toolchain


def pickling(obj: Any, n: int) -> float:
    start = time.perf_counter()
    for _ in range(n):
        pickle.loads(pickle.dumps(obj))
    return time.perf_counter() - start


@cache
def _buffers(size: int) -> tuple[Any, Any]:
    """Two, all of whose pages were touched."""
    source, target = ctypes.create_string_buffer(size), ctypes.create_string_buffer(size)
    ctypes.memset(source, 1, size)
    ctypes.memset(target, 1, size)
    return source, target


def copying(size: int, n: int) -> float:
    source, target = _buffers(size)
    start = time.perf_counter()
    for _ in range(n):
        ctypes.memmove(target, source, size)
    return time.perf_counter() - start


@cache
def _spin() -> Path:
    return toolchain.compile_c("spin")


def spinning(n: int) -> float:
    """n round trips between two C processes that spin, on a CPU each."""
    pair = [str(cpu) for one in crew.cpus(2) for cpu in one]
    return float(program.output(_spin(), str(n), *pair))
