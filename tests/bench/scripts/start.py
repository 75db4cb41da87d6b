"""start.py MODULE METHOD USED N: prints the seconds of N starts of a process.

It has nothing to do, or, if USED is queue, puts one item into a queue.
"""

import importlib
import sys
import time
from typing import Any


def use(queue: Any) -> None:
    if queue is not None:
        queue.put(0)


def main() -> None:
    name, method, used, n = sys.argv[1:]
    ctx = importlib.import_module(name).get_context(method)
    queue = ctx.Queue() if used == "queue" else None

    def start() -> None:
        process = ctx.Process(target=use, args=(queue,))
        process.start()
        process.join()
        if process.exitcode != 0:
            raise RuntimeError(f"the process ended with {process.exitcode}")
        if queue is not None:
            queue.get()

    start()
    begun = time.perf_counter()
    for _ in range(int(n)):
        start()
    print(time.perf_counter() - begun)


if __name__ == "__main__":
    main()
