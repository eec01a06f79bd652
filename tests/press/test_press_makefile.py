"""The Makefile makes its environment with the Python it finds, and recovers from an interruption."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from small_project import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")

#: A stand-in for Python: says its version, may lack ensurepip, makes an environment whose pip may fail once.
PYTHON = """#!/bin/sh
case "$*" in
    *"sys.version_info[:3]"*) echo {version} ;;
    *"sys.version_info < "*) exit {old} ;;
    *ensurepip*) exit {bare} ;;
    *snakemake_executor_plugin*) exit 1 ;;
    *"venv --clear"*)
        echo cleared >> log
        rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    *"pip install"*)
        echo "$*" >> log
        if [ -e fail ]; then rm fail; exit 1; fi ;;
    *) echo "$*" >> log ;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder, with a space in its name, that holds a Makefile and what it depends on."""
    root = tmp_path / "a folder"
    root.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, root)
    return root


def python(folder: Path, version: str = "3.12.1", *, old: bool = False, bare: bool = False) -> str:
    """A stand-in for Python, as an argument for make."""
    path = folder.parent / "python"
    path.write_text(PYTHON.format(version=version, old=int(old), bare=int(bare)))
    path.chmod(0o755)
    return f"PYTHON={path}"


def make(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run make and return its exit status and what it printed."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=clean,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_help_is_the_default_and_explains_every_target(folder: Path) -> None:
    status, output = make(folder)
    targets = set(re.search(r"^\.PHONY: (.*)$", (folder / "Makefile").read_text(), re.M)[1].split()) - {"moved"}
    assert status == 0
    assert set(re.findall(r"^  make (\w+) ", output, re.M)) == targets


def test_an_old_python_is_named(folder: Path) -> None:
    status, output = make(folder, "sync", python(folder, "3.9.18", old=True))
    assert status != 0
    assert f"Python 3.11 or newer is needed; found: {folder.parent / 'python'} is 3.9.18" in output


def test_a_python_without_ensurepip_is_named(folder: Path) -> None:
    status, output = make(folder, "sync", python(folder, bare=True))
    assert status != 0
    assert "cannot make virtual environments, install python3-venv" in output


def test_a_python_that_is_not_there_is_named(folder: Path) -> None:
    status, output = make(folder, "sync", "PYTHON=/no/such/python")
    assert status != 0
    assert "found: /no/such/python does not run" in output


def test_the_environment_is_made_once(folder: Path) -> None:
    argument = python(folder)
    assert make(folder, "sync", argument)[0] == 0
    first = (folder / "log").read_text().splitlines()
    assert first == [
        "cleared",
        "-m pip install -r requirements.lock",
        "-m pip install --no-deps -e .",
        "-m dlparadox.press sync",
    ]
    assert make(folder, "sync", argument)[0] == 0
    assert (folder / "log").read_text().splitlines() == [*first, "-m dlparadox.press sync"]


def test_an_interrupted_bootstrap_starts_afresh(folder: Path) -> None:
    argument = python(folder)
    (folder / "fail").touch()
    assert make(folder, "sync", argument)[0] != 0
    assert not (folder / ".venv" / ".ready").exists()
    assert make(folder, "sync", argument)[0] == 0
    assert (folder / "log").read_text().splitlines().count("cleared") == 2


def test_a_changed_lock_updates_the_environment(folder: Path) -> None:
    argument = python(folder)
    make(folder, "sync", argument)
    newer = (folder / ".venv" / ".ready").stat().st_mtime + 5
    os.utime(folder / "requirements.lock", (newer, newer))
    assert make(folder, "sync", argument)[0] == 0
    log = (folder / "log").read_text().splitlines()
    assert log.count("cleared") == 1
    assert log.count("-m pip install -r requirements.lock") == 2


def test_a_moved_project_gets_a_new_environment(folder: Path) -> None:
    argument = python(folder)
    make(folder, "sync", argument)
    moved = folder.rename(folder.with_name("another folder"))
    assert make(moved, "sync", argument)[0] == 0
    assert (moved / "log").read_text().splitlines().count("cleared") == 2


def test_the_executor_reaches_the_press(folder: Path) -> None:
    assert make(folder, "paper", python(folder), "NAME=tiny", "EXECUTOR=local", "CORES=3")[0] == 0
    assert make(folder, "paper", python(folder), "NAME=tiny")[0] == 0
    assert (folder / "log").read_text().splitlines()[-2:] == [
        "-m dlparadox.press paper --executor local --cores 3 -- tiny",
        "-m dlparadox.press paper --executor  --cores all -- tiny",
    ]


def test_the_plugin_for_slurm_is_installed_where_jobs_are_submitted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sbatch = folder / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text("#!/bin/sh\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:{os.environ['PATH']}")
    assert make(folder, "paper", python(folder), "NAME=tiny", "EXECUTOR=slurm")[0] == 0
    assert (folder / "log").read_text().splitlines()[-2:] == [
        "-m pip install -c requirements.lock -e .[cluster]",
        "-m dlparadox.press paper --executor slurm --cores all -- tiny",
    ]


def test_parameters_reach_the_press_as_they_were_typed(folder: Path) -> None:
    status, _ = make(folder, "chapter", python(folder), "NAME=tiny", "PARAMS=rates=[0, 0.5] name='it*s $$HOME'")
    assert status == 0
    last = (folder / "log").read_text().splitlines()[-1]
    assert last == "-m dlparadox.press chapter -- tiny rates=[0, 0.5] name='it*s $HOME'"
