"""The API of the standard library's `multiprocessing`, on an engine over shared memory.

    from goprocessing import JoinableQueue, Process

Everything that `multiprocessing` and its submodules hold is here under the same
name. Queues, pipes, locks and their kin are this package's own and live in
shared memory; what is built of them (`Pool`, `Manager`, `Value`, ...) is the
standard library's code.

`python -m goprocessing script.py` runs a script that says `import
multiprocessing` on this engine; `install()` does the same from inside a
program.
"""

from . import context as context
from ._version import __version__ as __version__
from .context import AuthenticationError as AuthenticationError
from .context import BufferTooShort as BufferTooShort
from .context import Process as Process
from .context import ProcessError as ProcessError
from .context import TimeoutError as TimeoutError
from .context import _default_context as _default

TYPE_CHECKING = False  # to import typing takes as long as to import all else
if TYPE_CHECKING:
    from multiprocessing import reduction as reducer

    from . import process as process
    from . import reduction as reduction
    from .named import names as names
    from .named import open_barrier as open_barrier
    from .named import open_bounded_semaphore as open_bounded_semaphore
    from .named import open_condition as open_condition
    from .named import open_event as open_event
    from .named import open_joinable_queue as open_joinable_queue
    from .named import open_lock as open_lock
    from .named import open_pipe as open_pipe
    from .named import open_queue as open_queue
    from .named import open_rlock as open_rlock
    from .named import open_semaphore as open_semaphore
    from .named import unlink as unlink

    # As type checkers see `multiprocessing`: programs write Queue[int].
    from .queues import JoinableQueue as JoinableQueue
    from .queues import Queue as Queue
    from .queues import ShutDown as ShutDown
    from .queues import SimpleQueue as SimpleQueue
    from .substitution import install as install
    from .synchronize import OwnerDied as OwnerDied
else:
    del TYPE_CHECKING
    reducer = _default.reducer
    JoinableQueue = _default.JoinableQueue
    Queue = _default.Queue
    SimpleQueue = _default.SimpleQueue

    _SUBMODULES = frozenset(
        (
            "connection",
            "dummy",
            "forkserver",
            "heap",
            "managers",
            "pool",
            "popen_fork",
            "popen_forkserver",
            "popen_spawn_posix",
            "process",
            "queues",
            "reduction",
            "resource_sharer",
            "resource_tracker",
            "shared_memory",
            "sharedctypes",
            "spawn",
            "synchronize",
            "util",
        )
    )

    # What is not in `multiprocessing`, by where it is: to be imported when it is used.
    _ADDED = {
        "OwnerDied": ".synchronize",
        "ShutDown": ".queues",
        "install": ".substitution",
        "names": ".named",
        "open_barrier": ".named",
        "open_bounded_semaphore": ".named",
        "open_condition": ".named",
        "open_event": ".named",
        "open_joinable_queue": ".named",
        "open_lock": ".named",
        "open_pipe": ".named",
        "open_queue": ".named",
        "open_rlock": ".named",
        "open_semaphore": ".named",
        "unlink": ".named",
    }

    def __getattr__(name: str) -> object:
        # Of `multiprocessing` a program finds what others have imported.
        module = f".{name}" if name in _SUBMODULES else _ADDED.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        found = import_module(module, __name__)
        return found if name in _SUBMODULES else getattr(found, name)


Array = _default.Array
Barrier = _default.Barrier
BoundedSemaphore = _default.BoundedSemaphore
Condition = _default.Condition
Event = _default.Event
Lock = _default.Lock
Manager = _default.Manager
Pipe = _default.Pipe
Pool = _default.Pool
RLock = _default.RLock
RawArray = _default.RawArray
RawValue = _default.RawValue
Semaphore = _default.Semaphore
Value = _default.Value
active_children = _default.active_children
allow_connection_pickling = _default.allow_connection_pickling
cpu_count = _default.cpu_count
current_process = _default.current_process
freeze_support = _default.freeze_support
get_all_start_methods = _default.get_all_start_methods
get_context = _default.get_context
get_logger = _default.get_logger
get_start_method = _default.get_start_method
log_to_stderr = _default.log_to_stderr
parent_process = _default.parent_process
set_executable = _default.set_executable
set_forkserver_preload = _default.set_forkserver_preload
set_start_method = _default.set_start_method

# Levels of `get_logger`'s, which are not exported there either.
SUBDEBUG = 5
SUBWARNING = 25

__all__ = [
    "Array",
    "AuthenticationError",
    "Barrier",
    "BoundedSemaphore",
    "BufferTooShort",
    "Condition",
    "Event",
    "JoinableQueue",
    "Lock",
    "Manager",
    "OwnerDied",
    "Pipe",
    "Pool",
    "Process",
    "ProcessError",
    "Queue",
    "RLock",
    "RawArray",
    "RawValue",
    "Semaphore",
    "ShutDown",
    "SimpleQueue",
    "TimeoutError",
    "Value",
    "active_children",
    "allow_connection_pickling",
    "cpu_count",
    "current_process",
    "freeze_support",
    "get_all_start_methods",
    "get_context",
    "get_logger",
    "get_start_method",
    "log_to_stderr",
    "parent_process",
    "reducer",
    "set_executable",
    "set_forkserver_preload",
    "set_start_method",
]
