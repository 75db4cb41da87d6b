"""Processes that log into one file: a process listens to a queue, and others put records.

After "Logging to a single file from multiple processes", with and without an executor, in
https://docs.python.org/3/howto/logging-cookbook.html (examples: Zero-Clause BSD License);
but with few workers, and with records that are the same in each run.
"""

import concurrent.futures
import logging
import logging.handlers
import multiprocessing
import sys
import time
import traceback
from random import random

WORKERS = 3

LEVELS = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL]
LOGGERS = ["a.b.c", "d.e.f"]
MESSAGES = ["message #1", "message #2", "message #3"]


def listener_configurer():
    root = logging.getLogger()
    # Small files, so that some are rotated; enough of them that nothing is lost.
    handler = logging.handlers.RotatingFileHandler("mptest.log", "a", 300, 20)
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(processName)-10s %(name)s %(levelname)-8s %(message)s")
    )
    root.addHandler(handler)


def listener_process(queue, configurer):
    configurer()
    while True:
        try:
            record = queue.get()
            if record is None:
                break
            logging.getLogger(record.name).handle(record)
        except Exception:
            traceback.print_exc(file=sys.stderr)


def worker_configurer(queue):
    root = logging.getLogger()
    # Not one more: an executor may give several calls to one process.
    root.handlers = [logging.handlers.QueueHandler(queue)]
    root.setLevel(logging.DEBUG)


def worker_process(queue, configurer):
    configurer(queue)
    name = multiprocessing.current_process().name
    print(f"worker started: {name}\n", end="", flush=True)
    for number in range(10):
        time.sleep(random() / 100)
        logger = logging.getLogger(LOGGERS[number % len(LOGGERS)])
        logger.log(LEVELS[number % len(LEVELS)], MESSAGES[number % len(MESSAGES)])
    print(f"worker finished: {name}\n", end="", flush=True)


def with_processes(queue):
    workers = []
    for _ in range(WORKERS):
        worker = multiprocessing.Process(target=worker_process, args=(queue, worker_configurer))
        workers.append(worker)
        worker.start()
    for worker in workers:
        worker.join()


def with_executor(queue):
    with concurrent.futures.ProcessPoolExecutor(max_workers=WORKERS) as executor:
        for _ in range(WORKERS):
            executor.submit(worker_process, queue, worker_configurer)


def main():
    multiprocessing.set_start_method(sys.argv[1])
    if sys.argv[2] == "processes":
        queue, run = multiprocessing.Queue(-1), with_processes
    else:
        queue, run = multiprocessing.Manager().Queue(-1), with_executor
    listener = multiprocessing.Process(
        target=listener_process, args=(queue, listener_configurer), name="listener"
    )
    listener.start()
    run(queue)
    queue.put_nowait(None)
    listener.join()


if __name__ == "__main__":
    main()
