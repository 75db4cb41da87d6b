"""A program that uses most of multiprocessing, and shows whose objects it gets."""

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import multiprocessing.pool
import multiprocessing.queues
import sys
from multiprocessing import Event, Lock, Manager, Pipe, Pool, Process, Queue


class CountingQueue(multiprocessing.queues.Queue):
    def __init__(self):
        super().__init__(ctx=multiprocessing.get_context())
        self.size = multiprocessing.Value("i", 0)

    def __getstate__(self):
        return {"parent": super().__getstate__(), "size": self.size}

    def __setstate__(self, state):
        super().__setstate__(state["parent"])
        self.size = state["size"]

    def put(self, *args, **kwargs):
        super().put(*args, **kwargs)
        with self.size.get_lock():
            self.size.value += 1


def square(number):
    return number * number


def use(queue, counting, lock, event, connection):
    with lock:
        queue.put([type(x).__module__ for x in (queue, lock, event, connection)])
    counting.put("counted")
    connection.send(multiprocessing.get_start_method())
    event.set()


if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    queue, counting, lock, event = Queue(), CountingQueue(), Lock(), Event()
    ours, theirs = Pipe()
    child = Process(target=use, args=(queue, counting, lock, event, theirs))
    child.start()
    print(*queue.get())
    print("start method in the child:", ours.recv())
    print("event:", event.wait(60))
    child.join()
    print(counting.get(), counting.size.value)
    with Pool(2) as pool:
        print("pool:", pool.map(square, range(5)))
    with Manager() as manager:
        shared = manager.Queue()
        shared.put("managed")
        print("manager:", shared.get())
    with concurrent.futures.ProcessPoolExecutor(2) as executor:
        print("executor:", list(executor.map(square, range(5))))
