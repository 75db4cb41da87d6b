"""Runs a program with its `multiprocessing` imports served by this package, or looks after
what such programs share."""

from __future__ import annotations

import argparse
import importlib
import importlib.machinery
import io
import os
import runpy
import signal
import sys
import types

from . import __version__, install

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


# Modules of this package that begin with an underscore.
COMMANDS = ("ps", "top", "repair", "unlink")


def own_arguments(argv: Sequence[str]) -> int:
    """How many of argv are this command's: the rest is the program's."""
    for index, argument in enumerate(argv):
        if argument == "-m":
            return index + 2
        if argument.startswith("-m") or not argument.startswith("-"):
            return index + 1
    return len(argv)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m goprocessing",
        usage="%(prog)s [-h] [--version] (-m module | script.py | ps | top | repair | unlink) ...",
        description="Run a program that uses multiprocessing on goprocessing instead, "
        "in all the processes it starts. Or, unless there is a file of that name, "
        "list what is shared (ps), watch it (top), complete what processes left undone that "
        "were killed (repair), or take names away (unlink).",
        epilog="What follows the module, script or command are its own arguments.",
    )
    parser.add_argument("--version", action="version", version=f"goprocessing {__version__}")
    parser.set_defaults(command=None)
    program = parser.add_mutually_exclusive_group()
    program.add_argument("-m", dest="module", metavar="module", help="run a module by its name")
    program.add_argument("script", nargs="?", metavar="script.py", help="run a file")
    own = own_arguments(argv)
    options = parser.parse_args(argv[:own])
    options.arguments = argv[own:]
    if options.module is None and options.script is None:
        parser.error("a module or a script is required")
    if options.script is not None and not os.path.exists(options.script):
        if options.script not in COMMANDS:
            parser.error(f"can't open file {options.script!r}: no such file")
        options.command = options.script
    return options


def new_main() -> types.ModuleType:
    """A fresh `__main__`: spawned processes import what it says it was made from."""
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = sys.modules["__mp_main__"] = main
    return main


def is_archive(path: str) -> bool:
    """Whether modules can be imported from below path: it is a directory, or a zip file."""
    # As pkgutil.get_importer, but that module takes longer to import than all else here.
    for hook in sys.path_hooks:
        try:
            hook(path)
        except ImportError:
            continue
        return True
    return False


def run_archive(path: str) -> None:
    """Runs the `__main__` module below path."""
    if sys.flags.safe_path:
        sys.path.insert(0, path)
    else:
        sys.path[0] = path
    new_main()
    # What `python path` itself calls.
    runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]


def run_script(script: str, arguments: list[str]) -> None:
    sys.argv = [script, *arguments]
    if is_archive(script):
        run_archive(os.path.abspath(script))
        return
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.realpath(script))
    main = new_main()
    main.__file__ = os.path.abspath(script)
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", main.__file__)
    main.__dict__["__cached__"] = None
    with io.open_code(main.__file__) as file:
        code = compile(file.read(), main.__file__, "exec", dont_inherit=True)
    exec(code, main.__dict__)


def run_module(module: str, arguments: list[str]) -> None:
    sys.argv = [module, *arguments]
    new_main()
    # What `python -m` itself calls.
    runpy._run_module_as_main(module)  # type: ignore[attr-defined]


def run(program: Callable[[], None]) -> None:
    """Runs program so that an error's traceback begins in it, not here."""
    try:
        program()
    except SystemExit:
        raise
    except BaseException as error:
        begin = error.__traceback__
        while begin is not None and begin.tb_frame.f_code.co_filename == __file__:
            begin = begin.tb_next
        hook = sys.excepthook

        def without_runner(
            kind: type[BaseException], value: BaseException, _: types.TracebackType | None
        ) -> None:
            hook(kind, value.with_traceback(begin), begin)

        # The interpreter still handles the exception itself: it runs atexit
        # functions first, and ends by SIGINT after KeyboardInterrupt.
        sys.excepthook = without_runner
        raise


def run_command(command: str, arguments: list[str]) -> None:
    # Like other programs of the shell: `ps | head` ends without a word, and what the
    # terminal has no character for does not matter.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    importlib.import_module(f"goprocessing._{command}").main(arguments)


def main() -> None:
    options = parse(sys.argv[1:])
    if options.command is not None:
        run_command(options.command, options.arguments)
        return
    install()
    if options.module is not None:
        run(lambda: run_module(options.module, options.arguments))
    else:
        run(lambda: run_script(options.script, options.arguments))


if __name__ == "__main__":
    main()
