"""Programs as their users write them, with only the import changed, and not changed at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from goprocessing import __version__

from .conftest import build_go

SCRIPTS = Path(__file__).parent / "scripts"

EXPECTED = {
    "one_process.py": [
        "full: True",
        "a string",
        "{'a': 'dict'}",
        "['a', 'list']",
        "empty: True",
    ],
    "producers_consumers.py": [
        "producer 0 is done",
        "producer 1 is done",
        "producer 2 is done",
        "the main process is done",
    ],
    "pipe_generator.py": [
        "received 0",
        "received 1",
        "received 2",
        "received 3",
        "received 4",
        "end of file",
        "exit code 0",
    ],
}


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
    )


def lines(result: subprocess.CompletedProcess[str]) -> list[str]:
    """What it printed, if it ended in good order and did not complain."""
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


@pytest.mark.parametrize("script", EXPECTED)
def test_import_changed(script: str, method: str, tmp_path: Path) -> None:
    source = (SCRIPTS / script).read_text()
    changed = tmp_path / script
    changed.write_text(source.replace("from multiprocessing import", "from goprocessing import"))
    assert changed.read_text() != source
    assert sorted(lines(run(changed, method))) == sorted(EXPECTED[script])


@pytest.mark.parametrize("script", EXPECTED)
def test_unchanged(script: str, method: str) -> None:
    assert sorted(lines(run("-m", "goprocessing", SCRIPTS / script, method))) == sorted(
        EXPECTED[script]
    )


@pytest.mark.parametrize("script", EXPECTED)
def test_unchanged_as_a_module(script: str, method: str) -> None:
    result = run("-m", "goprocessing", "-m", script.removesuffix(".py"), method, cwd=SCRIPTS)
    assert sorted(lines(result)) == sorted(EXPECTED[script])


def test_the_substitution_reaches_everything(method: str) -> None:
    assert lines(run("-m", "goprocessing", SCRIPTS / "library.py", method)) == [
        "goprocessing.queues goprocessing.synchronize goprocessing.synchronize"
        " goprocessing.connection",
        f"start method in the child: {method}",
        "event: True",
        "counted 1",
        "pool: [0, 1, 4, 9, 16]",
        "manager: managed",
        "executor: [0, 1, 4, 9, 16]",
    ]


def test_install(method: str, tmp_path: Path) -> None:
    """In the first line of a program: spawned children run it again."""
    script = tmp_path / "script.py"
    source = (SCRIPTS / "library.py").read_text()
    script.write_text("import goprocessing; goprocessing.install()\n" + source)
    assert lines(run(script, method))[0].startswith("goprocessing.queues")


def test_the_environment_of_a_script(tmp_path: Path) -> None:
    script = tmp_path / "exit_status.py"
    script.write_text((SCRIPTS / "exit_status.py").read_text())
    plain = run("exit_status.py", "-x", "--", "-m", cwd=tmp_path)
    ours = run("-m", "goprocessing", "exit_status.py", "-x", "--", "-m", cwd=tmp_path)
    assert lines(ours) == lines(plain)
    by_path = run("-m", "goprocessing", script, "y", cwd=SCRIPTS)
    assert lines(by_path) == lines(run(script, "y", cwd=SCRIPTS))
    module = run("-m", "goprocessing", "-m", "exit_status", "-h", cwd=tmp_path)
    assert lines(module) == lines(run("-m", "exit_status", "-h", cwd=tmp_path))


@pytest.mark.parametrize("how", ["code", "message", "error", "hook", "interrupt"])
@pytest.mark.parametrize("as_module", [False, True], ids=["script", "module"])
def test_ends_like_plain_python(how: str, as_module: bool) -> None:
    program = ["-m", "exit_status"] if as_module else ["exit_status.py"]
    plain = run(*program, how, cwd=SCRIPTS)
    ours = run("-m", "goprocessing", *program, how, cwd=SCRIPTS)
    assert ours.returncode == plain.returncode
    assert ours.stdout.splitlines()[-1:] == plain.stdout.splitlines()[-1:]
    assert "goprocessing" not in ours.stderr
    if not as_module:
        assert ours.stderr == plain.stderr


def test_a_syntax_error(tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("x = (\n")
    plain, ours = run(script), run("-m", "goprocessing", script)
    assert (ours.returncode, ours.stderr) == (plain.returncode, plain.stderr)


def test_help_and_version() -> None:
    for option in "-h", "--help":
        assert lines(run("-m", "goprocessing", option))[0].startswith(
            "usage: python -m goprocessing"
        )
    assert lines(run("-m", "goprocessing", "--version")) == [f"goprocessing {__version__}"]


def test_what_else_python_runs(tmp_path: Path) -> None:
    program = "import multiprocessing, sys; print(type(multiprocessing.Lock()), sys.argv[1:])"
    directory, archive = tmp_path / "directory", tmp_path / "archive.pyz"
    directory.mkdir()
    (directory / "__main__.py").write_text(program)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("__main__.py", program)
    (tmp_path / "joined.py").write_text(program)
    expected = ["<class 'goprocessing.synchronize.Lock'> ['--help']"]
    for arguments in [directory], [archive], ["-mjoined"]:
        assert lines(run("-m", "goprocessing", *arguments, "--help", cwd=tmp_path)) == expected


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "required"),
        (["no_such_file.py"], "can't open file 'no_such_file.py': no such file"),
        (["."], "can't find '__main__' module in"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["-m"], "expected one argument"),
        (["-m", "no_such_module"], "No module named no_such_module"),
    ],
)
def test_bad_arguments(arguments: list[str], text: str, tmp_path: Path) -> None:
    result = run("-m", "goprocessing", *arguments, cwd=tmp_path)
    assert result.returncode != 0
    assert text in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [[], ["--producers", "2", "--consumers", "2"]])
def test_wordcount(method: str, arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one two two\n" * 1000)
    (tmp_path / "b.txt").write_bytes(b"three three \xff\xfe three\n" * 500)
    (tmp_path / "c.bin").write_bytes(b"not counted")
    (tmp_path / "empty.py").write_text("")
    program = "goprocessing.examples.wordcount"
    if method != "fork":
        # Now and then the standard library's job ends with a warning of its
        # resource tracker about a semaphore of its own.
        arguments = [*arguments, "--no-compare"]
    output = lines(run("-m", program, "--start-method", method, *arguments, tmp_path))
    assert output[0].startswith("3 files, ")
    assert [line.split() for line in output[1:4]] == [
        ["2,000", "two"],
        ["1,500", "three"],
        ["1,000", "one"],
    ]
    assert output[-1] == "the results agree"


@pytest.mark.timeout(600)  # with nothing cached the program takes long to compile
def test_hashing(tmp_path: Path) -> None:
    go = build_go("core/examples/hash", tmp_path)
    files = tmp_path / "files"
    (files / "below").mkdir(parents=True)
    (files / "empty").write_bytes(b"")
    (files / "below/\u00e4 b").write_bytes(b"text" * 100_000)
    for number in range(50):
        (files / f"{number}").write_bytes(bytes(number))
    (files / os.fsdecode(b"no text: \xff")).touch()
    program = "goprocessing.examples.hashing"
    arguments = ["-m", program, "--workers", "2", "--go", go, files]
    with subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=100)
        finally:
            process.kill()
    assert (process.returncode, err) == (0, "")
    output = out.splitlines()
    assert output[0].startswith("52 files, 0.4 MB; 2 workers")
    assert [line[:18].rstrip() for line in output[1:4]] == [
        "one process",
        "workers in Python",
        "workers in Go",
    ]
    assert output[4:] == ["the results agree"]
    assert not [name for name in os.listdir("/dev/shm") if f"hashing-{process.pid}-" in name]


def test_hashing_by_workers_that_fail(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    program = "goprocessing.examples.hashing"
    failed = run("-m", program, "--go", shutil.which("false") or "", tmp_path)
    assert failed.returncode == 1
    assert failed.stderr == "hashing: a worker has ended: [1]\n"
    assert run("-m", program, tmp_path / "missing").returncode == 2


def test_wordcount_of_nothing(tmp_path: Path) -> None:
    program = "goprocessing.examples.wordcount"
    missing = run("-m", program, tmp_path / "missing")
    assert missing.returncode == 2
    assert "missing: No such file or directory" in missing.stderr
    none = run("-m", program, tmp_path)
    assert none.returncode == 2
    assert "no text files found" in none.stderr
