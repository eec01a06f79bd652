"""Figures in one style: predictions are lines, measurements are points with intervals, labels stand at the curves.

Every function takes tidy data and an axes, draws, and returns the axes. Colours are those of Okabe and Ito, which
colour-blind readers can tell apart; each series has a marker of its own as well.
"""

import base64
import html
import io
from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlparadox.claims import student_interval

__all__ = [
    "COLORS",
    "direct_label",
    "figure",
    "frame",
    "log_ticks",
    "mean_band",
    "means",
    "player",
    "power_law",
    "prediction",
    "step_axis",
]

#: Okabe & Ito's palette by name.
COLORS = {
    "blue": "#0072B2",
    "orange": "#D55E00",
    "green": "#009E73",
    "pink": "#CC79A7",
    "sky": "#56B4E9",
    "amber": "#E69F00",
    "black": "#222222",
    "grey": "#767676",
}

_STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.labelsize": 11,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.size": 10.5,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.9,
    "savefig.facecolor": "white",
    "svg.hashsalt": "dlparadox",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}


def figure(
    panels: int = 1, *, rows: int = 1, size: tuple[float, float] | None = None, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of the book with ``panels`` axes side by side; returns it with the list of its axes, row by row.

    Args:
        panels: number of axes in a row.
        rows: number of rows.
        size: width and height in inches; by default what reads well at the width of a page.
        options: handed to ``matplotlib.pyplot.subplots``.
    """
    plt.style.use(_STYLE)  # for good: what is drawn into the axes later has to find it too
    default = (7.4 if panels > 1 else 6.2, 3.7)
    drawn, axes = plt.subplots(rows, panels, figsize=size or default, squeeze=False, **options)
    return drawn, list(axes.flat)


def prediction(x: Sequence[float], y: Sequence[float], ax: Axes, *, label: str | None, **options: Any) -> Axes:
    """A predicted curve: a dashed line, named in the legend as such."""
    ax.plot(x, y, **{"linestyle": (0, (5, 2)), "color": COLORS["black"], "label": label, "zorder": 2, **options})
    return ax


def power_law(
    ax: Axes,
    x: Sequence[float],
    at: tuple[float, float],
    exponent: float,
    *,
    label: str | None = None,
    text: str = "",
    below: bool = False,
    **options: Any,
) -> Axes:
    """A predicted power law through a measured point, drawn as :func:`prediction`: it predicts the slope only.

    Args:
        ax: axes to draw on.
        x: where the line begins and ends; values between are allowed.
        at: the point that it goes through.
        exponent: its slope on logarithmic axes.
        label: name in the legend.
        text: written at the line where it begins.
        below: write it below the line, not above.
        options: of the line.
    """
    x = [float(value) for value in x]
    y = [at[1] * (value / at[0]) ** exponent for value in x]
    prediction(x, y, ax, label=label, **options)
    if text:
        place, side = (0.72, "top") if below else (1.2, "bottom")
        direct_label(ax, x[0], place * y[0], text, color="black", va=side)
    return ax


def log_ticks(ax: Axes, x: Iterable[float] | None = (), y: Iterable[float] | None = (), *, most: int = 5) -> Axes:
    """Logarithmic axes with ticks at given values, written out, and none between them.

    Args:
        ax: axes to set.
        x: the values, in any order; of more than ``most`` every second one, every third one ... Without values the
            ticks are matplotlib's; None leaves the horizontal axis as it is.
        y: the same for the vertical axis, with a tick at every value.
        most: number of ticks that the horizontal axis has room for.
    """
    for name, values in (("x", x), ("y", y)):
        if values is None:
            continue
        ax.set(**{f"{name}scale": "log"})
        if ticks := sorted({float(value) for value in values}):
            ticks = ticks[:: -(-len(ticks) // most)] if name == "x" else ticks
            ax.set(**{f"{name}ticks": ticks, f"{name}ticklabels": [f"{tick:,g}" for tick in ticks]})
    ax.minorticks_off()
    return ax


def step_axis(ax: Axes, ticks: Sequence[int] = (0, 1, 10, 100)) -> Axes:
    """A horizontal axis of steps of gradient descent, logarithmic from step 1 on, that begins at step 0."""
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xticks(list(ticks), [f"{tick:,}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlabel("step")
    return ax


def means(
    data: pd.DataFrame,
    x: str,
    y: str,
    ax: Axes,
    *,
    label: str,
    color: str,
    marker: str = "o",
    line: bool = False,
    geometric: bool = False,
) -> Axes:
    """Measured means with their 95 % Student intervals over seeds, one point for each value of ``x``.

    Nothing is drawn where nothing was measured.

    Args:
        data: one row per seed and value of ``x``.
        x: column of the horizontal axis.
        y: column of the measured values.
        ax: axes to draw on.
        label: name of the series.
        color: a name in ``COLORS`` or any matplotlib colour.
        marker: matplotlib marker.
        line: join the points, as a guide to the eye.
        geometric: geometric means, with the interval of the mean logarithm.
    """
    if (data := data.dropna(subset=[y])).empty:
        return ax
    if geometric and not (data[y] > 0).all():
        raise ValueError(f"a geometric mean needs positive values; column {y!r} has {data[y].min():g}")
    grouped = data.assign(**{y: np.log(data[y])} if geometric else {}).groupby(x)[y]
    center = grouped.mean()
    low, high = zip(*(_interval(values, mean) for (_, values), mean in zip(grouped, center, strict=True)), strict=True)
    level, ends = center.to_numpy(), np.array([low, high])
    if geometric:
        level, ends = np.exp(level), np.exp(ends)
    ax.errorbar(
        center.index, level, yerr=np.abs(ends - level), label=label, color=COLORS.get(color, color), marker=marker,
        markersize=6, linestyle="-" if line else "none", linewidth=1.2, elinewidth=1.4, capsize=3, zorder=3,
    )  # fmt: skip
    return ax


def _interval(values: Iterable[float], mean: float) -> tuple[float, float]:
    low, high = student_interval(list(values))
    return (low, high) if np.isfinite(low) else (mean, mean)


def mean_band(data: pd.DataFrame, x: str, y: str, ax: Axes, *, label: str, color: str, linestyle: str = "-") -> Axes:
    """The mean curve over seeds with a band for its 95 % interval; a run that stopped early keeps its last value.

    Args:
        data: one row per seed and value of ``x``; needs the column ``seed``.
        x: column of the horizontal axis, for example ``"epoch"``.
        y: column of the measured values.
        ax: axes to draw on.
        label: name of the series.
        color: a name in ``COLORS`` or any matplotlib colour.
        linestyle: matplotlib line style.
    """
    if (data := data.dropna(subset=[y])).empty:
        return ax
    table = data.pivot_table(index=x, columns="seed", values=y).sort_index().ffill()
    low, high = zip(*(_interval(row, row.mean()) for row in table.to_numpy()), strict=True)
    shade = COLORS.get(color, color)
    ax.plot(table.index, table.mean(axis=1), color=shade, label=label, linestyle=linestyle)
    ax.fill_between(table.index, low, high, color=shade, alpha=0.18, linewidth=0)
    return ax


def direct_label(ax: Axes, x: float, y: float, text: str, *, color: str, **options: Any) -> Axes:
    """A label at its curve, in the colour of the curve, instead of a legend far away."""
    shade = COLORS.get(color, color)
    ax.annotate(text, (x, y), **{"color": shade, "fontsize": 9.5, "ha": "left", "va": "center", **options})
    return ax


def frame(drawn: Figure, *, dpi: int = 110) -> str:
    """One frame of an animation: the figure as it is now, as a data URL; WebP, since dozens of frames make one page."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="webp", dpi=dpi, pil_kwargs={"quality": 70, "method": 4})
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def player(name: str, frames: Sequence[str], captions: Sequence[str], *, alt: str, milliseconds: int = 250) -> str:
    """An animation as a self-contained piece of HTML: a slider, a button, nothing from any other host.

    It starts at its last frame and does not move by itself, so that it also serves as a figure, and whoever asked the
    system for less motion gets none unless they press the button.

    Args:
        name: unique in its page.
        frames: data URLs, see :func:`frame`.
        captions: what each frame shows, in a few words.
        alt: the finding, for readers who cannot see it.
        milliseconds: time for each frame.
    """
    if len(frames) != len(captions) or not frames:
        raise ValueError(f"an animation needs a caption for each frame; got {len(frames)} and {len(captions)}")
    images = "".join(
        f'<img src="{source}" alt="{html.escape(alt) if last else ""}"{"" if last else " hidden"}>'
        for source, last in zip(frames, [False] * (len(frames) - 1) + [True], strict=True)
    )
    texts = html.escape("\n".join(captions), quote=True)
    end = len(frames) - 1
    return f"""<div class="dlp-player" id="player-{name}" data-captions="{texts}" data-milliseconds="{milliseconds}">
<div class="dlp-frames" role="img" aria-label="{html.escape(alt, quote=True)}">{images}</div>
<div class="dlp-controls"><button type="button" aria-label="Play the animation">▶ Play</button>
<input type="range" min="0" max="{end}" value="{end}" aria-label="Moment shown">
<output>{html.escape(captions[-1])}</output></div>
<script>{_PLAYER.replace("NAME", name)}</script></div>"""


_PLAYER = """(function () {
  var root = document.getElementById("player-NAME");
  var images = root.querySelectorAll("img"), slider = root.querySelector("input");
  var button = root.querySelector("button"), output = root.querySelector("output");
  var captions = root.dataset.captions.split("\\n"), timer = null;
  function show(index) {
    images.forEach(function (image, i) { image.hidden = i !== index; });
    slider.value = index;
    slider.setAttribute("aria-valuetext", captions[index]);
    output.textContent = captions[index];
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "▶ Play";
    button.setAttribute("aria-label", "Play the animation");
  }
  function play() {
    if (+slider.value === images.length - 1) { show(0); }
    button.textContent = "❚❚ Pause";
    button.setAttribute("aria-label", "Pause the animation");
    timer = setInterval(function () {
      if (+slider.value === images.length - 1) { stop(); } else { show(+slider.value + 1); }
    }, +root.dataset.milliseconds);
  }
  button.addEventListener("click", function () { if (timer) { stop(); } else { play(); } });
  slider.addEventListener("input", function () { stop(); show(+slider.value); });
})();"""
