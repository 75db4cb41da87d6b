"""Named blocks of shared memory, and lists in them."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest


def fill(library: str, block: str, numbers: str) -> None:
    shared_memory = importlib.import_module(library)
    attached = shared_memory.SharedMemory(name=block)
    attached.buf[:4] = bytearray((1, 2, 3, 4))
    attached.close()
    shared = shared_memory.ShareableList(name=numbers)
    shared[1] = shared[1] * 2
    shared.shm.close()


def test_filled_by_a_child(module: ModuleType, ctx: Any, start: Any) -> None:
    name = f"{module.__name__}.shared_memory"
    shared_memory = importlib.import_module(name)
    block = shared_memory.SharedMemory(create=True, size=16)
    shared = shared_memory.ShareableList(["a string", 21.5, True, None, b"bytes"])
    try:
        child = start(fill, name, block.name, shared.shm.name)
        child.join()
        assert child.exitcode == 0
        assert block.buf[:4].tobytes() == b"\1\2\3\4"
        assert list(shared) == ["a string", 43.0, True, None, b"bytes"]
        assert shared.index(43.0) == 1
        with pytest.raises(IndexError):
            shared[5]
    finally:
        for memory in block, shared.shm:
            memory.close()
            memory.unlink()
    with pytest.raises(FileNotFoundError):
        shared_memory.SharedMemory(name=block.name)
