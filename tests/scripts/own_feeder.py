"""A queue that replaces private parts of the standard library's, as loky's does."""

import multiprocessing
import pickle
import sys
import threading
from multiprocessing import queues, util


class Queue(queues.Queue):
    def __init__(self, maxsize=0, prefix="", *, ctx):
        super().__init__(maxsize, ctx=ctx)
        self._prefix = prefix

    def __getstate__(self):
        return self._prefix, super().__getstate__()

    def __setstate__(self, state):
        self._prefix, state = state
        super().__setstate__(state)

    def _start_thread(self):
        self._buffer.clear()
        self._thread = threading.Thread(
            target=Queue._feed,
            args=(self._buffer, self._notempty, self._writer, self._wlock, self._prefix),
            daemon=True,
        )
        self._thread.start()
        self._close = util.Finalize(
            self, queues.Queue._finalize_close, [self._buffer, self._notempty], exitpriority=10
        )

    @staticmethod
    def _feed(buffer, notempty, writer, lock, prefix):
        while True:
            with notempty:
                while not buffer:
                    notempty.wait()
                obj = buffer.popleft()
            if obj is queues._sentinel:
                writer.close()
                return
            with lock:
                writer.send_bytes(pickle.dumps(prefix + obj))


class ReportingQueue(queues.JoinableQueue):
    """Its attributes cannot be pickled, and so they stay behind."""

    def __init__(self, *, ctx):
        self.lock = threading.Lock()
        self.failed = threading.Event()
        super().__init__(ctx=ctx)

    def _on_queue_feeder_error(self, e, obj):
        self.failed.set()


class LoudQueue(Queue):
    def put(self, obj, block=True, timeout=None):
        queues.Queue.put(self, obj.upper(), block, timeout)


def answer(questions, answers, reports):
    answers.put(questions.get())
    reports.put(hasattr(reports, "lock"))
    reports.join()
    answers.close()
    answers.join_thread()


if __name__ == "__main__":
    ctx = multiprocessing.get_context(sys.argv[1])
    questions, answers = Queue(2, "to the child: ", ctx=ctx), LoudQueue(0, "back: ", ctx=ctx)
    reports = ReportingQueue(ctx=ctx)
    child = ctx.Process(target=answer, args=(questions, answers, reports))
    child.start()
    questions.put("hello")
    print(answers.get())
    print("has its attributes:", reports.get())
    reports.task_done()
    child.join()
    reports.put(threading.Lock())
    print("reported:", reports.failed.wait(60))
    print("pipe:", type(questions._reader).__module__, "lock:", type(questions._wlock).__module__)
    print(
        "isinstance:",
        isinstance(questions, queues.Queue),
        isinstance(reports, queues.JoinableQueue),
        isinstance(multiprocessing.Queue(), queues.Queue),
        issubclass(LoudQueue, queues.Queue),
    )
    for queue in questions, answers, reports:
        queue.close()
