"""The process in Python of tests in which unrelated processes meet by name: as main.go."""

from __future__ import annotations

import sys

import goprocessing


def ready() -> None:
    """Says that what was to be opened is."""
    print("ready", flush=True)


def echo(source: str, target: str) -> None:
    in_, out = goprocessing.open_queue(source), goprocessing.open_joinable_queue(target)
    ready()
    while item := in_.get_bytes():
        out.put_bytes(item)
    out.join()


def semaphores(acquired: str, released: str) -> None:
    a, b = goprocessing.open_semaphore(acquired, 0), goprocessing.open_semaphore(released, 0)
    ready()
    a.acquire()
    b.release()


def events(awaited: str, to_set: str) -> None:
    a, b = goprocessing.open_event(awaited), goprocessing.open_event(to_set)
    ready()
    a.wait()
    b.set()


def hold(lock: str, until: str) -> None:
    with goprocessing.open_lock(lock):
        event = goprocessing.open_event(until)
        ready()
        event.wait()


def pipe(name: str, _: str) -> None:
    connection = goprocessing.open_pipe(name)
    ready()
    while True:
        try:
            message = connection.recv_bytes()
        except EOFError:
            break
        connection.send_bytes(message)


globals()[sys.argv[1]](*sys.argv[2:])
