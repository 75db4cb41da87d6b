"""start.py MODULE METHOD N: prints the seconds of N starts of a process that has nothing to do."""

import importlib
import sys
import time


def nothing() -> None:
    pass


def main() -> None:
    name, method, n = sys.argv[1:]
    ctx = importlib.import_module(name).get_context(method)

    def start() -> None:
        process = ctx.Process(target=nothing)
        process.start()
        process.join()
        if process.exitcode != 0:
            raise RuntimeError(f"the process ended with {process.exitcode}")

    start()
    begun = time.perf_counter()
    for _ in range(int(n)):
        start()
    print(time.perf_counter() - begun)


if __name__ == "__main__":
    main()
