"""The ledger: every claim of the book, what the paper reported, what we measured, and what was accepted."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dlparadox.press.evidence import Chapter
from dlparadox.press.markup import (
    bibliography,
    cited,
    escape,
    raw,
    tally,
    verdict_badge,
)
from dlparadox.wording import MARKS, measured_text

__all__ = ["claim_anchor", "ledger_page"]

COLUMNS = ("Claim", "Verdict", "The paper", "Measured here", "Accepted", "Control")
PROFILE_NAMES = {"quick": "quick profile", "paper": "paper scale"}
_INTRODUCTION = """\
---
html_theme.sidebar_secondary.remove: true
---

# Ledger of claims

Every claim of the book, with the number that the paper reports and the number that we measured. The accepted
region was written down before the run, with its reason. Each claim has a control: a case in which the check
has to fail. {ref}`How to read a verdict <verdicts>` explains the words.

"""


def claim_anchor(slug: str, name: str, profile: str) -> str:
    """Id of a claim's row in the ledger."""
    return f"claim-{slug}-{name}-{profile}"


def ledger_page(chapters: Iterable[Chapter], root: Path) -> str:
    """The ledger as MyST text.

    Args:
        chapters: with their records, in the order of the book.
        root: the project's folder, for the references.
    """
    chapters = list(chapters)
    known = bibliography(root / "book" / "references.bib")
    rows = [
        _row(chapter, profile, claim, known)
        for chapter in chapters
        for claim in chapter.quick.claims + _only_at_paper_scale(chapter)
        for profile, claim in _by_profile(chapter, claim["name"])
    ]
    total = tally(claim for chapter in chapters for claim in chapter.quick.claims)
    count = sum(len(chapter.quick.claims) for chapter in chapters)
    paper = [claim for chapter in chapters if chapter.paper for claim in chapter.paper.claims]
    text = f"**Quick profile: {count} claims, {total}.**"
    if paper:
        text += f" **Paper scale: {len(paper)} claims, {tally(paper)}.**"
    return f"{_INTRODUCTION}{text}\n\n{_stale_list(chapters)}{raw(_table(rows))}\n"


def _only_at_paper_scale(chapter: Chapter) -> list[dict[str, Any]]:
    quick = {claim["name"] for claim in chapter.quick.claims}
    return [claim for claim in chapter.paper.claims if claim["name"] not in quick] if chapter.paper else []


def _by_profile(chapter: Chapter, name: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (profile, claim) for profile, record in chapter.records() for claim in record.claims if claim["name"] == name
    ]


def _stale_list(chapters: Iterable[Chapter]) -> str:
    """Which paper-scale runs are older than the code, and what changed."""
    lines = [
        f"- {{doc}}`{chapter.title} <../chapters/{chapter.slug}>`: "
        + ", ".join(f"`{name}`" if "." in name else name for name in chapter.stale)
        for chapter in chapters
        if chapter.stale
    ]
    if not lines:
        return ""
    listed = "\n".join(lines)
    return (
        ":::{admonition} Recorded before the latest change\n:class: warning\n"
        f"These paper-scale runs are older than the code that made them. Changed since:\n\n{listed}\n:::\n\n"
    )


def _table(rows: Iterable[str]) -> str:
    head = "".join(f'<th scope="col" role="columnheader">{name}</th>' for name in COLUMNS)
    return (
        '<table class="table dlp-ledger" role="table" aria-label="Ledger of claims">\n'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>\n<tbody role="rowgroup">\n'
        + "\n".join(rows)
        + "\n</tbody>\n</table>"
    )


def _small(content: str, css: str = "") -> str:
    return f'<span class="{f"dlp-small {css}".strip()}">{content}</span>'


def _row(chapter: Chapter, profile: str, claim: Mapping[str, Any], known: Mapping[str, str]) -> str:
    anchor = claim_anchor(chapter.slug, claim["name"], profile)
    order = list(MARKS).index(claim["verdict"])
    cells = (
        _verdict(chapter, profile, claim),
        _published(claim, known),
        escape(measured_text(claim, exact=bool(claim.get("deterministic")))),
        escape(claim["region"]["text"]) + _small(escape(claim["region"]["because"])),
        _controls(claim),
    )
    shown = "".join(
        f'<td role="cell" data-label="{label}"><div>{cell}</div></td>'
        for label, cell in zip(COLUMNS[1:], cells, strict=True)
    )
    sorting = f'data-verdict="{claim["verdict"]}" data-order="{order}" data-profile="{profile}"'
    head = f'<th scope="row" role="rowheader"><div>{_claim(chapter, profile, claim)}</div></th>'
    title = escape(chapter.short_title)
    return f'<tr role="row" id="{anchor}" {sorting} data-chapter="{title}">{head}{shown}</tr>'


def _claim(chapter: Chapter, profile: str, claim: Mapping[str, Any]) -> str:
    note = _small(f"Why: {escape(claim['note'])}") if claim.get("note") else ""
    home = f'<a href="../chapters/{chapter.slug}.html">{escape(chapter.short_title)}</a>'
    place = _small(f"{home}, <code>{escape(claim['name'])}</code>, {PROFILE_NAMES[profile]}")
    return f'<span class="dlp-statement">{escape(claim["statement"])}</span>{note}{place}'


def _verdict(chapter: Chapter, profile: str, claim: Mapping[str, Any]) -> str:
    stale = ""
    if profile == "paper" and chapter.stale:
        stale = _small(f"stale: {escape(', '.join(chapter.stale))} changed since", "dlp-stale")
    return verdict_badge(claim["verdict"]) + stale


def _published(claim: Mapping[str, Any], known: Mapping[str, str]) -> str:
    number = escape(claim["published"]) if claim.get("published") else "gives no number"
    source = cited(claim["source"], known, page="../references.html")
    return number + _small(source)


def _controls(claim: Mapping[str, Any]) -> str:
    """Each control with its number; one that is *not reproduced* fails, as it must."""
    items = []
    for control in claim["controls"]:
        exact = len(control["measured"]) == 1 and bool(claim.get("deterministic"))
        outcome = "fails, as it must" if control["verdict"] == "not reproduced" else f"{control['verdict']}: too weak"
        numbers = escape(measured_text(control, exact=exact))
        items.append(f'<li>{escape(control["name"])}: {numbers}<span class="dlp-small">{outcome}</span></li>')
    return f'<ul class="dlp-plain">{"".join(items)}</ul>'
