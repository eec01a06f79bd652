"""Links to other places exist only when the repository is known; the download stands alone either way."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import nbformat
import pytest
from example_book import SLUG

from dlparadox.press.links import repository
from dlparadox.press.merge import write_page
from dlparadox.press.standalone import plain_markdown, setup_source

URL = "https://github.com/someone/some-book"


def card(project: Path) -> str:
    return str(nbformat.read(write_page(SLUG, project), as_version=4).cells[1].source)


def download(project: Path) -> nbformat.NotebookNode:
    return nbformat.read(project / "book/generated/files/notebooks/random-labels.ipynb", as_version=4)


def test_without_a_repository_there_is_no_dead_button(project: Path) -> None:
    assert "https://" not in card(project)
    assert card(project).count('class="dlp-button"') == 1


def test_with_a_repository_every_link_is_there(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPOSITORY_URL", URL + ".git")
    text = card(project)
    assert f"https://colab.research.google.com/github/someone/some-book/blob/gh-pages/notebooks/{SLUG}.ipynb" in text
    assert "https://mybinder.org/v2/gh/someone/some-book/main?labpath=experiments%2Frandom-labels.ipynb" in text
    assert f"{URL}/edit/main/experiments/random-labels.md" in text
    report = text.split(f'href="{URL}/issues/new?')[1].split('"')[0].replace("&amp;", "&")
    fields = parse_qs(urlsplit("?" + report).query)
    assert fields["title"] == ["random-labels:"] or fields["title"] == ["random-labels: "]
    for part in ("Page: chapters/random-labels", "Profile: quick", "- Python 3.11.7", "- torch 2.13.0"):
        assert part in fields["body"][0]


@pytest.mark.parametrize(
    "url", ["github.com/a/b", "https://github.com/a", "https://example.org/a/b", "ftp://github.com/a/b"]
)
def test_an_address_that_is_no_repository_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPOSITORY_URL", url)
    with pytest.raises(ValueError, match=r"REPOSITORY_URL must look like https://github.com/owner/name; got"):
        repository()


def test_empty_address_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPOSITORY_URL", " ")
    assert repository() is None


def test_download_installs_the_package_from_the_repository(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPOSITORY_URL", URL)
    write_page(SLUG, project)
    notebook = download(project)
    nbformat.validate(notebook)
    source = notebook.cells[0].source
    assert f"dlparadox @ git+{URL}" in source and "importlib.util.find_spec('dlparadox') is None" in source
    compile(source, "setup", "exec")
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code")


def test_download_without_a_repository_says_what_to_do(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_page(SLUG, project)
    source = download(project).cells[0].source
    exec(source, {})  # the package is here, so nothing happens
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"dlparadox is not installed: run `pip install -e \.`"):
        exec(source, {})


def test_installing_is_skipped_where_the_package_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPOSITORY_URL", URL)
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("nothing should be installed"))
    exec(setup_source(repository()), {})


def test_download_reads_well_without_jupyter_book(project: Path) -> None:
    write_page(SLUG, project)
    text = "\n".join(cell.source for cell in download(project).cells if cell.cell_type == "markdown")
    assert "It fits 100.0% of the random labels, as\nZhang et al. (2017) saw." in text
    assert "**Predict**" in text and ":::" not in text and ":class:" not in text


def test_plain_markdown_of_roles_and_boxes() -> None:
    text = "(here)=\n## A\n\n```{math}\nx^2\n```\n\n"
    text += "See {doc}`the ledger <../generated/ledger>` and {ref}`there`, {glue:text}`a:.2f`."
    plain = plain_markdown(text, {"a": "0.123"}, {})
    assert plain == "## A\n\n$$\nx^2\n$$\n\nSee the ledger and there, 0.12."
