"""The interpreters under test: temporary virtual environments, one for each implementation.

What an environment's Python uses is settled by a .pth file, at its start. So it holds
in whatever a test starts, `python -I` with an empty environment included; only
`python -S` gets the standard library.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import goprocessing

__all__ = ["Environment"]

INSIDE = Path(__file__).with_name("inside")


@dataclass(frozen=True)
class Environment:
    implementation: str
    """"stdlib", "ours", or "broken-parent" or "broken-child" of it."""
    folder: Path

    @classmethod
    def make(cls, implementation: str, mode: str, folder: Path) -> Environment:
        made = cls(implementation, folder / implementation)
        venv.create(made.folder / "venv", symlinks=True)
        packages = made.packages
        # A copy: whoever edits the files does not disturb the run.
        shutil.copytree(INSIDE, packages.joinpath(*__package__.split("."), INSIDE.name))
        if implementation != "stdlib":
            os.symlink(Path(goprocessing.__file__).parent, packages / "goprocessing")
            (packages / "substitution.pth").write_text(
                "import tests.cpython.inside.substitution as substitution;"
                f" substitution.apply({mode!r}, {implementation!r})\n"
            )
        made.temporary.mkdir()
        return made

    @property
    def packages(self) -> Path:
        base = str(self.folder / "venv")
        return Path(sysconfig.get_path("purelib", "venv", {"base": base, "platbase": base}))

    @property
    def python(self) -> str:
        return str(self.folder / "venv" / "bin" / "python")

    @property
    def temporary(self) -> Path:
        """For what the tests write."""
        return self.folder / "tmp"

    def variables(self) -> dict[str, str]:
        """The environment variables to start Python with."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        return kept | {"TMPDIR": str(self.temporary)}
