"""torch.utils.data.DataLoader with worker processes of each kind of context."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from typing import Any

import goprocessing
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

METHODS = ("fork", "spawn", "forkserver")


class Squares(Dataset):
    def __len__(self) -> int:
        return 64

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        # Large enough that a batch travels in shared memory of its own.
        return torch.full((10_000,), float(index)), index * index


class Sequence(IterableDataset):
    def __iter__(self) -> Iterator[int]:
        worker = get_worker_info()
        return iter(range(worker.id, 40, worker.num_workers))


class Failing(Squares):
    def __getitem__(self, index: int) -> Any:
        if index == 13:
            raise LookupError("item 13")
        return super().__getitem__(index)


@pytest.fixture(params=(multiprocessing, goprocessing), ids=lambda module: module.__name__)
def module(request: Any) -> Any:
    return request.param


@pytest.fixture(params=METHODS)
def ctx(module: Any, request: Any) -> Any:
    return module.get_context(request.param)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"persistent_workers": True, "prefetch_factor": 4, "in_order": False, "timeout": 60},
        # Without an accelerator there is nothing to pin for, but torch's thread
        # that takes the batches from the workers is used all the same.
        pytest.param({"pin_memory": True}, marks=pytest.mark.filterwarnings("ignore")),
    ],
    ids=("plain", "persistent", "pinned"),
)
def test_two_epochs(ctx: Any, options: dict[str, Any]) -> None:
    loader = DataLoader(
        Squares(), batch_size=4, num_workers=2, multiprocessing_context=ctx, **options
    )
    for _ in range(2):
        squares = []
        for numbers, batch in loader:
            assert numbers.shape == (4, 10_000)
            assert torch.equal(numbers[:, 0] ** 2, batch.float())
            squares += batch.tolist()
        assert sorted(squares) == [number * number for number in range(64)]


def test_iterable_dataset(ctx: Any) -> None:
    loader = DataLoader(Sequence(), batch_size=None, num_workers=2, multiprocessing_context=ctx)
    assert sorted(loader) == list(range(40))


def test_an_error_in_a_worker(ctx: Any) -> None:
    loader = DataLoader(Failing(), batch_size=4, num_workers=2, multiprocessing_context=ctx)
    with pytest.raises(LookupError, match="item 13"):
        list(loader)


def test_left_before_the_end(ctx: Any) -> None:
    loader = DataLoader(Squares(), batch_size=4, num_workers=2, multiprocessing_context=ctx)
    next(iter(loader))
