"""Figures draw what was measured, in one style, and an animation needs no other host."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from dlparadox.claims import student_interval
from dlparadox.plotting import COLORS, direct_label, figure, frame, mean_band, means, player, prediction


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    """The book's style is set for good where it is used; here it goes after each test."""
    with plt.rc_context():
        yield
    plt.close("all")


def runs(seeds: int = 5, values: int = 4) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    rows = [{"seed": s, "x": x / 2, "y": x + draw.normal()} for s in range(seeds) for x in range(values)]
    return pd.DataFrame(rows)


def test_nothing_measured_draws_nothing() -> None:
    _, (ax,) = figure()
    empty = runs().assign(y=np.nan)
    assert means(empty, "x", "y", ax, label="ours", color="blue") is ax and not ax.containers


@pytest.mark.parametrize("seeds", [2, 5])
def test_the_intervals_drawn_are_those_of_the_verdicts(seeds: int) -> None:
    data, (_, (ax,)) = runs(seeds), figure()
    assert means(data, "x", "y", ax, label="ours", color="blue") is ax
    (container,) = ax.containers
    points, _, (bars,) = container
    assert points.get_label() == "_nolegend_" or container.get_label() == "ours"
    segments = bars.get_segments()
    for (x, group), y, segment in zip(data.groupby("x").y, points.get_ydata(), segments, strict=True):
        assert y == pytest.approx(group.mean())
        assert segment[:, 0] == pytest.approx([x, x])
        assert segment[:, 1] == pytest.approx(student_interval(group.tolist()))


def test_one_seed_has_no_interval() -> None:
    _, (ax,) = figure()
    means(runs(1), "x", "y", ax, label="ours", color="orange")
    mean_band(runs(1).rename(columns={"x": "epoch"}), "epoch", "y", ax, label="ours", color="green")
    for segment in ax.containers[0][2][0].get_segments():
        assert segment[0, 1] == pytest.approx(segment[1, 1])


def test_the_band_is_the_interval_over_seeds() -> None:
    data, (_, (ax,)) = runs(4), figure()
    assert mean_band(data, "x", "y", ax, label="ours", color="blue") is ax
    (line,), (band,) = ax.lines, ax.collections
    vertices = band.get_paths()[0].vertices
    for (x, group), y in zip(data.groupby("x").y, line.get_ydata(), strict=True):
        assert y == pytest.approx(group.mean())
        found = vertices[np.isclose(vertices[:, 0], x), 1]
        assert (found.min(), found.max()) == pytest.approx(student_interval(group.tolist()))


def test_a_run_that_stopped_early_keeps_its_last_value() -> None:
    data = pd.DataFrame({"seed": [0, 0, 0, 1], "epoch": [0, 1, 2, 0], "y": [0.0, 1.0, 2.0, 4.0]})
    _, (ax,) = figure()
    mean_band(data.sample(frac=1, random_state=0), "epoch", "y", ax, label="ours", color="blue")
    assert ax.lines[0].get_ydata().tolist() == [2.0, 2.5, 3.0]


def test_predictions_are_dashed_and_measurements_are_points() -> None:
    _, (ax,) = figure()
    prediction([0, 1], [1, 0], ax, label="theory", color="#123456")
    means(runs(), "x", "y", ax, label="ours", color="pink", marker="s")
    assert ax.lines[0].get_linestyle() == "--" and ax.lines[0].get_label() == "theory"
    assert ax.lines[0].get_color() == "#123456"
    assert ax.containers[0][0].get_marker() == "s" and ax.containers[0][0].get_linestyle() == "None"
    means(runs(), "x", "y", ax, label="joined", color="pink", line=True)
    assert ax.containers[1][0].get_linestyle() == "-"
    assert ax.get_legend_handles_labels()[1] == ["theory", "ours", "joined"]


def test_a_label_at_its_curve() -> None:
    _, (ax,) = figure()
    assert direct_label(ax, 1.0, 2.0, "here", color="green", ha="right") is ax
    (text,) = ax.texts
    assert (text.get_text(), text.get_color(), text.get_ha(), text.xy) == (
        "here",
        COLORS["green"],
        "right",
        (1.0, 2.0),
    )


def test_figures_of_several_panels() -> None:
    drawn, axes = figure(3, size=(9.0, 3.0), sharey=True)
    assert isinstance(drawn, Figure) and len(axes) == 3
    assert tuple(drawn.get_size_inches()) == (9.0, 3.0)
    assert figure()[0].get_size_inches()[0] < figure(2)[0].get_size_inches()[0]


def luminance(color: str) -> float:
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))


def test_colours_can_be_told_apart() -> None:
    assert len(set(COLORS.values())) == len(COLORS)
    assert all(re.fullmatch("#[0-9A-F]{6}", color) for color in COLORS.values())
    for name in ("black", "grey", "blue"):  # those used for text, against white: at least 4.5 to 1
        assert 1.05 / (luminance(COLORS[name]) + 0.05) >= 4.5


def test_equal_frames_are_equal_and_need_no_host() -> None:
    frames = []
    for _ in range(2):
        drawn, (ax,) = figure(size=(2, 2))
        ax.plot([0, 1], [0, 1])
        frames.append(frame(drawn, dpi=30))
    assert frames[0] == frames[1] and re.match(r"data:image/(png|webp);base64,[A-Za-z0-9+/=]+$", frames[0])


class Page(HTMLParser):
    """Elements of a piece of HTML, with a check that they are closed in order."""

    VOID = ("img", "input")

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.script = ""
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.script += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


captions = st.lists(
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=9), min_size=1, max_size=5
)


@hypothesis_settings(max_examples=25)
@given(captions, st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20))
def test_a_player_is_whole_and_self_contained(texts: list[str], alt: str) -> None:
    frames = [f"data:image/png;base64,{i:04d}" for i in range(len(texts))]
    page = Page(player("p", frames, texts, alt=alt, milliseconds=99))
    images = page.all("img")
    assert [image["src"] for image in images] == frames
    assert ["hidden" in image for image in images] == [True] * (len(frames) - 1) + [False]
    assert images[-1]["alt"] == alt and all(image["alt"] == "" for image in images[:-1])
    root = page.elements[0][1]
    assert root["class"] == "dlp-player" and root["id"] == "player-p" and root["data-milliseconds"] == "99"
    assert root["data-captions"] == "\n".join(texts)
    (slider,), (button,) = page.all("input"), page.all("button")
    assert (slider["type"], slider["min"], slider["max"], slider["value"]) == (
        "range", "0", str(len(frames) - 1), str(len(frames) - 1)
    )  # fmt: skip
    assert slider["aria-label"] and button["aria-label"] and button["type"] == "button"
    assert page.all("div")[1]["role"] == "img" and page.all("div")[1]["aria-label"] == alt


def test_a_player_contacts_no_host_and_does_not_move_by_itself() -> None:
    html = player("moves", ["data:image/png;base64,AA"] * 3, ["a", "b", "c"], alt="It moves.")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", html)
    page = Page(html)
    assert {tag for tag, _ in page.elements} == {"div", "img", "button", "input", "output", "script"}
    assert "src" not in page.all("script")[0]
    assert 'getElementById("player-moves")' in page.script and "NAME" not in page.script
    calls = re.findall(r"^  (\w+)\(", page.script, flags=re.MULTILINE)
    assert calls == []  # nothing is called at the start: no autoplay
    for left, right in ("()", "{}", "[]"):
        assert page.script.count(left) == page.script.count(right)


@pytest.mark.parametrize(("frames", "texts"), [([], []), (["data:,"], []), (["data:,"], ["a", "b"])])
def test_every_frame_has_its_caption(frames: list[str], texts: list[str]) -> None:
    message = f"an animation needs a caption for each frame; got {len(frames)} and {len(texts)}"
    with pytest.raises(ValueError, match=message):
        player("p", frames, texts, alt="It moves.")
