"""A planted fault turns a verdict red and fails `make test`: a checker that cannot fail is a defect."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_project import ROOT, environment

from dlparadox.press.paths import Project

#: Text of src/dlparadox/labels.py, and what makes it wrong: labels that should be redrawn stay.
SOUND, WRONG = "redrawn = (chance < corruption)", "redrawn = (chance < 0 * corruption)"


def planted(folder: Path) -> Path:
    """A copy of the package, with labels that are never corrupted, in ``folder``."""
    shutil.copytree(ROOT / "src" / "dlparadox", folder / "dlparadox", ignore=shutil.ignore_patterns("*.pyc"))
    labels = folder / "dlparadox" / "labels.py"
    text = labels.read_text()
    assert SOUND in text, "labels.py has changed; plant the fault elsewhere"
    labels.write_text(text.replace(SOUND, WRONG))
    return folder


def regression_check(reference: Path, source: Path, results: Path) -> tuple[int, str]:
    """Run a reference under nbval, as `make test` does, with the package in ``source``."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval-lax",
        "--nbval-current-env",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*command, "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"), str(reference)],
        cwd=ROOT,
        env={**environment(source), "DLPARADOX_RESULTS": str(results)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_sound_chapter_passes_the_regression_check(executed: Project, tmp_path: Path) -> None:
    status, output = regression_check(executed.reference("tiny"), ROOT / "src", tmp_path)
    assert status == 0, output


def test_a_planted_fault_fails_the_regression_check(executed: Project, tmp_path: Path) -> None:
    source = planted(tmp_path / "src")
    status, output = regression_check(executed.reference("tiny"), source, tmp_path / "results")
    assert status == 1, output
    assert "not reproduced  tiny/fresh" in output


@pytest.mark.slow
def test_a_planted_fault_fails_a_chapter_of_the_book(tmp_path: Path) -> None:
    """A network whose "random" labels are the true ones does better than chance, and that is caught."""
    source = planted(tmp_path / "src")
    status, output = regression_check(Project(ROOT).reference("random-labels"), source, tmp_path / "results")
    assert status == 1, output
    assert "random-labels/chance" in output
