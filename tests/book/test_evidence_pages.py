"""Ledger, status page and scoreboard tell every claim of every record, and which records are stale."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from example_book import SLUG, make_project

from dlparadox.press.cards import duration, memory, plain_summary, seeds_text, unnamed_data
from dlparadox.press.errors import PageError
from dlparadox.press.evidence import chapter_evidence, evidence
from dlparadox.press.ledger import ledger_page
from dlparadox.press.markup import bibliography, cited, verdict_badge
from dlparadox.press.scoreboard import scoreboard_fragment, scoreboard_svg
from dlparadox.press.site import write_generated
from dlparadox.press.status import status_page
from dlparadox.records import Record

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """A project with a quick and a paper-scale record."""
    return make_project(tmp_path, paper=True)


def make_stale(project: Path, change: dict[str, object]) -> None:
    path = project / "experiments" / "records" / SLUG / "record.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["provenance"]["digest"] |= change
    path.write_text(json.dumps(content), encoding="utf-8")


def test_ledger_has_every_claim_of_both_profiles(both: Path) -> None:
    page = ledger_page(evidence(both), both)
    for name in ("memorizes", "slowdown", "chance", "expressivity"):
        for profile in ("quick", "paper"):
            assert f'id="claim-random-labels-{name}-{profile}"' in page
    for part in (
        "A one-hidden-layer network fits uniformly random labels exactly.",
        '<a href="../references.html#cite-1-zhang2017">Zhang et al. (2017)</a>, Table 1',
        "train accuracy 99.34 %",
        "gives no number",
        "1 [1, 1], 5 seeds",
        "3.1 × 10⁻¹⁴ (no randomness)",
        "a fit is exact or it is not",
        "ten classes &lt;of equal size&gt;",
        "linear softmax: 0.306 [0.292, 0.320], 5 seeds",
        "fails, as it must",
        "too weak",
        "Why: digits are easier than CIFAR-10",
        "Quick profile: 4 claims, 1 reproduced, 1 not reproduced, 1 inconclusive, 1 void.",
        "Paper scale: 4 claims",
    ):
        assert part in page, part


def test_ledger_refuses_a_source_without_reference(project: Path) -> None:
    path = project / "build" / "quick" / SLUG / "record.json"
    path.write_text(
        path.read_text(encoding="utf-8").replace("zhang2017, Table 1", "nobody1999, Table 1"),
        encoding="utf-8",
    )
    with pytest.raises(PageError, match=r"cites 'nobody1999', which references\.bib does not have"):
        ledger_page(evidence(project), project)


def test_up_to_date_record_is_not_marked(both: Path) -> None:
    chapter = chapter_evidence(SLUG, both)
    assert chapter.stale == ()
    assert "stale" not in ledger_page([chapter], both)


def test_stale_record_names_what_changed_everywhere(both: Path) -> None:
    make_stale(both, {"modules": {"dlparadox.training": "an older digest"}})
    chapter = chapter_evidence(SLUG, both)
    assert chapter.stale == ("dlparadox.training",)
    ledger = ledger_page([chapter], both)
    assert "stale: dlparadox.training changed since" in ledger and "`dlparadox.training`" in ledger
    assert "stale: dlparadox.training changed since" in status_page([chapter])
    assert "older than the code" in scoreboard_fragment([chapter])


def test_changed_code_of_the_chapter_makes_its_record_stale(both: Path) -> None:
    make_stale(both, {"code": "an older digest"})
    assert chapter_evidence(SLUG, both).stale == ("the chapter's code",)


def test_prose_and_figure_cells_do_not_make_a_record_stale(both: Path) -> None:
    path = both / "experiments" / f"{SLUG}.md"
    text = (
        path.read_text(encoding="utf-8")
        .replace("mean nothing?", "mean nothing at all?")
        .replace("draw(runs)", "plot(runs)")
    )
    path.write_text(text, encoding="utf-8")
    assert chapter_evidence(SLUG, both).stale == ()


def test_status_page_tells_costs_and_origins(both: Path) -> None:
    page = status_page(evidence(both))
    for part in (
        "1 min 1 s",
        "512 MiB",
        "cpu",
        "5 (0 to 4)",
        "2026-11-21",
        "0123456789ab",
        "digits",
        "2.13.0",
        "all runs",
    ):
        assert part in page


def test_scoreboard_is_the_same_as_picture_and_table(both: Path) -> None:
    chapters = evidence(both)
    for wide in (True, False):
        root = ElementTree.fromstring(scoreboard_svg(chapters, wide=wide))
        titles = [title.text for title in root.iter(f"{SVG}title")]
        assert "memorizes, quick: reproduced" in titles and "chance, paper: inconclusive" in titles
        assert len(titles) == 8 + 4  # every claim of both profiles, and the legend
        assert "1 reproduced, 1 not reproduced, 1 inconclusive, 1 void" in root.attrib["aria-label"]
        right = max(float(circle.attrib["cx"]) for circle in root.iter(f"{SVG}circle"))
        assert right < float(root.attrib["viewBox"].split()[2])
    table = scoreboard_fragment(chapters)
    assert table.count('href="generated/ledger.html#claim-') == 8
    assert '<span class="dlp-verdict-name">, not reproduced</span>' in table


def test_marks_differ_in_shape_not_only_in_colour(project: Path) -> None:
    root = ElementTree.fromstring(scoreboard_svg(evidence(project)))
    marks = list(root.iter(f"{SVG}g"))[:4]
    shapes = {
        tuple((child.tag, child.get("fill") == "none") for child in mark if child.tag != f"{SVG}title")
        for mark in marks
    }
    assert len(shapes) == 4


def test_paper_scale_that_was_not_run_is_said(project: Path) -> None:
    assert "not run yet" in scoreboard_fragment(evidence(project))


def test_generated_files_of_a_chapter_that_left_are_removed(project: Path) -> None:
    left = project / "book" / "generated" / "files" / "data" / "old-chapter"
    left.mkdir(parents=True)
    write_generated(project)
    assert not left.exists()
    assert (project / "book" / "generated" / "files" / "scoreboard.svg").is_file()


def test_missing_record_names_the_chapter(project: Path) -> None:
    (project / "build" / "quick" / SLUG / "record.json").unlink()
    with pytest.raises(PageError, match=r"chapter random-labels: no record at .*run the chapter first"):
        write_generated(project)


def test_unknown_verdict_is_an_error() -> None:
    with pytest.raises(PageError, match="unknown verdict 'maybe'"):
        verdict_badge("maybe")


def test_citations_know_one_two_and_many_authors(project: Path) -> None:
    known = bibliography(project / "book" / "references.bib")
    text = cited("higham2002; cover_hart1967; shalev-shwartz_ben-david2014, Chapter 26; zhang2017", known, page=None)
    names = ["Higham (2002)", "Cover and Hart (1967)", "Shalev-Shwartz and Ben-David (2014), Chapter 26"]
    assert text == "; ".join([*names, "Zhang et al. (2017)"])


def test_names_are_read_as_latex_writes_them(tmp_path: Path) -> None:
    (tmp_path / "some.bib").write_text(
        "@book{a, author = {Sch{\\\"o}lkopf, Bernhard and P{\\'e}rez-Ortiz, Mar{\\'\\i}a}, title = {T}, year = 2001}\n"
        "@book{b, author = {{van der Maaten}, Laurens}, title = {T}, year = 2008}\n"
    )
    known = bibliography(tmp_path / "some.bib")
    assert known == {"a": "Schölkopf and Pérez-Ortiz (2001)", "b": "van der Maaten (2008)"}


def test_citation_keys_may_end_in_a_word() -> None:
    assert cited("arora2019fine, Theorem 4.1", {"arora2019fine": "Arora et al. (2019)"}, page=None) == (
        "Arora et al. (2019), Theorem 4.1"
    )
    with pytest.raises(PageError, match=r"cites 'arora2019exact', which references\.bib does not have"):
        cited("arora2019exact", {"arora2019fine": "Arora et al. (2019)"}, page=None)


def test_costs_in_words() -> None:
    assert [duration(s) for s in (0.2, 48, 61.2, 120, 3600, 12060)] == [
        "under 1 s", "48 s", "1 min 1 s", "2 min", "1 h", "3 h 21 min"
    ]  # fmt: skip
    assert [memory(m) for m in (512, 1434)] == ["512 MiB", "1.4 GiB"]
    assert [seeds_text(s) for s in ([], [3], [0, 1, 2], [1, 5])] == [
        "none",
        "1 (3)",
        "3 (0 to 2)",
        "2 (1, 5)",
    ]


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({}, "made by the program"),
        ({"data": "mnist"}, "mnist; the run noted no checksum"),
        ({"data": ["mnist", "cifar10"]}, "mnist, cifar10; the run noted no checksum"),
    ],
)
def test_data_without_a_checksum_are_not_called_made(parameters: dict[str, object], text: str) -> None:
    run = Record("a", "A", "paper", parameters, claims=[], tables={}, provenance={})
    assert unnamed_data(run) == text


def test_plain_summary_is_one_line() -> None:
    assert plain_summary("A *bold* `x` [link](y)\nand $n$ {doc}`that <there>`.") == "A bold x link and n that."
