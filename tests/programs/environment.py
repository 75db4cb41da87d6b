"""A virtual environment for one program, and the program's sources."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTEST = ("pytest==9.2.0", "pytest-timeout==2.4.0")


def _check(command: Sequence[str | Path]) -> str:
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if result.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{result.stdout}{result.stderr}")
    return result.stdout


def build_wheel(directory: Path) -> Path:
    """A wheel of this source."""
    _check([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", directory, ROOT])
    (wheel,) = directory.glob("goprocessing-*.whl")
    return wheel


class Environment:
    """Made with the interpreter that runs this."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.python = directory / "venv" / "bin" / "python"
        _check([sys.executable, "-m", "venv", directory / "venv"])

    def pip(self, *arguments: str | Path) -> str:
        return _check([self.python, "-m", "pip", "--disable-pip-version-check", *arguments])

    def install(self, *requirements: str | Path) -> None:
        self.pip("install", "-q", *requirements)

    def versions(self) -> dict[str, str]:
        """Of each installed distribution."""
        listed = json.loads(self.pip("list", "--format", "json"))
        return {entry["name"].lower(): entry["version"] for entry in listed}

    def packages(self) -> Path:
        """Where the packages are installed."""
        (found,) = self.directory.glob("venv/lib/python3.*/site-packages")
        return found

    def unpack_source(self, requirement: str, target: Path) -> Path:
        """Unpacks the source distribution of a requirement: the directory that it consists of."""
        name = requirement.partition("==")[0].partition("[")[0]
        download = self.directory / "sdist"
        if not download.exists():
            self.pip(
                *("download", "-q", "--no-deps", "--no-binary", name),
                *("-d", download, requirement),
            )
        (archive,) = download.iterdir()
        with tarfile.open(archive) as tar:
            tar.extractall(target, filter="data")
        (unpacked,) = target.iterdir()
        return unpacked


def variables(*python_path: Path) -> dict[str, str]:
    """The environment variables of a run: this one's, less what would change it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST", "COVERAGE"))
    }
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, python_path))}
