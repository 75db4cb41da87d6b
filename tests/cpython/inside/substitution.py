"""What an interpreter under test does when it imports multiprocessing: see `environment`."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["apply", "in_force"]


class _AtImport:
    """A finder of multiprocessing that has its substitution done once it is executed.

    At the start of the interpreter would be too early: there are tests of what
    happens when a program imports multiprocessing.
    """

    def __init__(self, implementation: str) -> None:
        self._implementation = implementation

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name != "multiprocessing":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.loader is not None
        execute = spec.loader.exec_module

        def execute_and_substitute(module: ModuleType) -> None:
            execute(module)
            _substitute(self._implementation)

        spec.loader.exec_module = execute_and_substitute  # type: ignore[method-assign]
        return spec


def _substitute(implementation: str) -> None:
    import goprocessing

    if implementation.startswith("broken"):
        _spoil_queue(in_child=implementation == "broken-child")
    # A spawned process is left to what install() did in its parent.
    if "--multiprocessing-fork" not in sys.orig_argv:
        goprocessing.install()


def _spoil_queue(*, in_child: bool) -> None:
    """Breaks Queue.put, in child processes or in all others: it puts something else."""
    import multiprocessing

    from goprocessing import queues

    put = queues.Queue.put

    def spoiled(self: Any, obj: Any, *args: Any, **kwargs: Any) -> None:
        is_child = multiprocessing.parent_process() is not None
        put(self, ["spoiled"] if is_child == in_child else obj, *args, **kwargs)

    queues.Queue.put = spoiled  # type: ignore[method-assign]


def apply(implementation: str) -> None:
    """Prepares for "ours", or for "broken-parent" or "broken-child" of it."""
    sys.meta_path.insert(0, _AtImport(implementation))


def in_force() -> bool:
    """Whether the substitution was done; does not start the engine."""
    import multiprocessing.connection

    import goprocessing.connection

    return multiprocessing.connection.Pipe is goprocessing.connection.Pipe
