"""Imports and makes what there is of multiprocessing, and only then installs the engine."""

import inspect
import multiprocessing
import pickle
import sys
from multiprocessing import (
    BoundedSemaphore,
    Event,
    JoinableQueue,
    Lock,
    Pipe,
    Process,
    Queue,
    Semaphore,
    queues,
    synchronize,
)
from multiprocessing.queues import Queue as QueueClass
from multiprocessing.synchronize import Semaphore as SemaphoreClass

import goprocessing

CLASSES = (
    queues.JoinableQueue,
    queues.Queue,
    queues.SimpleQueue,
    synchronize.Barrier,
    synchronize.BoundedSemaphore,
    synchronize.Condition,
    synchronize.Event,
    synchronize.Lock,
    synchronize.RLock,
    synchronize.Semaphore,
)


def whose(obj):
    return type(obj).__module__.split(".")[0]


def echo(questions, answers, lock, connection):
    with lock:
        answers.put(questions.get())
        connection.send(whose(Queue()))


def ask(questions, answers, lock):
    ours, theirs = Pipe()
    child = Process(target=echo, args=(questions, answers, lock, theirs))
    child.start()
    questions.put("hello")
    answer = answers.get(), ours.recv()
    child.join()
    return answer


if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    ctx = multiprocessing.get_context(sys.argv[1])
    before = Queue(), JoinableQueue(), Lock()
    semaphore = Semaphore(3)
    signatures = [inspect.signature(cls) for cls in CLASSES]

    goprocessing.install()
    goprocessing.install()

    assert [inspect.signature(cls) for cls in CLASSES] == signatures
    for cls in CLASSES:
        assert pickle.loads(pickle.dumps(cls)) is cls

    # What was imported before makes our objects, be it a function, a class or a context.
    queue, bounded, factory = Queue(), QueueClass(7, ctx=ctx), ctx.Queue
    made = [
        *(queue, bounded, factory(), JoinableQueue()),
        *(Lock(), Semaphore(), BoundedSemaphore(), Event(), SemaphoreClass(7, ctx=ctx)),
        *(ctx.Lock(), *Pipe(), *ctx.Pipe()),
    ]
    print("made by what was imported before:", *sorted({whose(x) for x in made}))
    for _ in range(7):
        bounded.put_nowait(None)
    print("full:", bounded.full(), "value:", made[8].get_value())
    print("isinstance:", isinstance(queue, QueueClass), isinstance(made[8], SemaphoreClass))
    print(
        "method:",
        multiprocessing.get_start_method(),
        ctx is multiprocessing.get_context(sys.argv[1]),
    )

    # What was made before is what it was, also to a child.
    print(whose(before[0]), *ask(*before), semaphore.get_value())
    print(whose(queue), *ask(Queue(), JoinableQueue(), Lock()))
