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

import importlib.util
import multiprocessing.context as context
import sys
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
_POOL = "multiprocessing.pool"
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


def _substitute_pool(module: Any) -> None:
    theirs = module.Pool

    def __new__(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if cls is theirs:
            from .pool import Pool

            cls = Pool
        return object.__new__(cls)

    __new__.__wrapped__ = theirs.__init__  # type: ignore[attr-defined]
    theirs.__new__ = __new__


class _PoolLoader:
    """Loads `multiprocessing.pool`, and substitutes what is in it."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: Any) -> None:
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _substitute_pool(module)


class _PoolFinder:
    """Finds `multiprocessing.pool`, which takes long to import, when a program does."""

    @classmethod
    def find_spec(cls, name: str, *_: object) -> Any:
        if name != _POOL:
            return None
        sys.meta_path.remove(cls)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            spec.loader = _PoolLoader(spec.loader)  # type: ignore[assignment]
        return spec


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
    if _POOL in sys.modules:
        _substitute_pool(sys.modules[_POOL])
    else:
        sys.meta_path.insert(0, _PoolFinder)
    for theirs, ours, names in _FUNCTIONS:
        for name in names:
            setattr(theirs, name, getattr(ours, name))
    context.ForkProcess._Popen = staticmethod(ForkProcess._Popen)  # type: ignore[method-assign]
    spawn.get_preparation_data = _get_preparation_data
