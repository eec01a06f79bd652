"""Pieces of HTML that several pages share: numbers, verdict marks, citations, tables."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from dlparadox.press.errors import PageError
from dlparadox.wording import MARKS, css_class, mark

__all__ = [
    "bibliography",
    "cited",
    "escape",
    "raw",
    "table",
    "tally",
    "verdict_badge",
]

_KEY = re.compile(r"\b[a-z][a-z_-]*\d{4}[a-z]*\b")


def escape(text: object) -> str:
    """Text made safe for HTML, attributes included."""
    return html.escape(str(text), quote=True)


def raw(content: str) -> str:
    """A MyST block that puts HTML on the page as it is."""
    return f"`````{{raw}} html\n{content}\n`````"


def verdict_badge(verdict: str) -> str:
    """A verdict as a coloured badge with its sign and its name."""
    if verdict not in MARKS:
        raise PageError(f"unknown verdict {verdict!r}; a verdict is one of {', '.join(MARKS)}")
    return f'<span class="dlp-badge {css_class(verdict)}">{mark(verdict)} {verdict}</span>'


def tally(claims: Iterable[Mapping[str, Any]]) -> str:
    """How many claims got each verdict, in words: ``3 reproduced, 1 void``."""
    verdicts = [claim["verdict"] for claim in claims]
    counts = ((verdicts.count(verdict), verdict) for verdict in MARKS)
    return ", ".join(f"{count} {verdict}" for count, verdict in counts if count) or "no claims"


@lru_cache(maxsize=8)
def bibliography(path: Path) -> Mapping[str, str]:
    """Citation key -> ``Zhang et al. (2017)`` for each entry of a BibTeX file."""
    from pybtex.database import parse_file

    return {key: _author_year(entry) for key, entry in parse_file(str(path)).entries.items()}


def _author_year(entry: Any) -> str:
    from pybtex.richtext import Text

    persons = entry.persons.get("author", [])
    names = [str(Text.from_latex(" ".join(person.prelast_names + person.last_names))) for person in persons]
    if not names:
        raise PageError(f"the reference {entry.key!r} has no author; add one to references.bib")
    who = names[0] if len(names) == 1 else f"{names[0]} and {names[1]}" if len(names) == 2 else f"{names[0]} et al."
    return f"{who} ({entry.fields.get('year', 'n.d.')})"


def cited(source: str, known: Mapping[str, str], *, page: str | None, html: bool = False) -> str:
    """A claim's source with each citation key turned into author and year, linked to the page of references.

    Args:
        source: for example ``"zhang2017, Table 1"``.
        html: the source is HTML already.
        known: from :func:`bibliography`.
        page: path from the current page to the page of references; None for plain text.

    Raises:
        PageError: for a key that references.bib does not have.
    """

    def replaced(match: re.Match[str]) -> str:
        key = match.group()
        if key not in known:
            raise PageError(f"the source {source!r} cites {key!r}, which references.bib does not have; add it there")
        label = escape(known[key])
        return label if page is None else f'<a href="{page}#cite-1-{key.replace("_", "-")}">{label}</a>'

    return _KEY.sub(replaced, source if html else escape(source))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, label: str, css: str = "") -> str:
    """An HTML table in a box that scrolls by itself; cells are HTML, the first of each row is its header."""
    header = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    lines = []
    for first, *others in rows:
        lines.append(f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in others) + "</tr>")
    return (
        f'<div class="dlp-scroll" role="region" aria-label="{escape(label)}" tabindex="0">\n'
        f'<table class="table dlp-table {css}">\n<thead><tr>{header}</tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody>\n</table>\n</div>"
    )
