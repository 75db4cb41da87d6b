"""/dev/shm of 1 MiB: what it cannot hold is an error, and what was got from it leaves room"""

import errno

import goprocessing


def until_full(act):
    done = []
    try:
        while len(done) < 10_000:
            done.append(act(len(done)))
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
        return done
    raise AssertionError("it is never full")


queue = goprocessing.open_queue("jobs", create=True)
for size in 3000, 50_000, 300_000:
    rest = bytes(size)
    count = len(until_full(lambda n, rest=rest: queue.put_bytes(b"%d " % n + rest)))
    locks = until_full(lambda n: goprocessing.open_lock(f"lock {n}", create=True))
    assert {*goprocessing.names()} == {"jobs", *(f"lock {n}" for n in range(len(locks)))}
    assert queue.qsize() == count > 1
    for number in range(count):
        assert queue.get_bytes() == b"%d " % number + rest
    for large in 10_000, 400_000, 100:
        queue.put_bytes(bytes(large))
        assert queue.get_bytes() == bytes(large)
    for n, lock in enumerate(locks):
        assert lock.acquire()
        goprocessing.unlink(f"lock {n}")
    locks = lock = None
print("sound")
