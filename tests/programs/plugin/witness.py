"""A pytest plugin: writes down whose locks the program gets from `multiprocessing`."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def witness(record_testsuite_property: Any) -> None:
    lock = multiprocessing.get_context("fork").Lock()
    record_testsuite_property("implementation", type(lock).__module__.partition(".")[0])
