"""What the documents point to exists: files, headings, make targets, parameters; no placeholder is left."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md"]
MADE = ("build/", "_build/", "results/", ".venv/", "book/chapters/", "book/generated/")
#: Folders that hold a project's own files; in backticks, a path below one of them has to exist.
FOLDERS = ("experiments/", "src/", "tests/", "book/", "benchmarks/", ".ci/", ".github/")


def text(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def anchors(document: str) -> set[str]:
    """Anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_inside_the_repository_resolve(document: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", text(document))
    for link in links:
        if re.match(r"https?://", link):
            continue
        name, _, anchor = link.partition("#")
        path = (ROOT / document).parent / name if name else ROOT / document
        assert path.exists(), f"{document} links to {link}"
        if anchor:
            assert anchor in anchors(str(path.relative_to(ROOT))), f"{document} links to {link}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_are_named_exist(document: str) -> None:
    named = re.findall(r"`([\w./-]+)`", text(document)) + re.findall(r"experiments/[\w./-]+\.\w+", text(document))
    for name in named:
        if name.startswith(FOLDERS) and not name.startswith((*MADE, "experiments/records/")):
            assert (ROOT / name).exists(), f"{document} names {name}"


@pytest.mark.parametrize("document", [*DOCUMENTS, "book/how-to-read.md", "book/intro.md"])
def test_make_targets_that_are_named_exist(document: str) -> None:
    named = set(re.findall(r"(?:`|^)make ([a-z]+)", text(document), re.MULTILINE))
    assert named <= targets(), f"{document} names targets that the Makefile does not have"


def test_every_make_target_is_explained() -> None:
    explained = set(re.findall(r"^([a-z]+):.*## ", text("Makefile"), re.MULTILINE))
    assert explained == targets() - {"moved"}


def test_the_parameters_that_the_readme_changes_exist() -> None:
    from dlparadox.press.parameters import defaults, parsed

    for name, given in re.findall(r'NAME=([\w-]+) PARAMS="([^"]*)"', text("README.md")):
        assert parsed(given).keys() <= defaults(ROOT / "experiments" / f"{name}.md").keys()
    by_papermill = re.findall(r"-p (\w+) ", text("README.md"))
    assert set(by_papermill) <= defaults(ROOT / "experiments" / "random-labels.md").keys()


def test_the_readmes_figure_has_a_text_that_states_its_finding() -> None:
    figures = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text("README.md"))
    assert figures and all(len(alt) > 60 for alt, _ in figures)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_placeholder_is_left(document: str) -> None:
    assert not re.findall(r"@@\w+@@|TODO|FIXME|XXX", text(document))
