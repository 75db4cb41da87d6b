"""Without the package: gets COUNT items from a queue, and then puts them back, with "!".

with_ctypes.py LIBRARY COUNT MEMORY BELL
"""

import ctypes
import errno
import signal
import sys


class Segment(ctypes.Structure):
    _fields_ = (
        ("fd", ctypes.c_int32),
        ("kind", ctypes.c_uint32),
        ("device", ctypes.c_uint64),
        ("inode", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("spin", ctypes.c_uint32 * 6),
        ("window", ctypes.c_void_p * 28),
    )


class Queue(ctypes.Structure):
    _fields_ = (
        ("segment", Segment),
        ("bell", ctypes.c_int32),
        ("reserved", ctypes.c_uint32),
    )


GOP_TRY, GOP_SLEEP = 0, 3
GOP_FOREVER = ctypes.c_int64(2**63 - 1)


def main(library: str, count: int, memory: int, bell: int) -> None:
    engine = ctypes.CDLL(library)

    def do(name, *args):
        while (rc := engine[name](*args)) == -errno.EINTR:
            pass
        if rc < 0:
            raise OSError(-rc, f"{name}: {errno.errorcode[-rc]}")

    queue = Queue()
    do("gop_queue_open", ctypes.byref(queue), memory, bell)
    item = ctypes.create_string_buffer(32)
    length = ctypes.c_uint64()
    answers = []
    for _ in range(count):
        do(
            "gop_queue_get",
            *(ctypes.byref(queue), item, ctypes.c_uint64(len(item))),
            *(ctypes.byref(length), GOP_SLEEP, GOP_FOREVER),
        )
        answers.append(item[: length.value] + b"!")
    for answer in answers:
        do(
            "gop_queue_put",
            *(ctypes.byref(queue), answer, ctypes.c_uint64(len(answer))),
            *(GOP_SLEEP, GOP_FOREVER),
        )


if __name__ == "__main__":
    signal.alarm(60)
    main(sys.argv[1], *map(int, sys.argv[2:]))
