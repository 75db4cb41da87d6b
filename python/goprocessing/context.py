"""The start methods: the standard library's contexts with this package's primitives.

Which start method is in force is kept where the standard library keeps it, in
`multiprocessing.context._default_context`: a child process is told there
(`_force_start_method`), and a program that imports both modules sees one state.
"""

from __future__ import annotations

import multiprocessing.context as context
import sys
from multiprocessing.context import AuthenticationError as AuthenticationError
from multiprocessing.context import BufferTooShort as BufferTooShort
from multiprocessing.context import ForkServerProcess as ForkServerProcess
from multiprocessing.context import ProcessError as ProcessError
from multiprocessing.context import SpawnProcess as SpawnProcess
from multiprocessing.context import TimeoutError as TimeoutError
from multiprocessing.context import assert_spawning as assert_spawning
from multiprocessing.context import get_spawning_popen as get_spawning_popen
from multiprocessing.context import set_spawning_popen as set_spawning_popen
from multiprocessing.process import BaseProcess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from multiprocessing import popen_fork
    from typing import Any, ClassVar, Literal, overload

    from ._codecs import CodecName
    from .connection import PipeEnd
    from .managers import SyncManager
    from .pool import Pool
    from .queues import JoinableQueue, Queue, SimpleQueue
    from .synchronize import Barrier, BoundedSemaphore, Condition, Event, Lock, RLock, Semaphore

__all__: tuple[str, ...] = ()

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        return getattr(context, name)


def _expect_executor() -> None:
    # Which start method its context has is what ProcessPoolExecutor asks before
    # it makes the queue for its calls.
    if "concurrent.futures.process" in sys.modules:
        from . import futures as futures


class BaseContext(context.BaseContext):
    """What the contexts of this package share: the factories of its own objects."""

    Process: ClassVar[type[BaseProcess]]

    def Queue(self, maxsize: int = 0, *, codec: CodecName | None = None) -> Queue[Any]:
        """Returns a queue object"""
        from .queues import Queue

        return Queue(maxsize, codec=codec, ctx=self.get_context())

    def JoinableQueue(
        self, maxsize: int = 0, *, redeliver: bool = False, codec: CodecName | None = None
    ) -> JoinableQueue[Any]:
        """Returns a queue object that counts unfinished tasks"""
        from .queues import JoinableQueue

        return JoinableQueue(maxsize, redeliver=redeliver, codec=codec, ctx=self.get_context())

    def SimpleQueue(self) -> SimpleQueue[Any]:
        """Returns a queue object that is a pipe"""
        from .queues import SimpleQueue

        return SimpleQueue(ctx=self.get_context())

    def Pipe(self, duplex: bool = True) -> tuple[PipeEnd, PipeEnd]:
        """Returns two connection objects connected by a pipe"""
        from .connection import Pipe

        return Pipe(duplex)

    def Lock(self, *, robust: bool = False) -> Lock:
        """Returns a non-recursive lock object; a robust one outlives its holder"""
        from .synchronize import Lock, RobustLock

        return (RobustLock if robust else Lock)(ctx=self.get_context())

    def RLock(self, *, robust: bool = False) -> RLock:
        """Returns a recursive lock object; a robust one outlives its holder"""
        from .synchronize import RLock, RobustRLock

        return (RobustRLock if robust else RLock)(ctx=self.get_context())

    def Condition(self, lock: Any = None) -> Condition:
        """Returns a condition object"""
        from .synchronize import Condition

        return Condition(lock, ctx=self.get_context())

    def Barrier(
        self,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
    ) -> Barrier:
        """Returns a barrier object"""
        from .synchronize import Barrier

        return Barrier(parties, action, timeout, ctx=self.get_context())

    def Semaphore(self, value: int = 1, *, robust: bool = False) -> Semaphore:
        """Returns a semaphore object; the permits of a robust one outlive their holders"""
        from .synchronize import RobustSemaphore, Semaphore

        return (RobustSemaphore if robust else Semaphore)(value, ctx=self.get_context())

    def BoundedSemaphore(self, value: int = 1, *, robust: bool = False) -> BoundedSemaphore:
        """Returns a bounded semaphore object; the permits of a robust one outlive their holders"""
        from .synchronize import BoundedSemaphore, RobustBoundedSemaphore

        cls = RobustBoundedSemaphore if robust else BoundedSemaphore
        return cls(value, ctx=self.get_context())

    def Event(self) -> Event:
        """Returns an event object"""
        from .synchronize import Event

        return Event(ctx=self.get_context())

    def Manager(self) -> SyncManager:
        """Returns a manager, its process started"""
        from .managers import SyncManager

        manager = SyncManager(ctx=self.get_context())
        manager.start()
        return manager

    def Pool(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
    ) -> Pool:
        """Returns a pool of worker processes"""
        from .pool import Pool

        return Pool(processes, initializer, initargs, maxtasksperchild, self.get_context())

    if not TYPE_CHECKING:

        def get_start_method(self, allow_none: bool = False) -> str | None:
            """Returns the name of the start method"""
            _expect_executor()
            return super().get_start_method(allow_none)

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def get_context(self, method: Literal["fork"]) -> ForkContext: ...
        @overload
        def get_context(self, method: Literal["spawn"]) -> SpawnContext: ...
        @overload
        def get_context(self, method: Literal["forkserver"]) -> ForkServerContext: ...
        @overload
        def get_context(self, method: str | None = None) -> BaseContext: ...

    def get_context(self, method: str | None = None) -> BaseContext:
        """Returns the context of a start method, by default of the one in force"""
        if method is None:
            return self
        try:
            ctx = _concrete_contexts[method]
        except KeyError:
            raise ValueError(f"cannot find context for {method!r}") from None
        ctx._check_available()
        return ctx


class ForkProcess(context.ForkProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> popen_fork.Popen:
        from .popen_fork import Popen

        return Popen(process_obj)


class ForkContext(BaseContext, context.ForkContext):
    Process = ForkProcess


class SpawnContext(BaseContext, context.SpawnContext):
    Process = SpawnProcess


class ForkServerContext(BaseContext, context.ForkServerContext):
    Process = ForkServerProcess


_concrete_contexts: dict[str, BaseContext] = {
    "fork": ForkContext(),
    "spawn": SpawnContext(),
    "forkserver": ForkServerContext(),
}


class Process(context.Process):
    """A process started by the start method in force"""

    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:
        ctx: Any = _default_context.get_context()
        return ctx.Process._Popen(process_obj)


class DefaultContext(BaseContext, context.DefaultContext):
    """The start method in force: a view of the standard library's state"""

    Process = Process

    def __init__(self) -> None:
        pass

    if not TYPE_CHECKING:

        def get_context(self, method: str | None = None) -> BaseContext:
            """Returns the context of a start method, by default of the one in force"""
            return super().get_context(method or self.get_start_method())

    def set_start_method(self, method: str | None, force: bool = False) -> None:
        """Chooses the start method; at most once, unless forced"""
        context._default_context.set_start_method(method, force)

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def get_start_method(self, allow_none: Literal[False] = False) -> str: ...
        @overload
        def get_start_method(self, allow_none: bool) -> str | None: ...

    def get_start_method(self, allow_none: bool = False) -> str | None:
        """Returns the name of the start method in force"""
        _expect_executor()
        return context._default_context.get_start_method(allow_none)


_default_context = DefaultContext()
