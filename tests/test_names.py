"""Every public name of `multiprocessing` and its submodules is here, of the running version."""

from __future__ import annotations

import ast
import importlib
import inspect
import multiprocessing
import pkgutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import goprocessing
import pytest

TYPING = Path(__file__).parent / "typing"
SUBMODULES = sorted(
    module.name.removeprefix("multiprocessing.")
    for module in pkgutil.walk_packages(multiprocessing.__path__, "multiprocessing.")
    if not module.name.endswith("_win32")
)
# What is assigned to these counts, so there must be one of each.
THE_SAME = {
    "dummy",
    "dummy.connection",
    "forkserver",
    "heap",
    "popen_forkserver",
    "popen_spawn_posix",
    "process",
    "resource_sharer",
    "resource_tracker",
    "shared_memory",
    "spawn",
    "util",
}
ADDED = {"OwnerDied", "ShutDown"}
# Parameters that are not in `multiprocessing`.
ADDED_PARAMETERS = {
    **dict.fromkeys(("Lock", "RLock", "Semaphore", "BoundedSemaphore"), ("robust",)),
    "Queue": ("codec",),
    "JoinableQueue": ("redeliver", "codec"),
}


def both(name: str) -> tuple[types.ModuleType, types.ModuleType]:
    return (
        importlib.import_module(f"multiprocessing.{name}"),
        importlib.import_module(f"goprocessing.{name}"),
    )


def exported(module: types.ModuleType) -> set[str]:
    """What `from module import *` brings."""
    namespace: dict[str, object] = {}
    exec(f"from {module.__name__} import *", namespace)
    return namespace.keys() - {"__builtins__"}


def test_names() -> None:
    namespace = {public for public in vars(goprocessing) if not public.startswith("_")}
    modules = {public for public in namespace if inspect.ismodule(vars(goprocessing)[public])}
    # As CPython's own test__all__ has it.
    assert namespace - modules <= {*goprocessing.__all__, "SUBDEBUG", "SUBWARNING"}
    for name in vars(multiprocessing):
        assert name.startswith("_") or name == "sys" or hasattr(goprocessing, name), name
    assert goprocessing.SUBDEBUG == multiprocessing.SUBDEBUG  # type: ignore[attr-defined]
    assert goprocessing.SUBWARNING == multiprocessing.SUBWARNING  # type: ignore[attr-defined]
    assert set(goprocessing.__all__) == set(multiprocessing.__all__) | ADDED
    assert exported(goprocessing) == exported(multiprocessing) | ADDED
    for name in multiprocessing.__all__:
        theirs, ours = getattr(multiprocessing, name), getattr(goprocessing, name)
        assert type(ours) is type(theirs)
        if inspect.isroutine(theirs):
            assert list(inspect.signature(ours).parameters) == [
                *inspect.signature(theirs).parameters,
                *ADDED_PARAMETERS.get(name, ()),
            ]


@pytest.mark.parametrize("name", SUBMODULES)
def test_names_of_a_submodule(name: str) -> None:
    theirs, ours = both(name)
    assert exported(theirs) <= exported(ours)
    missing = {public for public in vars(theirs) if public[0] != "_" and not hasattr(ours, public)}
    assert not missing
    with pytest.raises(AttributeError, match="nonsense"):
        ours.nonsense  # noqa: B018
    assert (ours is theirs) == (name in THE_SAME)


def test_what_type_checkers_know_exists() -> None:
    importlib.import_module("tests.typing.whole_api")


def api(module: types.ModuleType) -> Iterator[str]:
    """What a module exports, the methods of its own classes, and parameters that are added."""
    added: set[str] = getattr(module, "_ADDED", {}).keys()
    for public in {*getattr(module, "__all__", ()), *added}:
        yield public
        thing = getattr(module, public)
        if not getattr(thing, "__module__", "").startswith("goprocessing"):
            continue
        if inspect.isclass(thing):
            for cls in thing.__mro__:
                if cls.__module__.startswith("goprocessing"):
                    yield from (method for method in vars(cls) if not method.startswith("_"))
        elif inspect.isroutine(thing):
            for name, parameter in inspect.signature(thing).parameters.items():
                if parameter.kind is parameter.KEYWORD_ONLY:
                    yield name


def test_type_checkers_see_the_whole_api() -> None:
    used: set[str] = set()
    for node in ast.walk(ast.parse((TYPING / "whole_api.py").read_text())):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                used.add(name)
    folder = Path(goprocessing.__file__).parent
    unused = {}
    for file in [*folder.glob("[a-z]*.py"), folder / "__init__.py"]:
        suffix = "" if file.stem == "__init__" else f".{file.stem}"
        module = importlib.import_module(f"goprocessing{suffix}")
        # Of the others the standard library is the owner.
        if module.__name__.startswith("goprocessing"):
            unused[module.__name__] = sorted({*api(module)} - used)
    assert not {name: missing for name, missing in unused.items() if missing}


@pytest.mark.parametrize("name", SUBMODULES)
def test_the_ways_to_import_a_submodule_agree(name: str) -> None:
    program = (
        f"import goprocessing.{name} as first, goprocessing, sys;"
        f"assert first is sys.modules['goprocessing.{name}'] is goprocessing.{name};"
        f"from importlib import import_module;"
        f"assert import_module('goprocessing.{name}') is first;"
        f"theirs = import_module('multiprocessing.{name}');"
        f"assert (first is theirs) == {name in THE_SAME}, theirs"
    )
    subprocess.run([sys.executable, "-P", "-c", program], check=True, timeout=60)


def test_a_submodule_that_was_not_imported() -> None:
    """Whether it is there in `multiprocessing` depends on what else the program uses."""
    program = (
        "import goprocessing;"
        "print(goprocessing.util.get_logger, goprocessing.pool.RUN);"
        "assert not hasattr(goprocessing, 'nonsense');"
        "assert not hasattr(goprocessing, 'popen_spawn_win32')"
    )
    subprocess.run([sys.executable, "-P", "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("name", sorted(set(SUBMODULES) - THE_SAME))
def test_our_classes_derive_from_theirs(name: str) -> None:
    theirs, ours = both(name)
    for public, cls in inspect.getmembers(theirs, inspect.isclass):
        if not public.startswith("_") and cls.__module__ == theirs.__name__:
            assert issubclass(getattr(ours, public), cls), public
