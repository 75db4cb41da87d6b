"""Running programs that import the standard library's `multiprocessing`.

The standard library's factories (`multiprocessing.Queue`, `Context.Lock`, ...)
look their classes up in its submodules at each call. So it is enough to put
ours there, and it does not matter whether a program has imported a factory
already; only a class of the submodules that it has subclassed before stays the
standard library's.
"""

from __future__ import annotations

# Its pool's queue relies on attributes that get lost when it is pickled, and on
# the pipe: it keeps the standard library's Queue, over our primitives.
import concurrent.futures.process  # noqa: F401
from multiprocessing import connection, context, queues, spawn, synchronize
from typing import Any

from . import connection as our_connection
from . import queues as our_queues
from . import synchronize as our_synchronize
from .context import concrete_contexts

__all__ = ["install"]

_MARK = "goprocessing"


class _Install:
    """Unpickled, calls install()."""

    def __reduce__(self) -> tuple[Any, ...]:
        return install, ()


def _substitute_classes() -> None:
    queues.Queue = our_queues.Queue  # type: ignore[misc]
    queues.JoinableQueue = our_queues.JoinableQueue  # type: ignore[misc]
    connection.Pipe = our_connection.Pipe
    synchronize.Lock = our_synchronize.Lock  # type: ignore[misc]
    synchronize.Semaphore = our_synchronize.Semaphore  # type: ignore[misc]
    synchronize.BoundedSemaphore = our_synchronize.BoundedSemaphore  # type: ignore[misc]
    synchronize.Event = our_synchronize.Event  # type: ignore[misc]


def _substitute_contexts() -> None:
    default: Any = context._default_context
    for attribute in "_default_context", "_actual_context":
        chosen = getattr(default, attribute)
        if chosen is not None:
            setattr(default, attribute, concrete_contexts.get(chosen._name, chosen))
    vars(context)["_concrete_contexts"].update(concrete_contexts)


def _substitute_in_children() -> None:
    """A spawned process unpickles its preparation data before anything of the program."""
    original = spawn.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        return {_MARK: _Install(), **original(name)}

    spawn.get_preparation_data = get_preparation_data


def install() -> None:
    """Makes `multiprocessing` use this package, here and in processes started from here.

    To be called before the program subclasses anything of `multiprocessing`.
    """
    if queues.Queue is our_queues.Queue:
        return
    _substitute_classes()
    _substitute_contexts()
    _substitute_in_children()
