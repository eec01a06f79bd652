"""Fixtures: a small project, nothing of it executed, and one with its chapters executed."""

from pathlib import Path

import pytest
from small_project import executed_notebooks, press, small_project

from dlparadox.press.paths import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A small project, nothing of it executed. The space in its path is meant."""
    return small_project(tmp_path / "small project")


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small project with its chapters executed and references made; a test puts back what it changes."""
    project = small_project(tmp_path_factory.mktemp("executed") / "small project")
    status, output = press(project, "book", *executed_notebooks(project))
    assert status == 0, output
    for slug in project.chapters():
        status, output = press(project, "reference", slug)
        assert status == 0, output
    return project
