"""Where a result comes from: commit, dirty flag and digest of a small project of its own."""

import subprocess
from importlib import metadata
from pathlib import Path

import pytest
import torch

from dlparadox import provenance
from dlparadox.provenance import code_state, peak_memory_mib, project_home, versions

HEAD = "---\nkernelspec:\n  display_name: x\n  language: python\n  name: python3\n---\n\n"
TEXT = HEAD + "# Title\n\n```{code-cell}\nx = 1\n```\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "src").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "experiments" / "slug.md").write_text(TEXT)
    (tmp_path / "src" / "code.py").write_text("x = 1\n")
    (tmp_path / "README.md").write_text("readme\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def git(home: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=home, check=True, capture_output=True, text=True).stdout


def test_the_state_of_the_code(home: Path) -> None:
    git(home, "init")
    git(home, "add", ".")
    git(home, "commit", "-m", "first")
    state = code_state("slug", {"seed": 0})
    assert state["commit"] == git(home, "rev-parse", "HEAD").strip() and len(state["commit"]) == 40
    assert state["dirty"] is False
    assert state["digest"].keys() == {"total", "code", "parameters", "modules"}
    (home / "README.md").write_text("other\n")
    assert code_state("slug", {"seed": 0}) == state


@pytest.mark.parametrize("path", ["src/code.py", "experiments/slug.md", "src/new.py", "experiments/paper/slug.yaml"])
def test_an_uncommitted_change_of_code_is_dirty(home: Path, path: str) -> None:
    git(home, "init")
    git(home, "add", ".")
    git(home, "commit", "-m", "first")
    (home / path).parent.mkdir(exist_ok=True)
    (home / path).write_text(TEXT + "\nmore\n")
    assert code_state("slug", {})["dirty"] is True


def test_a_repository_without_commit_and_no_repository(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(home.parent))
    state = code_state("slug", {})
    assert (state["commit"], state["dirty"]) == (None, None) and state["digest"]
    git(home, "init")
    state = code_state("slug", {})
    assert (state["commit"], state["dirty"]) == (None, True)


def test_no_git_at_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert [code_state("slug", {})[name] for name in ("commit", "dirty")] == [None, None]


def test_a_chapter_that_is_not_there(home: Path) -> None:
    assert code_state("other", {}) == {"commit": None, "dirty": None, "digest": None}


def test_the_digest_is_that_of_a_record(home: Path) -> None:
    before = code_state("slug", {"seed": 0})["digest"]
    assert code_state("slug", {"seed": 1})["digest"]["total"] != before["total"]
    figure = "\n```{code-cell}\n:tags: [figure]\n\nprint(x)\n```\n"
    (home / "experiments" / "slug.md").write_text(TEXT.replace("# Title", "# Other") + figure)
    assert code_state("slug", {"seed": 0})["digest"] == before


def test_the_project_is_found_from_below_and_from_the_package(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert project_home() == home
    monkeypatch.chdir(home / "experiments")
    assert project_home() == home
    (home / "pyproject.toml").unlink()
    found = project_home()  # now the one that this package lies in, if it lies in one
    assert found is None or found in Path(provenance.__file__).resolve().parents


def test_versions_are_those_installed() -> None:
    found = versions()
    assert found["torch"] == metadata.version("torch") and torch.__version__.startswith(found["torch"].split("+")[0])
    assert list(found) == ["torch", "numpy", "scipy", "scikit-learn", "pandas", "matplotlib"]


def test_peak_memory_is_in_mebibytes() -> None:
    before = peak_memory_mib()
    assert 20 < before < 100_000
    block = torch.ones(int(before * 2**20 / 4) + 16 * 2**20)
    assert peak_memory_mib() > before
    del block


def test_the_machine_is_not_named() -> None:
    assert provenance.machine().keys() == {"python", "platform"}
    assert "/" not in "".join(provenance.machine().values())
