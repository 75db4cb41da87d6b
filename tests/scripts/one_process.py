from multiprocessing import Queue, set_start_method
from sys import argv

if __name__ == "__main__":
    set_start_method(argv[1])
    queue = Queue(3)
    queue.put("a string")
    queue.put({"a": "dict"})
    queue.put(["a", "list"])
    while not queue.full():
        pass
    print("full:", queue.full())
    print(queue.get())
    print(queue.get())
    print(queue.get())
    print("empty:", queue.empty())
