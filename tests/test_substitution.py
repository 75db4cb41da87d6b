"""What programs get that import `multiprocessing` under `python -m goprocessing` or `install()`."""

from __future__ import annotations

from pathlib import Path

import pytest

from .test_scripts import SCRIPTS, lines, run


def installing(script: str, folder: Path) -> Path:
    """A copy of the script, and of what it imports, that installs the engine first of all."""
    for name in script, "imported.py":
        (folder / name).write_text((SCRIPTS / name).read_text())
    changed = folder / script
    changed.write_text("import goprocessing; goprocessing.install()\n" + changed.read_text())
    return changed


def test_names_imported_before(method: str) -> None:
    assert lines(run(SCRIPTS / "early_imports.py", method)) == [
        "made by what was imported before: goprocessing",
        "full: True value: 7",
        "isinstance: True True",
        f"method: {method} True",
        "multiprocessing hello goprocessing 3",
        "goprocessing hello goprocessing",
    ]


@pytest.mark.parametrize("how", ["command", "install", "plain"])
def test_a_queue_with_a_feeder_of_its_own(how: str, method: str, tmp_path: Path) -> None:
    script = "own_feeder.py"
    output = lines(
        run("-m", "goprocessing", SCRIPTS / script, method)
        if how == "command"
        else run(installing(script, tmp_path), method)
        if how == "install"
        else run(SCRIPTS / script, method)
    )
    whose = "multiprocessing" if how == "plain" else "goprocessing"
    assert output == [
        "back: TO THE CHILD: HELLO",
        f"has its attributes: {method == 'fork'}",
        "reported: True",
        f"pipe: {whose}.connection lock: {whose}.synchronize",
        "isinstance: True True True True",
    ]


@pytest.mark.parametrize("how", ["command", "module", "install"])
def test_modules_that_children_import(how: str, method: str, tmp_path: Path) -> None:
    script = "imports_a_module.py"
    result = (
        run("-m", "goprocessing", SCRIPTS / script, method)
        if how == "command"
        else run("-m", "goprocessing", "-m", "imports_a_module", method, cwd=SCRIPTS)
        if how == "module"
        else run(installing(script, tmp_path), method)
    )
    inside = [f"{depth} goprocessing" for depth in (1, 2, 3)]
    assert lines(result) == [*inside, "subprocess multiprocessing"]


def test_modules_that_the_fork_server_imports_first() -> None:
    program = ["imports_a_module.py", "forkserver", "imported"]
    output = lines(run("-m", "goprocessing", *program, cwd=SCRIPTS))
    assert output[:3] == [f"{depth} goprocessing" for depth in (1, 2, 3)]


def test_a_pool_whose_worker_dies(method: str) -> None:
    output = lines(run("-m", "goprocessing", SCRIPTS / "dying_worker.py", method))
    assert output == [
        *["isinstance: True", "WorkerDied goprocessing", "[1]"] * 3,
        "[1] True multiprocessing [1]",
    ]


@pytest.mark.parametrize("imported", [False, True])
def test_pools_are_substituted_when_they_are_imported(imported: bool) -> None:
    program = [
        "import inspect, pickle, sys, goprocessing",
        "from multiprocessing import pool" if imported else "pass",
        "goprocessing.install()",
        f"assert ('multiprocessing.pool' in sys.modules) == {imported}",
        "from multiprocessing import pool",
        "assert pool.__loader__ is pool.__spec__.loader and inspect.getsource(pool.Pool)",
        "assert pickle.loads(pickle.dumps(pool.Pool)) is pool.Pool",
        "assert 'goprocessing.pool' not in sys.modules",
        "with pool.Pool(1) as workers: print(type(workers).__module__)",
    ]
    assert lines(run("-c", "\n".join(program))) == ["goprocessing.pool"]
