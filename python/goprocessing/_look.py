"""Prints what a function of core/inspect returns: the program of a process that
`goprocessing.inspect` makes for it.

It runs with nothing but the module that gopy made, at the path in its first argument; the
others are the function and its arguments. Of what gopy makes besides, in Python, nothing
is needed: that would have Go collect its garbage each time Python does (`gc.callbacks`).
"""

import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec


def main(path: str, function: str, *arguments: str) -> None:
    loader = ExtensionFileLoader("_inspect", path)
    module = loader.create_module(ModuleSpec("_inspect", loader, origin=path))
    loader.exec_module(module)
    sys.stdout.buffer.write(getattr(module, f"inspect_{function}")(*arguments).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
