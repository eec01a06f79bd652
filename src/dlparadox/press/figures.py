"""Figures of a run as a page shows them: described in words, in the page's colours, with their data.

An SVG goes inline, so that its ink follows the page's theme: the colours of a printed figure become CSS
variables. A PNG (and an SVG too heavy to be inlined) becomes a file and lies on light paper in both themes.
"""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlparadox.files import atomic_path, write_text
from dlparadox.press.errors import PageError
from dlparadox.press.markup import escape

__all__ = ["IMAGE_TYPES", "csv_link", "figure_name", "inline_svg", "picture_html"]

IMAGE_TYPES = ("image/svg+xml", "image/png")
HEAVIEST_INLINE = 400_000  # characters; beyond this a page becomes slow to open on a phone
#: Colours of a printed figure -> those of the page's theme; each has a light and a dark shade.
THEME_COLOURS = {
    "#000000": "currentColor",
    "#222222": "currentColor",
    "#262626": "currentColor",
    "#333333": "currentColor",
    "#444444": "var(--dlp-ink-soft)",
    "#555555": "var(--dlp-ink-soft)",
    "#767676": "var(--dlp-ink-grey)",
    "#e3e3e3": "var(--dlp-grid)",
    "#ffffff": "var(--dlp-paper)",
    "#0072b2": "var(--dlp-data-blue)",
    "#d55e00": "var(--dlp-data-orange)",
    "#009e73": "var(--dlp-data-green)",
    "#cc79a7": "var(--dlp-data-pink)",
    "#56b4e9": "var(--dlp-data-sky)",
    "#e69f00": "var(--dlp-data-amber)",
}
_COLOUR = re.compile(r"(?<=[:\"'\s])#[0-9a-fA-F]{6}(?=[;\"'\s])")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def figure_name(output: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a chapter said about a figure (``figure``, ``alt``, ``table``), or None for another output.

    A figure is an image, or an animation as HTML that the chapter named.

    Raises:
        PageError: for an image that came without that, or with an empty description.
    """
    data, metadata = output.get("data", {}), output.get("metadata", {})
    kinds = [kind for kind in ("text/html", *IMAGE_TYPES) if kind in data]
    if not kinds:
        return None
    about = metadata.get("dlparadox") or metadata.get(kinds[0], {}).get("dlparadox") or {}
    if kinds[0] == "text/html" and "figure" not in about:
        return None
    if "figure" not in about:
        raise PageError("an image without a description; show it with chapter.figure(name, figure, alt=..., data=...)")
    name, alt = about["figure"], str(about.get("alt", "")).strip()
    if not _NAME.fullmatch(name):
        raise PageError(f"the figure name {name!r} should be lower case with hyphens, for example 'time-to-fit'")
    if len(alt) < 15:
        raise PageError(f"figure {name!r} is described as {alt!r}; alt should state its finding in one sentence")
    return {**about, "alt": alt}


def picture_html(output: Mapping[str, Any], about: Mapping[str, Any], *, prefix: str, folder: Path, href: str) -> str:
    """The picture of a figure as HTML, with its description.

    Args:
        output: the notebook output that shows it.
        about: from :func:`figure_name`.
        prefix: of the ids in the picture, unique on the page.
        folder: where image files go.
        href: address of that folder, relative to the page.
    """
    name, alt = about["figure"], escape(about["alt"])
    if "text/html" in output["data"]:
        return _text(output["data"]["text/html"])
    if "image/svg+xml" in output["data"]:
        svg = _text(output["data"]["image/svg+xml"])
        if len(svg) <= HEAVIEST_INLINE:
            return f'<div class="dlp-plot">{inline_svg(svg, prefix, alt)}</div>'
        write_text(folder / f"{name}.svg", svg)
        file = f"{name}.svg"
    else:
        file = f"{name}.png"
        with atomic_path(folder / file) as temporary:
            temporary.write_bytes(base64.b64decode(_text(output["data"]["image/png"])))
    return f'<img class="dlp-print" src="{href}/{file}" alt="{alt}" loading="lazy">'


def csv_link(href: str | None) -> str:
    """The link to a figure's data; empty where it has none."""
    return f'<a class="dlp-csv" href="{href}" download>Data of this figure (CSV)</a>' if href else ""


def inline_svg(svg: str, name: str, alt: str) -> str:
    """An SVG made fit to stand in a page: described, scalable, in the page's colours, its ids its own.

    Args:
        svg: the file's text.
        name: prefix of the ids, unique on the page.
        alt: description, already escaped.

    Raises:
        PageError: if it has no ``<svg>`` element with a ``viewBox``.
    """
    start = re.search(r"<svg\b[^>]*>", svg)
    box = re.search(r'viewBox="([\d.eE+\s-]+)"', start.group()) if start else None
    if not start or not box:
        raise PageError(f"figure {name!r} is not an SVG with a viewBox; save it with matplotlib")
    _, _, width, height = (float(value) for value in box.group(1).split())
    body = svg[start.end() : svg.rindex("</svg>")]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = _COLOUR.sub(lambda match: THEME_COLOURS.get(match.group().lower(), match.group()), body)
    body = re.sub(r"\n\s*\n+", "\n", body)
    # One point of the figure is 4/3 pixels; below two thirds of that its letters become too small.
    pixels = width * 4 / 3
    style = f"--dlp-width:{pixels:.0f}px;--dlp-least:{2 / 3 * pixels:.0f}px"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'fill="currentColor" aria-label="{alt}" viewBox="0 0 {width:g} {height:g}" style="{style}" '
        f'class="dlp-svg">{body}</svg>'
    )


def _text(content: str | list[str]) -> str:
    return content if isinstance(content, str) else "".join(content)
