"""The tasks of a pool, and which of them a worker that died had in hand.

Each task that is sent to the workers has a number: how many were sent before it. A
worker claims a number before it receives the task, and has the lock of the queue from
before it looks which number is the next until the task is received. So it took the task
with the number that it claimed last if the pipe counts that one as received and nobody
claimed it later. Whoever has claimed a number and died, or failed, before the task was
received leaves it to the next.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from multiprocessing import heap, process
from typing import Any

from . import _engine
from .queues import SimpleQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from multiprocessing.process import BaseProcess

    _Key = tuple[int, int]  # the job of a task, and its index there

_NO_RESULT = None, None, None  # of a job that the pool does not know, and so ignores


class WorkerDied(RuntimeError):
    """The worker died that had taken the task; how much of it was done, nobody knows"""

    __module__ = "goprocessing.pool"  # where programs find it

    def __init__(self, exitcode: int | None) -> None:
        super().__init__(exitcode)
        self.exitcode = exitcode

    def __str__(self) -> str:
        code = self.exitcode
        if code is None or code >= 0:
            return f"the worker exited with code {code} while it had the task"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"the worker was killed by {name} while it had the task"


class Claims:
    """Which number each worker claimed last, in shared memory

    A claim is two words: the worker (0: none), which nobody but the pool makes 0, after
    the worker's end; and the number, which is written first, and later by one store.
    What the engine does to receive a task, or to send a result, orders the stores before
    it and after it. Workers beyond those that there is room for have none.
    """

    def __init__(self, workers: int) -> None:
        self._memory = heap.BufferWrapper(16 * workers)
        self._map()
        self._words[:] = memoryview(bytes(16 * workers)).cast("Q")

    def _map(self) -> None:
        self._words = self._memory.create_memoryview().cast("B").cast("Q")
        self._mine = -1

    def __getstate__(self) -> heap.BufferWrapper:
        return self._memory

    def __setstate__(self, memory: heap.BufferWrapper) -> None:
        self._memory = memory
        self._map()

    def claim(self, number: int) -> None:
        """Claims a number for this process; for the holder of the queue's lock"""
        if self._mine >= 0:
            self._words[self._mine] = number
        elif 0 in (workers := self._words[::2].tolist()):
            place = 2 * workers.index(0)
            self._words[place + 1] = number
            self._words[place] = _name(process.current_process())
            self._mine = place + 1

    def taken_last(self, worker: BaseProcess, received: int) -> int | None:
        """Returns the number of the task that a dead worker took last, and forgets it

        `received` is how many tasks were, or had been before this call: who has claimed
        a number since then is not mistaken for the one who took that task.
        """
        workers, numbers = self._words[::2].tolist(), self._words[1::2].tolist()
        if _name(worker) not in workers:
            return None
        place = workers.index(_name(worker))
        self._words[2 * place] = 0
        number: int = numbers[place]
        claimed = [n for who, n in zip(workers, numbers, strict=True) if who]
        return number if number < received and claimed.count(number) == 1 else None


def _name(worker: BaseProcess) -> int:
    """Returns what no other child of the pool's process is, even if it has the same pid"""
    name: int = worker._identity[-1]
    return name


class TaskQueue(SimpleQueue[Any]):
    """What the workers get their tasks from"""

    def __init__(self, workers: int, *, ctx: BaseContext | None = None) -> None:
        super().__init__(ctx=ctx)
        self._claims = Claims(workers)

    def __getstate__(self) -> Any:
        return super().__getstate__(), self._claims

    def __setstate__(self, state: Any) -> None:
        pipe, self._claims = state
        super().__setstate__(pipe)

    def get(self) -> Any:
        with self._rlock:
            self._claims.claim(self._reader._received)
            parts = self._reader._recv_parts()
        return _engine.loads(*parts)


class Tasks:
    """The tasks that were sent to the workers and have no result yet"""

    def __init__(self, inqueue: TaskQueue, outqueue: SimpleQueue[Any]) -> None:
        self._inqueue, self._outqueue = inqueue, outqueue
        self._send, self._recv = inqueue._writer.send, outqueue._reader.recv
        self._sent = 0
        self._numbers: dict[_Key, int] = {}

    def put(self, task: Any) -> None:
        """Sends a task, or None, to the workers; for one thread"""
        if task is not None:
            self._numbers[task[:2]] = self._sent
        try:
            self._send(task)
        except BaseException:
            if task is not None:
                del self._numbers[task[:2]]
            raise
        self._sent += 1

    def get(self) -> Any:
        """Receives the first result of a task, or of none that there is, or None

        It does not receive another one instead: there may be none, as terminate() knows.
        """
        result = self._recv()
        if result is None or self._numbers.pop(result[:2], None) is not None:
            return result
        return _NO_RESULT

    def worker_died(self, worker: BaseProcess) -> None:
        """Sends a result for the task that a worker died with, behind its own results"""
        number = self._inqueue._claims.taken_last(worker, self._inqueue._reader._received)
        if number is None:
            return
        for (job, index), n in self._numbers.copy().items():
            if n == number:
                self._outqueue.put((job, index, (False, WorkerDied(worker.exitcode))))


class Workers(list[Any]):
    """The workers of a pool, which deletes from this list those that it has joined"""

    def __init__(self, tasks: Tasks) -> None:
        super().__init__()
        self._tasks = tasks

    def __delitem__(self, place: Any) -> None:
        worker = self[place]
        super().__delitem__(place)
        self._tasks.worker_died(worker)


@contextlib.contextmanager
def emptied(results: SimpleQueue[Any], after: threading.Thread) -> Iterator[None]:
    """Receives what is still sent once the thread has ended that received the results

    Else those who send wait for room. The thread that waits here may be that one; and
    there can be no other at the end of a program, in CPython 3.12.
    """
    sent_all = False

    def receive() -> None:
        after.join()
        while not sent_all:
            results._reader._recv_parts()

    receiver = threading.Thread(target=receive, daemon=True)
    if threading.current_thread() is not after:
        with contextlib.suppress(RuntimeError):
            receiver.start()
    yield
    sent_all = True
    if receiver.ident is not None:
        results.put(None)
        receiver.join()
