"""Its children, and their children, make objects with what another module imported."""

import multiprocessing
import os
import subprocess
import sys


def report(answers, depth):
    import imported

    answers.put((depth, imported.whose()))
    if depth < 3:
        child = multiprocessing.Process(target=report, args=(answers, depth + 1))
        child.start()
        child.join()


if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    if len(sys.argv) > 2:
        multiprocessing.set_forkserver_preload(sys.argv[2:])
    answers = multiprocessing.SimpleQueue()
    child = multiprocessing.Process(target=report, args=(answers, 1))
    child.start()
    for _ in range(3):
        print(*answers.get())
    child.join()
    program = [sys.executable, "-c", "import imported; print(imported.whose())"]
    folder = os.path.dirname(__file__)
    print("subprocess", subprocess.check_output(program, text=True, cwd=folder).strip())
