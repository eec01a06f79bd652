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
from matplotlib.text import Text

from dlparadox.claims import student_interval
from dlparadox.plotting import (
    COLORS,
    direct_label,
    figure,
    frame,
    log_ticks,
    mean_band,
    means,
    player,
    power_law,
    prediction,
    step_axis,
)


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


@pytest.mark.parametrize("seeds", [1, 4])
def test_geometric_means_have_the_interval_of_the_logarithm(seeds: int) -> None:
    data, (_, (ax,)) = runs(seeds).assign(y=lambda table: np.exp(3 * table.y)), figure()
    means(data, "x", "y", ax, label="ours", color="blue", geometric=True)
    points, _, (bars,) = ax.containers[0]
    for (_, group), y, segment in zip(data.groupby("x").y, points.get_ydata(), bars.get_segments(), strict=True):
        logs = np.log(group)
        assert y == pytest.approx(np.exp(logs.mean()))
        low, high = student_interval(logs.tolist()) if seeds > 1 else (logs.mean(), logs.mean())
        assert segment[:, 1] == pytest.approx(np.exp([low, high]))
    with pytest.raises(ValueError, match="a geometric mean needs positive values; column 'y' has -1"):
        means(data.assign(y=-1.0), "x", "y", ax, label="ours", color="blue", geometric=True)


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


def test_a_power_law_goes_through_the_measured_point() -> None:
    _, (ax,) = figure()
    assert power_law(ax, [64, 256, 1024], (256, 0.1), -0.5, label="slope", color="#123456", linewidth=1.3) is ax
    (line,) = ax.lines
    assert line.get_xdata() == pytest.approx([64, 256, 1024])
    assert line.get_ydata() == pytest.approx([0.2, 0.1, 0.05])
    assert (line.get_linestyle(), line.get_label(), line.get_color()) == ("--", "slope", "#123456")
    assert line.get_linewidth() == 1.3 and len(ax.texts) == 0
    power_law(ax, np.array([64, 1024]), (1024, 1.0), -1, text="slope −1")  # whole numbers, too
    power_law(ax, [64, 1024], (1024, 1.0), -1, text="slope −1", below=True)
    above, below = ax.texts
    assert ax.lines[1].get_ydata() == pytest.approx([16.0, 1.0])
    assert above.xy[0] == below.xy[0] == 64 and above.xy[1] > 16.0 > below.xy[1]
    assert (above.get_text(), above.get_va(), below.get_va()) == ("slope −1", "bottom", "top")
    assert ax.get_legend_handles_labels()[1] == ["slope"]


def labels(ticks: list[Text]) -> list[str]:
    return [tick.get_text() for tick in ticks]


@pytest.mark.parametrize("count", [1, 5, 6, 11, 30])
def test_logarithmic_ticks_are_written_out_and_few(count: int) -> None:
    _, (ax,) = figure()
    widths = [2**power for power in range(count)]
    ax.plot(widths, widths)
    assert log_ticks(ax, widths[::-1] * 2, [0.5, 0.05]) is ax
    assert ax.get_xscale() == ax.get_yscale() == "log"
    assert 1 <= len(ax.get_xticks()) <= 5 and set(ax.get_xticks()) <= set(widths)
    assert ax.get_xticks()[0] == 1 and (count > 5 or ax.get_xticks().tolist() == widths)
    assert labels(ax.get_xticklabels()) == [f"{tick:,g}" for tick in ax.get_xticks()]
    assert labels(ax.get_yticklabels()) == ["0.05", "0.5"]
    assert len(ax.get_xticks(minor=True)) == len(ax.get_yticks(minor=True)) == 0
    assert len(log_ticks(ax, widths, most=count).get_xticks()) == count


def test_logarithmic_ticks_of_one_axis() -> None:
    _, (ax,) = figure()
    ax.plot([64, 4096], [1, 2])
    ticks = ax.get_yticks().tolist()
    log_ticks(ax, [64, 4096], None)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear") and ax.get_yticks().tolist() == ticks
    assert labels(ax.get_xticklabels()) == ["64", "4,096"]
    log_ticks(ax, None)
    assert ax.get_yscale() == "log" and len(ax.get_yticks()) > 1  # matplotlib's own
    assert labels(ax.get_xticklabels()) == ["64", "4,096"]


def test_an_axis_of_steps_shows_step_0() -> None:
    _, (ax,) = figure()
    ax.plot([0, 1, 10, 100], [3, 2, 1, 0])
    assert step_axis(ax) is ax
    assert labels(ax.get_xticklabels()) == ["0", "1", "10", "100"] and ax.get_xlabel() == "step"
    places = [ax.transData.transform((step, 0))[0] for step in (0, 1, 10, 100)]
    assert np.diff(places) == pytest.approx(places[1] - places[0], rel=0.2)  # evenly spaced: logarithmic from 1 on
    assert len(ax.get_xticks(minor=True)) == 0
    assert labels(step_axis(ax, [0, 1, 1000]).get_xticklabels()) == ["0", "1", "1,000"]


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


def test_panels_in_rows_come_row_by_row() -> None:
    _, axes = figure(3, rows=2)
    places = [(ax.get_subplotspec().rowspan.start, ax.get_subplotspec().colspan.start) for ax in axes]
    assert places == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]


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
