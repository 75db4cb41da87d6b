"""The test classes of a suite that this interpreter ships: `python -m ...classes SUITE`."""

from __future__ import annotations

import importlib
import importlib.util
import json
import pkgutil
import sys
import unittest
from types import ModuleType

SHIPPED = {
    "fork": "test._test_multiprocessing",
    "spawn": "test._test_multiprocessing",
    "forkserver": "test._test_multiprocessing",
    "futures": "test.test_concurrent_futures",
}


def is_shipped(module: str) -> bool:
    return bool(importlib.util.find_spec("test") and importlib.util.find_spec(module))


def modules(suite: str) -> list[str]:
    """The modules to load: the launcher here, or all of the shipped package."""
    if suite != "futures":
        return [f"{__package__}.{suite}"]
    package = importlib.import_module(SHIPPED[suite])
    parts = pkgutil.iter_modules(getattr(package, "__path__", ()), package.__name__ + ".")
    return [name for _, name, _ in parts if ".test_" in name.removeprefix(package.__name__)] or [
        package.__name__
    ]


def classes(module: ModuleType) -> dict[str, list[str]]:
    """The names of its classes with tests, and of the tests."""
    found = {}
    for name, cls in vars(module).items():
        if isinstance(cls, type) and issubclass(cls, unittest.TestCase):
            tests = unittest.defaultTestLoader.getTestCaseNames(cls)
            if cls.__module__ == module.__name__ and tests:
                found[name] = list(tests)
    return found


def main() -> None:
    suite = sys.argv[1]
    answer: dict[str, object] = {"shipped": SHIPPED[suite]}
    if is_shipped(SHIPPED[suite]):
        answer["modules"] = {
            name: classes(importlib.import_module(name)) for name in modules(suite)
        }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
