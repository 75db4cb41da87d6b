"""The public names of the package, as it tells them itself."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import goprocessing

MOSTLY_STANDARD = ("goprocessing.context", "goprocessing.managers", "goprocessing.reduction")


def modules() -> Iterator[tuple[str, ModuleType]]:
    """The extension, and the public modules that are not the standard library's own."""
    sources = sorted(Path(goprocessing.__path__[0]).glob("[!_]*.py"))
    for name in ["_engine", *(source.stem for source in sources)]:
        module = import_module(f"goprocessing.{name}")
        if module.__name__ == f"goprocessing.{name}":
            yield name, module


def of_module(module: ModuleType) -> set[str]:
    """What it exports, and what it defines."""
    defined = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }
    return defined | {*getattr(module, "__all__", ())}


def is_class(value: object) -> bool:
    return inspect.isclass(value) and not issubclass(value, Exception)


def of_class(cls: type) -> set[str]:
    """What it has; of the standard library's classes with little of ours, what that is."""
    names = set(dir(cls))
    if cls.__module__ in MOSTLY_STANDARD:
        ours = (base for base in cls.__mro__ if base.__module__ == cls.__module__)
        names = {name for base in ours for name in vars(base)}
    if dataclasses.is_dataclass(cls):
        names -= {field.name for field in dataclasses.fields(cls)}
    return {name for name in names if not name.startswith("_")}


def public() -> Iterator[str]:
    """As "name" of the package, "module.name", "Class.method".

    A factory of the package and a method of its contexts make what a class in a module
    makes: they count once. So do the extension's classes, which are bases of those.
    """
    top = of_module(goprocessing)
    yield from top
    for module_name, module in modules():
        for name in of_module(module):
            value = getattr(module, name)
            if is_class(value) and module_name == "_engine":
                continue
            if name not in top:
                yield f"{module_name}.{name}"
            if is_class(value) and value.__module__ == module.__name__:
                for attribute in of_class(value) - top:
                    yield f"{name}.{attribute}"
