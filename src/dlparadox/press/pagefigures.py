"""The figures of a chapter's run, where its code shows them and where its text shows them again.

A text shows a figure of the run, above all the one that opens a chapter, with the directive ``{figure}`` and
the path ``figures/<slug>/<name>.svg``; its options ``alt`` and ``name`` and its caption hold.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dlparadox.press.errors import PageError
from dlparadox.press.evidence import Chapter
from dlparadox.press.figures import csv_link, figure_name, picture_html
from dlparadox.press.markup import escape, raw

__all__ = ["PageFigures"]

_DIRECTIVE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{figure\}[ \t]+figures/(?P<slug>[\w-]+)/(?P<name>[\w-]+)\.(?:svg|png)[ \t]*\n"
    r"(?P<body>.*?)^(?P=fence)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
_OPTION = re.compile(r"^:([\w-]+):[ \t]*(.*)$")


class PageFigures:
    """All figures of one chapter's run.

    Raises:
        PageError: for a figure without description, two of one name, or data that the record does not have.
    """

    def __init__(self, cells: Iterable[Any], chapter: Chapter, root: Path) -> None:
        self.chapter = chapter
        self.folder = root / "book" / "generated" / "files" / "figures" / chapter.slug
        self.found: dict[str, tuple[Any, dict[str, Any], str | None]] = {}
        for output in (output for cell in cells for output in cell.outputs):
            if "data" not in output or "scrapbook" in output.metadata or (about := figure_name(output)) is None:
                continue
            if about["figure"] in self.found:
                raise PageError(f"two figures are called {about['figure']!r}; rename one")
            self.found[about["figure"]] = output, about, self._csv(about)

    def _csv(self, about: Mapping[str, Any]) -> str | None:
        """Address of a figure's data, relative to the page; ``profile`` in its metadata can be "paper"."""
        if not (table := about.get("table")):
            return None
        profile = about.get("profile", "quick")
        record = dict(self.chapter.records()).get(profile)
        if record is None or table not in record.tables:
            known = ", ".join(record.tables) if record else "no such record"
            raise PageError(
                f"figure {about['figure']!r} shows the table {table!r}, but the {profile} record has: {known}"
            )
        return f"../data/{self.chapter.slug}/{profile}/{table}.csv"

    def html(self, name: str) -> str:
        """A figure where the code shows it: picture, caption if it has one, link to its data."""
        about, csv = self.found[name][1:]
        caption = f'<span class="dlp-caption">{escape(about["caption"])}</span> ' if about.get("caption") else ""
        below = f"<figcaption>{caption}{csv_link(csv)}</figcaption>" if caption or csv else ""
        return f'<figure class="dlp-figure" id="figure-{name}">{self._picture(name, name)}{below}</figure>'

    def _picture(self, name: str, prefix: str, alt: str | None = None) -> str:
        output, about, _ = self.found[name]
        shown = about | ({"alt": alt} if alt else {})
        href = f"../figures/{self.chapter.slug}"
        return picture_html(output, shown, prefix=prefix, folder=self.folder, href=href)

    def placed(self, text: str) -> str:
        """The text of one cell with each directive that shows a figure of the run replaced by that figure.

        Raises:
            PageError: for a name that the run has no figure of.
        """
        return _DIRECTIVE.sub(self._replaced, text)

    def _replaced(self, match: re.Match[str]) -> str:
        name = match["name"]
        if name not in self.found or match["slug"] != self.chapter.slug:
            known = ", ".join(sorted(self.found)) or "none"
            raise PageError(f"the text shows the figure {name!r}, which the run did not make; it made: {known}")
        options, caption = _parted(match["body"])
        picture = self._picture(name, f"text-{name}", options.get("alt"))
        before = f'<figure class="dlp-figure">{picture}<figcaption>'
        after = f"{csv_link(self.found[name][2])}</figcaption></figure>"
        label = f":name: {options['name']}\n" if "name" in options else ""
        inner = "\n\n".join(part for part in (raw(before), caption, raw(after)) if part)
        return f":::::::::{{div}} dlp-lead-figure\n{label}\n{inner}\n:::::::::"


def _parted(body: str) -> tuple[dict[str, str], str]:
    """Options and caption of a directive."""
    options: dict[str, str] = {}
    lines = body.splitlines()
    while lines and (match := _OPTION.match(lines[0])):
        options[match[1]] = match[2].strip()
        lines.pop(0)
    return options, "\n".join(lines).strip()
