"""torch.multiprocessing: tensors in shared memory, through queues, pipes and pools."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.multiprocessing

# GNU OpenMP does not work in the fork of a process that has used it.
torch.set_num_threads(1)


@pytest.fixture(params=("fork", "spawn", "forkserver"))
def ctx(request: Any) -> Any:
    return torch.multiprocessing.get_context(request.param)


def answer(questions: Any, answers: Any, done: Any) -> None:
    while (tensor := questions.get()) is not None:
        answers.put({"sum": tensor.sum(), "twice": tensor * 2})
    # The sender of shared memory has to live until it has been received.
    done.wait()


def increment(tensor: torch.Tensor, barrier: Any) -> None:
    barrier.wait()
    tensor += 1


def send(connection: Any, done: Any) -> None:
    connection.send(torch.arange(100_000))
    done.wait()


def rank(index: int, ranks: torch.Tensor) -> None:
    ranks[index] = index


@pytest.mark.parametrize("kind", ["Queue", "SimpleQueue", "JoinableQueue"])
def test_queues(ctx: Any, kind: str) -> None:
    questions, answers, done = getattr(ctx, kind)(), getattr(ctx, kind)(), ctx.Event()
    child = ctx.Process(target=answer, args=(questions, answers, done))
    child.start()
    for size in 10, 1_000, 1_000_000:
        questions.put(torch.ones(size))
        got = answers.get()
        assert got["sum"] == size
        assert torch.equal(got["twice"], torch.full((size,), 2.0))
    questions.put(None)
    done.set()
    child.join()
    assert child.exitcode == 0


def test_shared_memory(ctx: Any) -> None:
    tensor, barrier = torch.zeros(4).share_memory_(), ctx.Barrier(2)
    child = ctx.Process(target=increment, args=(tensor, barrier))
    child.start()
    barrier.wait()
    child.join()
    assert tensor.tolist() == [1.0] * 4


def test_pipe(ctx: Any) -> None:
    receiver, sender = ctx.Pipe(duplex=False)
    done = ctx.Event()
    child = ctx.Process(target=send, args=(sender, done))
    child.start()
    assert torch.equal(receiver.recv(), torch.arange(100_000))
    done.set()
    child.join()


def test_pool(ctx: Any) -> None:
    with ctx.Pool(2) as pool:
        assert pool.map(torch.sum, [torch.ones(3)] * 10) == [torch.tensor(3.0)] * 10


def test_torch_pool() -> None:
    with torch.multiprocessing.Pool(2) as pool:
        assert pool.map(torch.sum, [torch.ones(3)] * 10) == [torch.tensor(3.0)] * 10


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_start_processes(method: str) -> None:
    ranks = torch.full((2,), -1).share_memory_()
    torch.multiprocessing.start_processes(rank, (ranks,), nprocs=2, start_method=method)
    assert ranks.tolist() == [0, 1]
