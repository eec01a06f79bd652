"""The life of a chapter in a temporary folder, from its parameters to its record."""

import base64
import json
import math
import re
import socket
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from dlparadox import chapters
from dlparadox.chapters import Chapter, VerdictLine, integer, open_chapter
from dlparadox.claims import NotRun, at_least, equals
from dlparadox.records import Record, RecordError, load_record, write_record

SCOPE = {"profile": "quick", "seed": 3, "n_seeds": 4, "device": "cpu", "width": 8}
TABLE = pd.DataFrame({"x": [1.0, 2.0], "y": [0.5, 0.25]})
ALT = "The curve falls with x, from one half to one quarter."


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own, and a folder for its results."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLPARADOX_RESULTS", str(tmp_path / "results"))
    (tmp_path / "experiments" / "records").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "experiments" / "slug.md").write_text("---\ntitle: no\n---\n\n# The *title*\n\nText.\n")
    return tmp_path


@pytest.fixture
def chapter() -> Chapter:
    return open_chapter("slug", SCOPE, width=integer(1))


Shown = list[tuple[dict[str, str], dict[str, Any]]]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """What the notebook displays: bundles and their metadata."""
    outputs: Shown = []

    def display(bundle: dict[str, str], *, raw: bool, metadata: dict[str, Any]) -> None:
        assert raw
        outputs.append((bundle, metadata))

    monkeypatch.setattr(chapters, "display", display)
    return outputs


def claim(chapter: Chapter, name: str = "it", **changes: Any) -> VerdictLine:
    given = {
        "statement": "A & B < C.",
        "source": "someone2017",
        "published": "99 %",
        "measured": [1.0] * 4,
        "expect": equals(1.0, because='the "theorem" says so'),
        "control": {"none": 0.0},
    }
    return chapter.check(name, **{**given, **changes})


def run(setting: dict[str, Any], seed: int) -> dict[str, Any]:
    return {"value": setting["a"] * seed}


def test_a_whole_life(chapter: Chapter, shown: Shown, home: Path) -> None:
    assert chapter.seeds == [3, 4, 5, 6]
    table = chapter.table("runs", chapter.sweep(run, [{"a": 1}, {"a": 2}]))
    assert table.value.tolist() == [3, 4, 5, 6, 6, 8, 10, 12]
    chapter.uses("digits", {"sha256": "abc", "published": True, "note": ""})
    assert repr(claim(chapter)) == "reproduced  slug/it"
    assert repr(claim(chapter, "other", measured=[0.5] * 4)) == "not reproduced  slug/other"
    chapter.cards()
    chapter.quote("value", 0.5, "{:.0%}")
    chapter.save()
    record = load_record(home / "results" / "slug" / "record.json")
    assert (record.chapter, record.title, record.profile) == ("slug", "The *title*", "quick")
    assert record.parameters == SCOPE
    assert [found["verdict"] for found in record.claims] == ["reproduced", "not reproduced"]
    pd.testing.assert_frame_equal(record.table("runs"), table)
    provenance = record.provenance
    assert provenance.keys() == {
        "commit", "dirty", "digest", "python", "platform", "packages", "device", "threads", "dtype", "seeds",
        "started", "seconds", "resumed_seconds", "peak_memory_mib", "data",
    }  # fmt: skip
    assert provenance["seeds"] == [3, 4, 5, 6] and provenance["dtype"] == "float32"
    assert provenance["data"] == {"digits": {"sha256": "abc", "published": True, "note": ""}}
    assert provenance["digest"].keys() == {"total", "code", "parameters", "modules"}
    assert provenance["packages"]["torch"] and provenance["seconds"] >= 0 and provenance["peak_memory_mib"] > 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", provenance["started"])


def test_a_record_names_no_machine_and_no_folder(chapter: Chapter, home: Path) -> None:
    claim(chapter)
    chapter.table("runs", TABLE)
    chapter.save()
    text = (home / "results" / "slug" / "record.json").read_text()
    for private in (str(home), str(Path.home()) + "/", str(Path(chapters.__file__).parent), "/tmp", "/work"):
        assert private not in text
    assert socket.gethostname() not in json.dumps(json.loads(text)["provenance"]) or len(socket.gethostname()) < 4


def test_seconds_of_resumed_cells_are_told(chapter: Chapter, home: Path) -> None:
    chapter.sweep(run, [{"a": 1}])
    cells = sorted((home / "results" / "cells" / "slug").iterdir())
    assert len(cells) == 4
    for path in cells:
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "seconds": 100.0}))
    again = open_chapter("slug", SCOPE, width=integer(1))
    again.sweep(run, [{"a": 1}])
    claim(again)
    again.save()
    provenance = load_record(home / "results" / "slug" / "record.json").provenance
    assert provenance["resumed_seconds"] == 400.0 and provenance["seconds"] < 100


def test_a_sweep_over_other_seeds(chapter: Chapter) -> None:
    assert chapter.sweep(run, [{"a": 1}], seeds=[7]).seed.tolist() == [7]


def test_results_go_where_the_environment_says(chapter: Chapter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLPARADOX_RESULTS", "elsewhere")
    assert chapter.results == Path("elsewhere")
    for nothing in ("", None):
        monkeypatch.setenv("DLPARADOX_RESULTS", nothing) if nothing == "" else monkeypatch.delenv("DLPARADOX_RESULTS")
        assert chapter.results == Path("results")


@pytest.mark.parametrize(("change", "error"), [({"widht": 3}, "unknown parameter"), ({"width": 0}, "at least 1")])
def test_wrong_parameters_do_not_open_a_chapter(change: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        open_chapter("slug", {**SCOPE, **change}, width=integer(1))


def test_a_verdict_has_no_representation_but_its_line(chapter: Chapter) -> None:
    line = claim(chapter)
    assert [name for name in dir(line) if name.startswith("_repr_") or name == "_ipython_display_"] == []
    assert str(line) == repr(line) == "reproduced  slug/it"


def test_a_claim_that_was_not_run_is_left_out(chapter: Chapter, home: Path) -> None:
    def absent() -> float:
        raise NotRun("mlp-3")

    claim(chapter)
    assert repr(claim(chapter, "absent", measured=absent)) == "not run  slug/absent"
    chapter.save()
    assert [c["name"] for c in load_record(home / "results" / "slug" / "record.json").claims] == ["it"]


def test_a_claim_is_checked_once(chapter: Chapter) -> None:
    claim(chapter)
    with pytest.raises(ValueError, match="claim 'it' was checked before; give each claim its own name"):
        claim(chapter)


def test_a_record_needs_a_claim(chapter: Chapter) -> None:
    with pytest.raises(ValueError, match="the chapter checked no claim"):
        chapter.save()


class Text(HTMLParser):
    """Text and elements of a piece of HTML; fails where tags do not match."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


HOSTILE = "<script>alert('x')</script> & \"more\""


def test_cards_are_escaped(chapter: Chapter, shown: Shown) -> None:
    claim(chapter, "it", statement=HOSTILE, source=HOSTILE, published=HOSTILE, note=HOSTILE,
          control={HOSTILE: 0.0}, expect=equals(1.0, because=HOSTILE))  # fmt: skip
    chapter.cards()
    page = Text(shown[0][0]["text/html"])
    assert "script" not in {tag for tag, _ in page.elements}
    assert "".join(page.words).count(HOSTILE) == 6
    assert shown[0][1] == {"dlparadox": {"card": "it"}}
    assert shown[0][0]["text/plain"] == f"it: {HOSTILE}"


@pytest.mark.parametrize(
    ("measured", "control", "verdict", "mark"),
    [
        ([1.0] * 4, 0.0, "reproduced", "✔"),
        ([0.5] * 4, 0.0, "not reproduced", "✘"),
        ([0.5, 1.5], 0.0, "inconclusive", "?"),
        ([1.0] * 4, 1.0, "void", "∅"),
    ],
)
def test_a_card_shows_its_verdict(
    chapter: Chapter, shown: Shown, measured: list[float], control: float, verdict: str, mark: str
) -> None:
    claim(chapter, measured=measured, control={"other": control})
    chapter.cards()
    page = Text(shown[0][0]["text/html"])
    tag, attributes = page.elements[0]
    assert (tag, attributes["role"]) == ("div", "group")
    assert attributes["class"] == f"dlp-card dlp-{verdict.replace(' ', '-')}"
    assert attributes["aria-label"] == f"Claim it: {verdict}"
    text = "".join(page.words)
    assert text.startswith(f"{mark} {verdict}")
    for part in ("A & B < C.", "99 %", '= 1 — the "theorem" says so', "someone2017"):
        assert part in text
    assert ("does not fail" in text) == (verdict == "void") != ("fails, as it must" in text)


def test_cards_are_shown_once_unless_named(chapter: Chapter, shown: Shown) -> None:
    claim(chapter, "one")
    claim(chapter, "two")
    chapter.cards("two")
    chapter.cards()
    chapter.cards()
    chapter.cards("one", "two")
    assert [metadata["dlparadox"]["card"] for _, metadata in shown] == ["two", "one", "one", "two"]


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0.1234, "{:.1%}", "12.3%"),
        (3, "{}", "3"),
        ("a text", "{}", "a text"),
        (np.float64(0.5), "{:.2f}", "0.50"),
    ],
)
def test_a_quote_is_what_myst_nb_glues(chapter: Chapter, shown: Shown, value: Any, form: str, text: str) -> None:
    chapter.quote("name", value, form)
    ((bundle, metadata),) = shown
    assert bundle == {"application/papermill.record/text/plain": repr(text)}
    assert metadata == {"scrapbook": {"name": "name", "mime_prefix": "application/papermill.record/"}}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), np.float64("inf")])
def test_a_quote_is_finite(chapter: Chapter, value: float) -> None:
    with pytest.raises(ValueError, match=r"quote 'n' is -?(nan|inf); only finite numbers can be quoted"):
        chapter.quote("n", value)


def test_a_quote_is_not_empty_and_given_once(chapter: Chapter, shown: Shown) -> None:
    for empty in ("", "  "):
        with pytest.raises(ValueError, match="quote 'n' is empty"):
            chapter.quote("n", empty)
    chapter.quote("n", 1)
    with pytest.raises(ValueError, match="quote 'n' was given before"):
        chapter.quote("n", 2)
    assert len(shown) == 1


def drawing() -> Any:
    figure, axes = plt.subplots(figsize=(2, 2))
    axes.errorbar([1, 2], [0.5, 0.25], [0.1, 0.1], marker="o", label="ours")
    axes.fill_between([1, 2], [0, 0], [1, 1], alpha=0.2)
    axes.legend()
    return figure


def test_a_figure_tells_its_finding_and_its_data(chapter: Chapter, shown: Shown) -> None:
    chapter.table("runs", TABLE)
    figure = drawing()
    chapter.figure("curve", figure, alt=ALT, data="runs")
    ((bundle, metadata),) = shown
    assert metadata == {"dlparadox": {"figure": "curve", "alt": ALT, "table": "runs"}}
    assert bundle.keys() == {"image/svg+xml", "text/plain"} and bundle["text/plain"] == ALT
    assert ElementTree.fromstring(bundle["image/svg+xml"]).tag.endswith("svg")
    assert not plt.fignum_exists(figure.number)


def test_equal_figures_are_equal_files(chapter: Chapter, shown: Shown) -> None:
    chapter.table("runs", TABLE)
    for form in ("svg", "svg", "png", "png"):
        chapter.figure("curve", drawing(), alt=ALT, data="runs", form=form)
    assert shown[0] == shown[1] and shown[2] == shown[3]
    assert base64.b64decode(shown[2][0]["image/png"]).startswith(b"\x89PNG")


def test_figures_are_refused_without_table_finding_or_form(chapter: Chapter, shown: Shown) -> None:
    chapter.table("other", TABLE)
    missing = r"'curve' draws table 'runs', which the chapter does not have \(other\); keep it first"
    with pytest.raises(ValueError, match=missing):
        chapter.figure("curve", drawing(), alt=ALT, data="runs")
    with pytest.raises(ValueError, match=missing):
        chapter.animation("curve", "<div></div>", alt=ALT, data="runs")
    chapter.table("runs", TABLE)
    with pytest.raises(ValueError, match="'curve' needs an alternative text that states its finding; got 'short'"):
        chapter.figure("curve", drawing(), alt="short", data="runs")
    with pytest.raises(ValueError, match="form must be 'svg' or 'png'; got 'jpeg'"):
        chapter.figure("curve", drawing(), alt=ALT, data="runs", form="jpeg")
    assert shown == []
    plt.close("all")


def test_an_animation_tells_its_finding_and_its_data(chapter: Chapter, shown: Shown) -> None:
    chapter.table("runs", TABLE)
    chapter.animation("moves", "<div>player</div>", alt=ALT, data="runs")
    assert shown == [({"text/html": "<div>player</div>", "text/plain": ALT},
                      {"dlparadox": {"figure": "moves", "alt": ALT, "table": "runs"}})]  # fmt: skip


def test_an_empty_table_is_an_error(chapter: Chapter) -> None:
    with pytest.raises(ValueError, match="table 'runs' is empty; nothing was measured"):
        chapter.table("runs", TABLE[:0])


def test_the_committed_record_of_another_profile(chapter: Chapter, home: Path, shown: Shown) -> None:
    assert chapter.recorded() is None
    folder = home / "experiments" / "records" / "slug"
    claim(chapter)
    claims = [found.as_json() for found in chapter.claims.values()]
    write_record(Record("slug", "title", "paper", {}, claims, {}, {}), folder, {"runs": TABLE})
    found = chapter.recorded()
    chapter.figure("curve", drawing(), alt=ALT, data="runs", profile="paper")
    assert shown[0][1] == {"dlparadox": {"figure": "curve", "alt": ALT, "table": "runs", "profile": "paper"}}
    for table, profile in [("loss", "paper"), ("runs", "quick"), ("runs", None)]:
        with pytest.raises(ValueError, match=f"'curve' draws table '{table}', which the chapter does not have"):
            chapter.figure("curve", drawing(), alt=ALT, data=table, profile=profile)
    plt.close("all")
    assert found and found.profile == "paper"
    pd.testing.assert_frame_equal(found.table("runs"), TABLE)
    assert chapter.recorded("quick") is None
    (folder / "record.json").write_text("{")
    with pytest.raises(RecordError, match="is damaged"):
        chapter.recorded()


def test_a_chapter_away_from_its_project(chapter: Chapter, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr(chapters.provenance, "project_home", lambda: None)
    claim(chapter, expect=at_least(0.5, because="why"))
    assert chapter.recorded() is None
    chapter.save()
    record = load_record(home / "results" / "slug" / "record.json")
    assert record.title == "slug"
    assert [record.provenance[name] for name in ("commit", "dirty", "digest")] == [None, None, None]


def test_cards_of_the_committed_record(
    chapter: Chapter, shown: Shown, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chapter.recorded_cards("it")
    assert shown == []  # there is no record yet
    monkeypatch.setenv("DLPARADOX_RESULTS", str(home / "experiments" / "records"))
    paper = open_chapter("slug", {**SCOPE, "profile": "paper"}, width=integer(1))
    claim(paper, measured=[0.5, 0.25, 0.5, 0.25], control={"none": 0.0})
    paper.save()
    assert chapter.recorded_mean("it") == 0.375
    with pytest.raises(NotRun, match="other in a record under the profile paper"):
        chapter.recorded_mean("other")
    with pytest.raises(NotRun, match="it in a record under the profile quick"):
        chapter.recorded_mean("it", "quick")
    chapter.recorded_cards("it", "not in the record")
    [(bundle, metadata)] = shown
    assert metadata == {"dlparadox": {"card": "it"}}
    assert 'aria-label="Claim it, paper profile: not reproduced"' in bundle["text/html"]
    assert "0.38 [0.15, 0.60], 4 seeds" in bundle["text/html"]
    assert "Ours, quick" not in bundle["text/html"]  # this run has not checked it


def test_recorded_cards_show_this_run_beside(
    chapter: Chapter, shown: Shown, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLPARADOX_RESULTS", str(home / "experiments" / "records"))
    paper = open_chapter("slug", {**SCOPE, "profile": "paper"}, width=integer(1))
    claim(paper, measured=[0.5, 0.25, 0.5, 0.25], expect=at_least(0.1, because="why"), control={"none": 0.0})
    paper.save()
    claim(chapter, measured=[0.75, 0.75], expect=at_least(0.8, because="why"), control={"none": 0.0})
    chapter.recorded_cards("it")
    paper.recorded_cards("it")  # its own profile: nothing to put beside
    [(bundle, _), (alone, _)] = shown
    assert (
        "<dt>Ours</dt><dd>0.38 [0.15, 0.60], 4 seeds</dd>"
        "<dt>Ours, quick</dt><dd>0.75 [0.75, 0.75], 2 seeds: not reproduced, accepted there ≥ 0.8</dd>"
        "<dt>Accepted</dt><dd>≥ 0.1 — why</dd>"
    ) in bundle["text/html"]
    assert "Ours, " not in alone["text/html"]
