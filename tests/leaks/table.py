"""The table of exercises, by the public names that they use."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import goprocessing

from .growth import MOST

Use = Callable[[], object]

CTX = goprocessing.get_context("fork")


@dataclasses.dataclass(frozen=True)
class Exercise:
    title: str
    names: tuple[str, ...]
    start: Callable[[contextlib.ExitStack], Use]
    """Makes what is needed, undone by the stack, and returns what is to be repeated."""
    most: int = MOST
    """Uses, if so many are enough."""


EXERCISES: list[Exercise] = []


def exercise(*names: str, most: int = MOST) -> Callable[[Callable[..., Use]], Callable[..., Use]]:
    """Adds a function of a stack, which uses these names."""

    def add(start: Callable[..., Use]) -> Callable[..., Use]:
        EXERCISES.append(Exercise(start.__name__, names, start, most))
        return start

    return add


def exercise_each(
    classes: tuple[str, ...], *names: str
) -> Callable[[Callable[..., Use]], Callable[..., Use]]:
    """Adds a function of a factory and a stack for each class, of which it uses these names.

    "" is the class itself.
    """

    def add(start: Callable[..., Use]) -> Callable[..., Use]:
        for cls in classes:
            itself = f"synchronize.{cls}" if cls.startswith(ROBUST) else cls
            EXERCISES.append(
                Exercise(
                    f"{start.__name__} of {cls}",
                    tuple(f"{cls}.{name}" if name else itself for name in names),
                    lambda stack, cls=cls: start(factory(cls), stack),
                )
            )
        return start

    return add


ROBUST = "Robust"


def factory(cls: str) -> Callable[..., Any]:
    make: Callable[..., Any] = getattr(CTX, cls.removeprefix(ROBUST))
    return functools.partial(make, robust=True) if cls.startswith(ROBUST) else make


def raising(error: type[BaseException], function: Callable[..., Any], *args: Any) -> None:
    """Calls what has to raise."""
    try:
        function(*args)
    except error:
        return
    raise AssertionError(f"{function} did not raise {error.__name__}")
