"""Starting a process by fork.

CPython 3.12 and later warn in `os.fork` when the parent has several threads,
because the child might find locks held by threads that it does not have. The
engine's threads hold no lock of the child's: it starts an engine of its own.

Only a fork server in which a preloaded module made a lock, say, is left to warn,
once and where warnings are shown: it forks in the standard library's code, which
cannot tell the engine's threads from the module's own.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from multiprocessing import popen_fork

from . import _engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from typing import Any

__all__ = ["Popen"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(popen_fork, name)


def _os_threads() -> int:
    """Threads of this process as the kernel counts them; 0 when it does not tell."""
    try:
        with open("/proc/self/status", "rb") as status:
            for line in status:
                if line.startswith(b"Threads:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def _only_engine_threads() -> bool:
    """Whether all threads but the calling one are the engine's, and there are some."""
    # The engine may start or end a thread at any moment: the larger of both
    # counts covers one that appeared in between.
    before = _engine.engine_threads()
    if not before:
        return False
    threads = _os_threads()
    return threads - max(before, _engine.engine_threads()) <= 1


class _Child:
    """A process object that undoes in the child what the parent did for the fork."""

    def __init__(self, process_obj: BaseProcess, undo: contextlib.ExitStack) -> None:
        self._process_obj = process_obj
        self._undo = undo

    def _bootstrap(self, parent_sentinel: int) -> int:
        self._undo.close()
        code: int = self._process_obj._bootstrap(  # type: ignore[attr-defined]
            parent_sentinel=parent_sentinel
        )
        return code


class Popen(popen_fork.Popen):
    def _launch(self, process_obj: BaseProcess) -> None:
        with contextlib.ExitStack() as stack:
            launched: BaseProcess | _Child = process_obj
            if sys.version_info >= (3, 12) and _only_engine_threads():
                stack.enter_context(warnings.catch_warnings())
                warnings.filterwarnings(
                    "ignore", "This process .* is multi-threaded", DeprecationWarning
                )
                launched = _Child(process_obj, stack)
            super()._launch(launched)  # type: ignore[misc]
