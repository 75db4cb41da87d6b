"""The queue by which `ProcessPoolExecutor` hands calls to its processes.

The executor makes it of a class of its own, which is derived from the standard
library's queue, whatever context it is to use. In one of this package's contexts
it gets that class over this package's queue, where no feeder thread stands between
the thread that has a call and the process that waits for it.
"""

from __future__ import annotations

from concurrent.futures import process
from typing import Any

from . import _engine
from .context import BaseContext
from .queues import Queue

__all__: tuple[str, ...] = ()

_SafeQueue: Any = process._SafeQueue


class CallQueue(_SafeQueue, Queue[Any]):  # type: ignore[misc]
    """What the executor's class does about a call that cannot be pickled, on this queue"""

    # The attributes are of use to the process that puts.
    def __getstate__(self) -> Any:
        return {}


def _new(cls: Any, *args: Any, ctx: Any, **kwargs: Any) -> Any:
    if cls is _SafeQueue and isinstance(getattr(ctx, "get_context", object)(), BaseContext):
        return _engine.Queue.__new__(CallQueue)
    return object.__new__(cls)


_SafeQueue.__new__ = _new
