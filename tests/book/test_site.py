"""The book is built from nothing, checked, and put in place at once; a failure leaves the last good one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from example_book import SLUG, make_project

from dlparadox.press.errors import BuildError
from dlparadox.press.merge import write_page
from dlparadox.press.site import build_html, write_generated
from dlparadox.press.sitecheck import broken_links


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose book has been built once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("REPOSITORY_URL", raising=False)
        root = make_project(tmp_path_factory.mktemp("site"))
        write_page(SLUG, root)
        write_generated(root)
        assert build_html(root) == root / "_build" / "html" / "index.html"
        yield root


def test_every_page_is_there_and_no_left_over(built: Path) -> None:
    site = built / "_build" / "html"
    for page in ("index", "intro", "search", "generated/ledger", "generated/status", f"chapters/{SLUG}"):
        assert (site / f"{page}.html").is_file()
    assert (site / "notebooks" / f"{SLUG}.ipynb").is_file()
    assert (site / "data" / SLUG / "quick" / "runs.csv").is_file()
    assert not (built / "_build" / "next").exists() and not (built / "_build" / "html.previous").exists()


def test_nothing_is_loaded_from_another_host(built: Path) -> None:
    for path in (built / "_build" / "html").rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "unpkg.com" not in text and "cdn.jsdelivr" not in text and "thebe" not in text.lower(), path
    assert broken_links(built / "_build" / "html") == []


def broken_reference(root: Path) -> None:
    page = root / "book" / "notation.md"
    page.write_text(page.read_text(encoding="utf-8") + "\nSee {doc}`no-such-page`.\n", encoding="utf-8")


def broken_link(root: Path) -> None:
    page = root / "book" / "notation.md"
    text = '\n```{raw} html\n<a href="chapters/no-such-chapter.html">there</a>\n```\n'
    page.write_text(page.read_text(encoding="utf-8") + text, encoding="utf-8")


def missing_glue(root: Path) -> None:
    page = root / "book" / "notation.md"
    text = f"\nAs {{glue:text}}`chapters/{SLUG}.ipynb::no-such-number:s` shows.\n"
    page.write_text(page.read_text(encoding="utf-8") + text, encoding="utf-8")


def unknown_citation(root: Path) -> None:
    page = root / "book" / "notation.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n{cite:t}`nobody1999` said so.\n", encoding="utf-8")


def missing_page(root: Path) -> None:
    (root / "book" / "chapters" / f"{SLUG}.ipynb").unlink()


def forgotten_chapter(root: Path) -> None:
    (root / "experiments" / "forgotten.md").write_text("# Forgotten\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (broken_reference, "no-such-page"),
        (broken_link, "chapters/no-such-chapter.html leads to no file"),
        (missing_glue, "no-such-number"),
        (unknown_citation, "nobody1999"),
        (missing_page, SLUG),
        (forgotten_chapter, "the chapter forgotten is not in book/_toc.yml"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_failing_build_keeps_the_last_good_book(built: Path, damage, named: str) -> None:
    kept = {path: path.read_bytes() for path in [built / "book/notation.md", built / f"book/chapters/{SLUG}.ipynb"]}
    good = built / "_build" / "html" / "notation.html"
    before = good.read_bytes()
    try:
        damage(built)
        with pytest.raises(BuildError) as caught:
            build_html(built)
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
        (built / "experiments" / "forgotten.md").unlink(missing_ok=True)
    message = str(caught.value)
    assert named in message
    assert str(built / "build" / "logs" / "book.log") in message and "The last good book is still at" in message
    assert good.read_bytes() == before


def test_interrupted_swap_is_repaired(built: Path) -> None:
    target = built / "_build" / "html"
    target.rename(target.with_name("html.previous"))
    build_html(built)
    assert (target / "index.html").is_file() and not target.with_name("html.previous").exists()


def test_site_check_finds_what_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "b.html").write_text('<p id="there">text</p>')
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">1</a><a href="b.html#nowhere">2</a><a href="c.html">3</a><a href="#top">4</a>'
        '<img src="https://example.org/x.png"><a href="https://example.org">5</a><a href="mailto:a@b">6</a>'
    )
    assert broken_links(tmp_path) == [
        "a.html: b.html#nowhere leads to no place on that page",
        "a.html: c.html leads to no file",
        "a.html: #top leads to no place on that page",
        "a.html: loads https://example.org/x.png from another host",
    ]
