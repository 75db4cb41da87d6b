"""Processes that log into the files of the main process, where a thread takes the records.

After the variant of "Logging to a single file from multiple processes" in
https://docs.python.org/3/howto/logging-cookbook.html (examples: Zero-Clause BSD License);
but with records that are the same in each run.
"""

import logging
import logging.config
import logging.handlers
import sys
import threading
from multiprocessing import Process, Queue, set_start_method

LEVELS = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL]
LOGGERS = ["foo", "foo.bar", "foo.bar.baz", "spam", "spam.ham", "spam.ham.eggs"]


def logger_thread(q):
    while True:
        record = q.get()
        if record is None:
            break
        logging.getLogger(record.name).handle(record)


def worker_process(q):
    root = logging.getLogger()
    root.setLevel(logging.DEBUG)
    root.addHandler(logging.handlers.QueueHandler(q))
    for number in range(100):
        logger = logging.getLogger(LOGGERS[number % len(LOGGERS)])
        logger.log(LEVELS[number % len(LEVELS)], "message no. %d", number)


def to_file(name, **others):
    handler = {"class": "logging.FileHandler", "filename": name, "mode": "w"}
    return {**handler, "formatter": "detailed", **others}


CONFIGURATION = {
    "version": 1,
    "formatters": {
        "detailed": {
            "class": "logging.Formatter",
            "format": "%(asctime)s %(processName)-10s %(name)-15s %(levelname)-8s %(message)s",
        }
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "stream": "ext://sys.stdout",
            "level": "INFO",
        },
        "file": to_file("mplog.log"),
        "foofile": to_file("mplog-foo.log"),
        "errors": to_file("mplog-errors.log", level="ERROR"),
    },
    "loggers": {"foo": {"handlers": ["foofile"]}},
    "root": {"level": "DEBUG", "handlers": ["console", "file", "errors"]},
}

if __name__ == "__main__":
    set_start_method(sys.argv[1])
    q = Queue()
    workers = []
    for number in range(3):
        worker = Process(target=worker_process, name=f"worker-{number}", args=(q,))
        workers.append(worker)
        worker.start()
    logging.config.dictConfig(CONFIGURATION)
    thread = threading.Thread(target=logger_thread, args=(q,))
    thread.start()
    for worker in workers:
        worker.join()
    q.put(None)
    thread.join()
