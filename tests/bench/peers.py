"""Whose figures stand side by side, and their queues."""

from __future__ import annotations

import importlib.util
import multiprocessing
from typing import Any

import goprocessing

STANDARD = "multiprocessing"
FIFO = "faster-fifo"
OURS = "goprocessing"
LIBRARIES = (STANDARD, FIFO, OURS)

# The limits: what no library can be faster than.
PICKLE = "pickle"
MEMCPY = "memcpy"
SPINNING = "C spinning"

MIB = 1 << 20


def context(peer: str) -> Any:
    """The fork context; faster-fifo leaves the processes to the standard library."""
    return (goprocessing if peer == OURS else multiprocessing).get_context("fork")


def has_fifo() -> bool:
    return importlib.util.find_spec("faster_fifo") is not None


def queue(peer: str, maxsize: int = 0, max_bytes: int = 4 * MIB) -> Any:
    """A queue of at most maxsize items, or, of faster-fifo, max_bytes bytes."""
    if peer == FIFO:
        from faster_fifo import Queue

        return Queue(max_size_bytes=max_bytes)
    return context(peer).Queue(maxsize)
