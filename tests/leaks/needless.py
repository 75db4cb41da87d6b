"""Public names that need no exercise, and why."""

from __future__ import annotations

_EXCEPTION = "an exception: raised by the exercises of what raises it"
_STANDARD = "the standard library's own code, which nothing of ours is in"
_CONTEXT = "made once; its methods make what the exercises use"
_ONCE = "changes the whole program, once"

NEEDLESS = {
    "AuthenticationError": _EXCEPTION,
    "ProcessError": _EXCEPTION,
    "TimeoutError": _EXCEPTION,
    "context.BaseContext": _CONTEXT,
    "context.DefaultContext": _CONTEXT,
    "context.ForkContext": _CONTEXT,
    "context.ForkServerContext": _CONTEXT,
    "context.SpawnContext": _CONTEXT,
    "reducer": "a module",
    "inspect.[HORSTW]*": "what inspect.snapshot returns is made of these",
    "allow_connection_pickling": _STANDARD,
    "freeze_support": _STANDARD,
    "log_to_stderr": "adds a handler to a logger each time, and is meant to",
    "set_executable": _ONCE,
    "set_forkserver_preload": _ONCE,
    "set_start_method": _ONCE,
    "substitution.install": _ONCE,
    "managers.BaseProxy": _STANDARD,
    "managers.Token": _STANDARD,
    "reduction.AbstractReducer": "a namespace",
    "AbstractReducer.*": "the functions of reduction",
    "reduction.DupFd": _STANDARD,
    "reduction.ForkingPickler": _STANDARD,
    "reduction.dump": _STANDARD,
    "reduction.register": _STANDARD,
    "reduction.recvfds": _STANDARD,
    "reduction.sendfds": _STANDARD,
    "reduction.dup_*": "for __reduce__, as all objects are that are sent",
    "reduction.received": "for __setstate__, likewise",
    "queue_ends.End": "a descriptor of classes, made once for each",
    "ThreadPool.*": "the methods of Pool",
    "Popen.*": "the methods of Process call them",
    "CallQueue.*": "the methods of Queue; the executor calls them",
}
"""By name, or pattern of names."""
