"""Programs in C and Go, built into a directory that is gone when this process ends."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from .work import Missing

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="goprocessing-bench-")


def _build(command: list[str], what: str, *sources: str) -> Path:
    if not shutil.which(command[0]):
        raise Missing(command[0])
    program = Path(_folder().name, what)
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"}
    built = subprocess.run(
        [*command, "-o", program, *sources], cwd=ROOT, env=env, capture_output=True, text=True
    )
    if built.returncode:
        raise RuntimeError(f"{what} could not be built:\n{built.stderr}")
    return program


def compile_c(name: str) -> Path:
    compiler = shlex.split(os.environ.get("CC", "cc"))
    return _build([*compiler, "-O2"], name, str(HERE / f"{name}.c"))


def build_go(name: str) -> Path:
    """The Go program in the directory of that name; GO names the go command."""
    go = [os.environ.get("GO", "go"), "build", "-buildvcs=false"]
    return _build(go, name, f"./{(HERE / name).relative_to(ROOT)}")
