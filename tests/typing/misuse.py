"""What type checkers should find; an unused `ignore` is an error, so each of them is found."""

from __future__ import annotations

import goprocessing
import goprocessing.pool
from goprocessing import Queue, connection, queues


def misuse(numbers: Queue[int]) -> None:
    numbers.put("a string")  # type: ignore[arg-type]
    numbers.get(timeout="a string")  # type: ignore[arg-type]
    numbers.task_done()  # type: ignore[attr-defined]
    numbers.nonsense()  # type: ignore[attr-defined]
    strings: list[str] = [numbers.get()]  # type: ignore[list-item]
    goprocessing.Queue("a string")  # type: ignore[arg-type]
    goprocessing.nonsense()  # type: ignore[attr-defined]
    queues.nonsense()  # type: ignore[attr-defined]
    connection.Pipe(1, 2)  # type: ignore[call-arg,arg-type]
    goprocessing.pool.nonsense()  # type: ignore[attr-defined]
    goprocessing.pool.Pool("a string")  # type: ignore[arg-type]
    goprocessing.Lock().acquire("a string")  # type: ignore[arg-type]
    goprocessing.Event().wait("a string")  # type: ignore[arg-type]
    goprocessing.Pipe()[0].send_bytes("a string")  # type: ignore[arg-type]
    goprocessing.get_context("fork").Process(nonsense=1)  # type: ignore[call-arg]
    del strings
