"""A program that uses ProcessPoolExecutor with the start method in force."""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool


def initialize(lock, total):
    globals().update(lock=lock, total=total)


def add(number):
    with lock:  # noqa: F821
        total.value += number  # noqa: F821
    return number


def main():
    multiprocessing.set_start_method(sys.argv[1])
    lock, total = multiprocessing.Lock(), multiprocessing.Value("i", 0, lock=False)
    with ProcessPoolExecutor(2, initializer=initialize, initargs=(lock, total)) as executor:
        print("map:", sum(executor.map(add, range(100), chunksize=7)), total.value)
        print("submit:", executor.submit(add, 1).result())
        print("exception:", repr(executor.submit(int, "x").exception()))
        try:
            executor.submit(os._exit, 1).result()
        except BrokenProcessPool:
            print("broken")
    print("children:", multiprocessing.active_children())


if __name__ == "__main__":
    main()
