"""What an interpreter under test does at its imports: see `environment`.

Not at its start, which would be too early: some tests look at what happens when a
program imports multiprocessing.
"""

from __future__ import annotations

import builtins
import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeAlias

__all__ = ["apply", "in_force"]

# What imports multiprocessing to test it.
TESTS = (
    "test._test_multiprocessing",
    "test.test_concurrent_futures",
    "test.mp_",
    "tests.cpython.inside.probe",
)


Execute: TypeAlias = Callable[[ModuleType], None]


class _Finder:
    """Wraps how modules are executed that have a name of some beginnings."""

    def __init__(self, wrap: Callable[[Execute, ModuleType], None], *names: str) -> None:
        self._wrap = wrap
        self._names = names
        self._searching = False

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if self._searching or not name.startswith(self._names):
            return None
        self._searching = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._searching = False
        if spec is not None and spec.loader is not None:
            execute = partial(self._wrap, spec.loader.exec_module)
            spec.loader.exec_module = execute  # type: ignore[method-assign]
        return spec


def _install(execute: Execute, module: ModuleType) -> None:
    execute(module)
    # A spawned process is left to what install() did in its parent.
    if module.__name__ == "multiprocessing" and "--multiprocessing-fork" not in sys.orig_argv:
        import goprocessing

        goprocessing.install()


def _import_ours(execute: Execute, module: ModuleType) -> None:
    """As if the module said goprocessing wherever it says multiprocessing in an import."""

    def import_ours(name: str, *args: Any, **kwargs: Any) -> ModuleType:
        top, dot, rest = name.partition(".")
        if top == "multiprocessing":
            name = f"goprocessing{dot}{rest}"
        return builtins.__import__(name, *args, **kwargs)

    vars(module)["__builtins__"] = {**vars(builtins), "__import__": import_ours}
    execute(module)


def _break(execute: Execute, module: ModuleType, *, in_child: bool) -> None:
    """Breaks Queue.put, in child processes or in all others: it puts something else."""
    execute(module)
    from multiprocessing import parent_process

    put = module.Queue.put

    def spoil(self: Any, obj: Any, *args: Any, **kwargs: Any) -> None:
        is_child = parent_process() is not None
        put(self, ["spoiled"] if is_child == in_child else obj, *args, **kwargs)

    module.Queue.put = spoil


def apply(mode: str, implementation: str) -> None:
    """Has multiprocessing substituted, by "install" or by "import"; whole or broken."""
    if mode == "install":
        sys.meta_path.insert(0, _Finder(_install, "multiprocessing"))
    else:
        sys.meta_path.insert(0, _Finder(_import_ours, *TESTS))
    if implementation != "ours":
        spoil = partial(_break, in_child=implementation == "broken-child")
        sys.meta_path.insert(0, _Finder(spoil, "goprocessing.queues"))


def in_force() -> bool:
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)
