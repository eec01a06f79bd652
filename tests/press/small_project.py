"""A small project of its own: chapters that take seconds, and a copy of the package to change."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from dlparadox.press.paths import Project

ROOT = Path(__file__).resolve().parents[2]


def small_project(root: Path) -> Project:
    """The chapters `tiny` (uses labels and seeding) and `plain` (uses neither), with all that runs them."""
    (root / "experiments").mkdir(parents=True)
    for slug in ("tiny", "plain"):
        shutil.copy(ROOT / "tests" / "fixtures" / f"{slug}.md", root / "experiments")
    for name in ("pyproject.toml", "requirements.lock", "Snakefile"):
        shutil.copy(ROOT / name, root)
    shutil.copytree(ROOT / "src" / "dlparadox", root / "src" / "dlparadox", ignore=shutil.ignore_patterns("*.pyc"))
    (root / "book").mkdir()
    shutil.copy(ROOT / "book" / "references.bib", root / "book")
    return Project(root)


def environment(source: Path) -> dict[str, str]:
    """The environment of a command that uses the copy of the package in the folder ``source``."""
    return {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}


def start(project: Project, *arguments: str) -> "subprocess.Popen[str]":
    """Start one command of the press in a project, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "dlparadox.press", *arguments],
        cwd=project.root,
        env=environment(project.root / "src"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def press(project: Project, *arguments: str) -> tuple[int, str]:
    """Run one command of the press in a project and return its exit status and what it printed."""
    process = start(project, *arguments)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def executed_notebooks(project: Project) -> list[str]:
    """Targets for the quick runs of all chapters."""
    return [f"build/quick/{slug}.ipynb" for slug in project.chapters()]
