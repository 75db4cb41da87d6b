"""Running programs that import the standard library's `multiprocessing`.

The classes of the standard library remain what programs find there, to subclass
and to ask `isinstance` for. But who calls one, as the factories
(`multiprocessing.Queue`, `Context.Lock`, ...) do, gets an object of this
package's subclass. So it does not matter what a program has imported, made or
subclassed before; and a class of the program's that overrides private parts of
the standard library's, as that of `ProcessPoolExecutor` does, has them, over
this package's pipes and locks.
"""

from __future__ import annotations

import multiprocessing.context as context
from multiprocessing import connection, queues, reduction, spawn, synchronize

from . import connection as our_connection
from . import queues as our_queues
from . import reduction as our_reduction
from . import synchronize as our_synchronize
from .context import ForkProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["install"]

_CLASSES: tuple[tuple[type, type], ...] = (
    (queues.JoinableQueue, our_queues.JoinableQueue),
    (queues.Queue, our_queues.Queue),
    (queues.SimpleQueue, our_queues.SimpleQueue),
    (synchronize.Barrier, our_synchronize.Barrier),
    (synchronize.BoundedSemaphore, our_synchronize.BoundedSemaphore),
    (synchronize.Condition, our_synchronize.Condition),
    (synchronize.Event, our_synchronize.Event),
    (synchronize.Lock, our_synchronize.Lock),
    (synchronize.RLock, our_synchronize.RLock),
    (synchronize.Semaphore, our_synchronize.Semaphore),
)

_FUNCTIONS: tuple[tuple[Any, Any, tuple[str, ...]], ...] = (
    (connection, our_connection, ("Pipe", "wait")),
    (reduction, our_reduction, ("recv_handle", "send_handle")),
)
_MARK = "goprocessing"

_original_preparation_data = spawn.get_preparation_data
_installed = False


class _Install:
    """Unpickled, calls install()."""

    def __reduce__(self) -> tuple[Any, ...]:
        return install, ()


def _substitute(theirs: Any, ours: Any) -> None:
    def __new__(cls: Any, *args: Any, **kwargs: Any) -> Any:
        # `ctx` is what every constructor requires; pickle and copy make an
        # object without it, for a state that was theirs.
        if cls is theirs and "ctx" in kwargs:
            return ours.__new__(ours)
        inherited = super(theirs, cls).__new__
        return inherited(cls) if inherited is object.__new__ else inherited(cls, *args, **kwargs)

    # For inspect.signature.
    __new__.__wrapped__ = theirs.__init__  # type: ignore[attr-defined]
    theirs.__new__ = __new__


def _get_preparation_data(name: str) -> dict[str, Any]:
    # A spawned process unpickles it before anything of the program.
    return {_MARK: _Install(), **_original_preparation_data(name)}


def install() -> None:
    """Makes `multiprocessing` use this package, here and in processes started from here.

    What the program has imported or made before remains usable.
    """
    global _installed
    if _installed:
        return
    _installed = True
    for theirs, ours in _CLASSES:
        _substitute(theirs, ours)
    for theirs, ours, names in _FUNCTIONS:
        for name in names:
            setattr(theirs, name, getattr(ours, name))
    context.ForkProcess._Popen = staticmethod(ForkProcess._Popen)  # type: ignore[method-assign]
    spawn.get_preparation_data = _get_preparation_data
