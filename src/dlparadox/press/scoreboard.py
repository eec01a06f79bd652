"""The scoreboard: every claim of the book at a glance, as a picture and as a table.

In the picture a verdict has its own shape, sign and colour, so that it is told apart without colours.
"""

import textwrap
from collections.abc import Iterable, Sequence

from dlparadox.press.evidence import Chapter
from dlparadox.press.ledger import claim_anchor
from dlparadox.press.markup import escape, raw, table, tally
from dlparadox.wording import MARKS, css_class, mark

__all__ = ["scoreboard_fragment", "scoreboard_svg"]

#: Colours that keep their contrast on light and on dark paper and differ for colour-blind readers.
COLOURS = {"reproduced": "#0b78b3", "not reproduced": "#c94a1d", "inconclusive": "#9a6a00", "void": "#75757f"}
STEP = 26  # distance between two marks
LABEL = 84  # room for the name of the profile behind a line of marks
DASHED = 'stroke-width="2" stroke-dasharray="4 3"'
WHITE_SIGN = 'fill="#fff" font-weight="700" text-anchor="middle"'
FONT = "font-family='system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif'"


def scoreboard_svg(chapters: Sequence[Chapter], *, wide: bool = True, alone: bool = False) -> str:
    """The picture: one row per chapter, one mark per claim; a second row of marks for the paper-scale run.

    Args:
        chapters: with their records.
        wide: titles left of the marks; otherwise above them, for narrow screens.
        alone: a file of its own, on light paper, instead of a part of a page that gives the colours.
    """
    width = 700 if wide else 340
    body: list[str] = []
    y = 8
    for chapter in chapters:
        lines, height = _chapter(chapter, y, width, wide)
        body += lines
        y += height
    legend, y = _legend(y + 8, wide)
    background = '<rect width="100%" height="100%" fill="#ffffff"/>' if alone else ""
    colour = f'color="#222832" {FONT}' if alone else 'class="dlp-svg"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" {colour} role="img" '
        f'aria-label="{escape(_description(chapters))}" font-size="15">'
        f"{background}{''.join(body)}{legend}</svg>"
    )


def _names(chapter: Chapter) -> list[str]:
    """Names of a chapter's claims, of both profiles, in the order of the ledger."""
    return list(dict.fromkeys(claim["name"] for _, record in chapter.records() for claim in record.claims))


def _description(chapters: Sequence[Chapter]) -> str:
    parts = [f"{chapter.title}: {tally(chapter.quick.claims)}" for chapter in chapters]
    parts += [f"{chapter.title}, paper scale: {tally(chapter.paper.claims)}" for chapter in chapters if chapter.paper]
    return "Scoreboard of all claims. " + ". ".join(parts) + "."


def _chapter(chapter: Chapter, y: int, width: int, wide: bool) -> tuple[list[str], int]:
    """A chapter's part of the picture, from ``y`` down, and its height; marks wrap where a line is full."""
    left = 235 if wide else 0
    title = textwrap.shorten(chapter.short_title, 30, placeholder="…")
    lines = [f'<text x="0" y="{y + 18}" fill="currentColor" font-weight="600">{escape(title)}</text>']
    names = _names(chapter)
    per_line = (width - left - LABEL) // STEP
    top = y + 13 if wide else y + 40
    for profile, record in chapter.records():
        verdicts = {claim["name"]: claim["verdict"] for claim in record.claims}
        for place, name in enumerate(names):
            if name in verdicts:
                x, line = left + 12 + place % per_line * STEP, top + place // per_line * STEP
                lines.append(_mark(verdicts[name], x, line, f"{name}, {profile}: {verdicts[name]}"))
        label = "quick" if profile == "quick" else "paper scale"
        end = left + min(len(names), per_line) * STEP + 6
        lines.append(f'<text x="{end}" y="{top + 5}" fill="currentColor" font-size="13">{label}</text>')
        top += -(-len(names) // per_line) * STEP + (6 if len(names) > per_line else 0)
    return lines, top - y


def _mark(verdict: str, x: int, y: int, title: str) -> str:
    """A mark: a disc, a diamond, a square or a dashed ring, with its sign."""
    colour = COLOURS[verdict]
    shapes = {
        "reproduced": f'<circle cx="{x}" cy="{y}" r="10" fill="{colour}"/>',
        "not reproduced": f'<path d="M{x} {y - 12}l12 12-12 12-12-12z" fill="{colour}"/>',
        "inconclusive": f'<rect x="{x - 10}" y="{y - 10}" width="20" height="20" rx="2" fill="{colour}"/>',
        "void": f'<circle cx="{x}" cy="{y}" r="9" fill="none" stroke="{colour}" {DASHED}/>',
    }
    signs = {
        "reproduced": f'<path d="M{x - 5} {y + 0.5}l3.5 4 6-8" {_line("#fff")}/>',
        "not reproduced": f'<path d="M{x - 4} {y - 4}l8 8m0-8l-8 8" {_line("#fff")}/>',
        "inconclusive": f'<text x="{x}" y="{y + 5}" {WHITE_SIGN}>?</text>',
        "void": f'<path d="M{x - 5} {y + 5}l10-10" {_line(colour)}/>',
    }
    return f"<g><title>{escape(title)}</title>{shapes[verdict]}{signs[verdict]}</g>"


def _line(colour: str) -> str:
    return f'fill="none" stroke="{colour}" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"'


def _legend(y: int, wide: bool) -> tuple[str, int]:
    """The four verdicts with their marks, and the height at which they end."""
    parts = []
    across = 165
    per_line = 4 if wide else 2
    for index, verdict in enumerate(MARKS):
        x, line = 12 + (index % per_line) * across, y + 14 + (index // per_line) * 30
        parts.append(_mark(verdict, x, line, verdict))
        parts.append(f'<text x="{x + 19}" y="{line + 5}" fill="currentColor" font-size="14">{verdict}</text>')
    return "".join(parts), y + 30 * (-(-len(MARKS) // per_line)) + 4


def scoreboard_fragment(chapters: Iterable[Chapter]) -> str:
    """The picture and the table for the front page, as MyST text; links start at the root of the site."""
    chapters = list(chapters)
    picture = (
        f'<div class="dlp-scoreboard dlp-wide">{scoreboard_svg(chapters)}</div>\n'
        f'<div class="dlp-scoreboard dlp-narrow">{scoreboard_svg(chapters, wide=False)}</div>'
    )
    rows = [
        (
            f'<a href="chapters/{chapter.slug}.html">{escape(chapter.short_title)}</a>',
            _claims(chapter, "quick"),
            _claims(chapter, "paper") if chapter.paper else "not run yet",
        )
        for chapter in chapters
    ]
    listed = table(("Chapter", "Quick profile", "Paper scale"), rows, label="Scoreboard as a table", css="dlp-score")
    between = "The same as a table; each claim leads to its line in the ledger."
    return f"{raw(picture)}\n\n{between}\n\n{raw(listed)}\n"


def _claims(chapter: Chapter, profile: str) -> str:
    record = dict(chapter.records())[profile]
    items = [
        f'<li class="{css_class(claim["verdict"])}">{mark(claim["verdict"])} '
        f'<a href="generated/ledger.html#{claim_anchor(chapter.slug, claim["name"], profile)}">'
        f"{escape(claim['name'])}</a>"
        f'<span class="dlp-verdict-name">, {claim["verdict"]}</span></li>'
        for claim in record.claims
    ]
    stale = '<li class="dlp-stale">older than the code</li>' if profile == "paper" and chapter.stale else ""
    return f'<ul class="dlp-plain dlp-claims">{"".join(items)}{stale}</ul>'
