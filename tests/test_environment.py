"""The files that describe the environment agree with each other: lock, ranges, conda, workflow, citation."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read_yaml(path: str | Path) -> Any:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def steps(job: dict[str, Any]) -> str:
    """All that a job of a workflow runs or uses."""
    return "\n".join(step.get("run", "") + step.get("uses", "") for step in job["steps"])


def locked() -> dict[str, str]:
    """Package name -> version in the lock."""
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in LOCK)}


def ranges() -> list[Requirement]:
    """What pyproject.toml asks for, with the extras that `make lock` locks; one for clusters comes on top."""
    locked_extras = re.findall(r"--extra (\w+)", (ROOT / "Makefile").read_text())
    assert set(PROJECT["optional-dependencies"]) == {*locked_extras, "cluster"}
    extras = [PROJECT["optional-dependencies"][name] for name in locked_extras]
    return [Requirement(text) for group in (PROJECT["dependencies"], *extras) for text in group]


def test_the_lock_pins_every_package_exactly() -> None:
    assert LOCK
    for line in LOCK:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*==[0-9][0-9A-Za-z.!]*", line), f"not an exact public pin: {line}"
    assert len(locked()) == len(LOCK), "a package is pinned twice"


def test_the_lock_holds_no_cuda_package() -> None:
    assert not [line for line in LOCK if re.match(r"nvidia|triton|cuda|cupy", line)]


@pytest.mark.parametrize("requirement", ranges(), ids=lambda requirement: requirement.name)
def test_the_lock_lies_in_the_ranges(requirement: Requirement) -> None:
    version = locked().get(canonicalize_name(requirement.name))
    assert version, f"{requirement.name} is not in requirements.lock; `make lock` renews it"
    assert requirement.specifier.contains(version, prereleases=True), f"{requirement} but {version} is locked"


def test_what_chapters_need_has_ranges_and_no_pins() -> None:
    for text in PROJECT["dependencies"]:  # a hosted notebook keeps the versions that it finds
        assert [one.operator for one in Requirement(text).specifier] == [">="], text


def test_conda_gets_the_lock_and_the_package() -> None:
    environment = read_yaml("environment.yml")
    python, pip, rest = environment["dependencies"]
    assert environment["name"] == PROJECT["name"]
    assert python == f"python{PROJECT['requires-python']}"
    assert pip == "pip" and rest == {"pip": ["-r requirements.lock", "-e ."]}


def test_makefile_and_tools_ask_for_the_same_python() -> None:
    floor = PROJECT["requires-python"].removeprefix(">=")
    major, minor = floor.split(".")
    assert f"sys.version_info < ({major}, {minor})" in (ROOT / "Makefile").read_text()
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert tools["ruff"]["target-version"] == f"py{major}{minor}" and tools["mypy"]["python_version"] == floor


def test_citation_has_what_the_format_asks_for() -> None:
    citation = read_yaml("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert all({"name"} <= set(author) or {"family-names"} <= set(author) for author in citation["authors"])
    assert citation["license"][0] == PROJECT["license"]


def test_versions_agree() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\] - (unreleased|\d{4}-\d\d-\d\d)$", changelog, re.MULTILINE)
    assert newest and newest[1] == PROJECT["version"] == str(read_yaml("CITATION.cff")["version"])


@pytest.mark.parametrize(
    "path",
    [
        "environment.yml",
        ".pre-commit-config.yaml",
        "_config.yml",
        "book/_toc.yml",
        "CITATION.cff",
        *WORKFLOWS,
    ],
    ids=lambda path: Path(path).name,
)
def test_yaml_files_parse(path: str | Path) -> None:
    assert isinstance(read_yaml(path), dict)


def test_hooks_use_the_projects_own_tools() -> None:
    hooks = [hook for repo in read_yaml(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert {hook["id"] for hook in hooks} == {"ruff", "ruff-format", "mypy", "pairs"}
    for hook in hooks:  # no other host than the package index is needed
        assert hook["language"] == "system" and hook["entry"].startswith(".venv/bin/python -m ")


def test_the_workflow_runs_the_two_commands_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
    commands = re.findall(r"^(make \w+)$", script.read_text(), re.MULTILINE)
    assert set(commands) == {"make book", "make test"}
    readme = (ROOT / "README.md").read_text()
    assert all(re.search(rf"^{command}\b", readme, re.MULTILINE) for command in commands)
    book = read_yaml(".github/workflows/book.yml")["jobs"]["book"]
    assert "bash .ci/run" in steps(book)
    assert book["env"]["REPOSITORY_URL"] == "${{ github.server_url }}/${{ github.repository }}"
    python = next(step["with"]["python-version"] for step in book["steps"] if "setup-python" in step.get("uses", ""))
    assert python in SpecifierSet(PROJECT["requires-python"])


def test_the_workflow_publishes_where_the_links_point() -> None:
    from dlparadox.press.links import BRANCH, PUBLISHED_BRANCH, Repository, chapter_links

    colab = dict(chapter_links(Repository("owner", "name"), "slug", "quick", {}))["Open in Colab"]
    assert colab.endswith(f"/owner/name/blob/{PUBLISHED_BRANCH}/notebooks/slug.ipynb")
    workflow = read_yaml(".github/workflows/book.yml")
    publish = workflow["jobs"]["publish"]
    assert publish["needs"] == "book" and f"refs/heads/{BRANCH}" in publish["if"]
    assert f"--initial-branch={PUBLISHED_BRANCH}" in steps(publish) and "branch/notebooks" in steps(publish)
    assert publish["permissions"] == {"contents": "write", "pages": "write", "id-token": "write"}
    assert workflow["permissions"] == {"contents": "read"}


def test_shell_of_the_workflows_is_valid() -> None:
    for path in WORKFLOWS:
        for name, job in read_yaml(path)["jobs"].items():
            for step in job["steps"]:
                script = re.sub(r"\$\{\{.*?\}\}", "value", step.get("run", ""))
                done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
                assert done.returncode == 0, f"{path.name}, {name}: {done.stderr}"
