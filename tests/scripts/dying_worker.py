"""The worker of a pool that has a task is killed, however the pool was made."""

import multiprocessing
import os
import signal
import sys
from multiprocessing import Pool, pool


class Derived(pool.Pool):
    def __init__(self, processes):
        super().__init__(processes)
        self.derived = True


def die(_):
    os.kill(os.getpid(), signal.SIGKILL)


def whose(obj):
    return type(obj).__module__.split(".")[0]


if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    for make in Pool, pool.Pool, multiprocessing.get_context(sys.argv[1]).Pool:
        with make(1) as workers:
            print("isinstance:", isinstance(workers, pool.Pool))
            try:
                workers.map(die, [None])
            except RuntimeError as error:
                print(type(error).__name__, whose(error))
            print(workers.map(abs, [-1]))
    with Derived(1) as workers, pool.ThreadPool(1) as threads:
        print(workers.map(abs, [-1]), workers.derived, whose(threads), threads.map(abs, [-1]))
