"""A pytest plugin: writes down whose queue the program gets from `multiprocessing`."""

from __future__ import annotations

import multiprocessing.queues
from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def witness(record_testsuite_property: Any) -> None:
    record_testsuite_property("queue", multiprocessing.queues.Queue.__module__)
