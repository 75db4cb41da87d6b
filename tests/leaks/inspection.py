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
