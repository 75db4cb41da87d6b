"""Looking at what there is."""

from __future__ import annotations

from contextlib import ExitStack

from goprocessing import inspect

from .table import CTX, Use, exercise


@exercise("inspect.snapshot")
def snapshots(stack: ExitStack) -> Use:
    q = CTX.Queue()
    stack.callback(q.close)

    def use() -> None:
        assert inspect.snapshot().objects

    return use


@exercise("inspect.identify")
def identities(stack: ExitStack) -> Use:
    a, b = CTX.Pipe()
    stack.callback(a.close)
    stack.callback(b.close)
    lock = CTX.Lock()

    def use() -> None:
        assert inspect.identify(a) == inspect.identify(b) != inspect.identify(lock)

    return use


@exercise("inspect.repair", "inspect.free", "inspect.unlink_stale")
def repairs(stack: ExitStack) -> Use:
    lock = CTX.Lock()

    def use() -> None:
        assert not inspect.repair(inspect.identify(lock))
        assert not inspect.free()
        assert not inspect.unlink_stale("a name that nobody uses")

    return use
