"""footprint.py MODULE WHAT N: prints the bytes of memory that one of N objects takes.

They are what smaps_rollup accounts to this process, the only one that has them:
its own memory, and shared memory that it has touched.
"""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any


def memory(*fields: str) -> int:
    with open("/proc/self/smaps_rollup") as file:
        next(file)
        amounts = {line.split(":")[0]: int(line.split()[1]) for line in file}
    return sum(amounts[field] for field in fields) * 1024


def queue(module: ModuleType) -> Any:
    return module.Queue()


def used_queue(module: ModuleType) -> Any:
    made = module.Queue()
    made.put(0)
    made.get()
    return made


def lock(module: ModuleType) -> Any:
    return module.Lock()


def each(module: ModuleType, make: Callable[[ModuleType], Any], n: int) -> float:
    used_queue(module)  # what there is one of in a process
    make(module)
    objects = [None] * n
    before = memory("Pss")
    for i in range(n):
        objects[i] = make(module)
    return (memory("Pss") - before) / n


def _use(queue: Any, answer: Any) -> None:
    queue.put(0)
    queue.get()
    answer.send(memory("Private_Clean", "Private_Dirty"))


def child(module: ModuleType) -> int:
    """What is a forked child's alone after it has used a queue."""
    ctx = module.get_context("fork")
    used = used_queue(ctx)
    reader, writer = ctx.Pipe(duplex=False)
    process = ctx.Process(target=_use, args=(used, writer))
    process.start()
    amount: int = reader.recv()
    process.join()
    return amount


def main() -> None:
    name, what, n = sys.argv[1:]
    module = importlib.import_module(name)
    makers = {"queue": queue, "used-queue": used_queue, "lock": lock}
    print(child(module) if what == "child" else each(module, makers[what], int(n)))


if __name__ == "__main__":
    main()
