"""A small project for each test that asks for one."""

from pathlib import Path

import pytest
from example_book import make_project


@pytest.fixture(autouse=True)
def without_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the environment it is started in."""
    monkeypatch.delenv("REPOSITORY_URL", raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose one chapter has just been run."""
    return make_project(tmp_path)
