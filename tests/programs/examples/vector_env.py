"""gymnasium's AsyncVectorEnv: an environment in each process, stepped through pipes."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy
import pytest
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv


@pytest.fixture(params=("fork", "spawn", "forkserver"))
def method(request: Any) -> str:
    return request.param


class Broken(gymnasium.Wrapper):
    def step(self, action: Any) -> Any:
        raise LookupError("a broken environment")


def pendulum() -> gymnasium.Env:
    return gymnasium.make("Pendulum-v1")


def broken() -> gymnasium.Env:
    return Broken(pendulum())


@pytest.mark.parametrize("shared_memory", [False, True])
def test_like_one_process(method: str, shared_memory: bool) -> None:
    here = SyncVectorEnv([pendulum] * 3)
    there = AsyncVectorEnv([pendulum] * 3, context=method, shared_memory=shared_memory)
    here.action_space.seed(1)
    for expected, got in zip(here.reset(seed=1), there.reset(seed=1), strict=True):
        assert numpy.array_equal(expected, got) or expected == got
    for _ in range(250):
        actions = here.action_space.sample()
        there.step_async(actions)
        for expected, got in zip(here.step(actions)[:4], there.step_wait()[:4], strict=True):
            assert numpy.array_equal(expected, got)
    there.close()


def test_calls_and_attributes(method: str) -> None:
    envs = AsyncVectorEnv([pendulum] * 2, context=method)
    envs.set_attr("g", [9.81, 1.62])
    assert envs.get_attr("g") == (9.81, 1.62)
    assert envs.call("has_wrapper_attr", "g") == (True, True)
    envs.close()


def test_an_error(method: str) -> None:
    envs = AsyncVectorEnv([pendulum, broken], context=method)
    envs.reset()
    with pytest.raises(LookupError, match="a broken environment"):
        envs.step(envs.action_space.sample())
    envs.close(terminate=True)


def test_terminated(method: str) -> None:
    envs = AsyncVectorEnv([pendulum] * 2, context=method)
    envs.reset()
    envs.step_async(envs.action_space.sample())
    envs.close(terminate=True)
    assert not any(process.is_alive() for process in envs.processes)
