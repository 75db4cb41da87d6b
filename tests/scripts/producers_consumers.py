from multiprocessing import JoinableQueue, Process, set_start_method
from sys import argv


def produce(queue, name):
    for number in range(5):
        queue.put(f"{name} {number}")
    queue.join()
    print(f"{name} is done\n", end="", flush=True)


def consume(queue):
    while True:
        queue.get()
        queue.task_done()


if __name__ == "__main__":
    set_start_method(argv[1])
    queue = JoinableQueue()
    producers = [Process(target=produce, args=(queue, f"producer {i}")) for i in range(3)]
    consumers = [Process(target=consume, args=(queue,), daemon=True) for _ in range(2)]
    for process in producers + consumers:
        process.start()
    for process in producers:
        process.join()
    print("the main process is done")
