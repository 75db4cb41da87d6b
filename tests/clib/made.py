"""The other side of maker.c, of the descriptors and places that it appends."""

import os
import signal
import sys

from goprocessing import _engine


def main(memory: int, bell: int, arena: int, semaphore: int, event: int) -> None:
    queue = _engine.Queue._attach(memory, bell)
    assert queue._maxsize == 1
    assert queue.get_bytes() == b"to you"
    assert _engine.Semaphore._attach(os.dup(arena), semaphore).acquire()
    queue.put_bytes(b"to me")
    _engine.Event._attach(arena, event).set()


if __name__ == "__main__":
    signal.alarm(60)
    main(*map(int, sys.argv[1:]))
