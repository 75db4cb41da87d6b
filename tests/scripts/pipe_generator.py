from multiprocessing import Pipe, Process, set_start_method
from sys import argv


def numbers():
    number = 0
    while number < 5:
        yield number
        number += 1


def receive(left, right):
    left.close()
    while True:
        try:
            print("received", right.recv(), flush=True)
        except EOFError:
            break
    print("end of file", flush=True)


if __name__ == "__main__":
    set_start_method(argv[1])
    left, right = Pipe()
    child = Process(target=receive, args=(left, right))
    child.start()
    right.close()
    for number in numbers():
        left.send(number)
    left.close()
    child.join()
    print("exit code", child.exitcode)
