"""The status page: what each chapter's runs cost and what they ran with."""

from collections.abc import Iterable

from dlparadox.press.cards import duration, memory, run_seconds, seeds_text, unnamed_data, versions
from dlparadox.press.evidence import Chapter
from dlparadox.press.markup import escape, raw, table, tally
from dlparadox.records import Record

__all__ = ["status_page"]

_INTRODUCTION = """\
---
html_theme.sidebar_secondary.remove: true
---

# Status

What each run took and what it ran with. The quick runs are those of this build. The paper-scale runs were
made once and are kept with the book.

"""


def status_page(chapters: Iterable[Chapter]) -> str:
    """The status page as MyST text.

    Args:
        chapters: with their records, in the order of the book.
    """
    runs = [(chapter, profile, record) for chapter in chapters for profile, record in chapter.records()]
    quick = [record for _, profile, record in runs if profile == "quick"]
    total = sum(run_seconds(record) for record in quick)
    most = max((float(record.provenance.get("peak_memory_mib") or 0) for record in quick), default=0.0)
    sentence = f"All quick runs together took **{duration(total)}**, each at most **{memory(most)}** of memory.\n\n"
    costs = table(
        ("Chapter", "Profile", "Verdicts", "Time", "Memory", "Device", "Threads", "Seeds", "Up to date"),
        (_cost_row(chapter, profile, record) for chapter, profile, record in runs),
        label="What each run took",
        css="dlp-wide-page",
    )
    origins = table(
        ("Chapter", "Profile", "Date", "Commit", "Code digest", "Data"),
        (_origin_row(chapter, profile, record) for chapter, profile, record in runs),
        label="Where each run comes from",
    )
    packages = _version_table(runs)
    return (
        f"{_INTRODUCTION}{sentence}## What each run took\n\n{raw(costs)}\n\n"
        f"## Where each run comes from\n\n{raw(origins)}\n\n## Versions\n\n{raw(packages)}\n"
    )


def _head(chapter: Chapter, profile: str) -> tuple[str, str]:
    return f'<a href="../chapters/{chapter.slug}.html">{escape(chapter.short_title)}</a>', profile


def _cost_row(chapter: Chapter, profile: str, record: Record) -> tuple[str, ...]:
    ran = record.provenance
    current = "yes"
    if profile == "paper" and chapter.stale:
        current = f'<span class="dlp-stale">stale: {escape(", ".join(chapter.stale))} changed since</span>'
    return (
        *_head(chapter, profile),
        tally(record.claims),
        duration(run_seconds(record)),
        memory(float(ran.get("peak_memory_mib") or 0)),
        escape(ran.get("device", "?")),
        escape(ran.get("threads", "?")),
        seeds_text(ran.get("seeds", [])),
        current,
    )


def _origin_row(chapter: Chapter, profile: str, record: Record) -> tuple[str, ...]:
    ran = record.provenance
    digest = ran.get("digest") or {}
    commit = f"<code>{escape(str(ran['commit'])[:12])}</code>" if ran.get("commit") else "none"
    data = "; ".join(
        f"{escape(name)} <code>{escape(str(about.get('sha256', ''))[:12])}</code>"
        for name, about in ran.get("data", {}).items()
    )
    return (
        *_head(chapter, profile),
        escape(str(ran.get("started", ""))[:10] or "?"),
        commit + (", with uncommitted changes" if ran.get("dirty") else ""),
        f"<code>{escape(digest['total'][:12])}</code>" if digest else "none",
        data or unnamed_data(record),
    )


def _version_table(runs: list[tuple[Chapter, str, Record]]) -> str:
    """One row per package; runs with the same versions share a column."""
    columns: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for chapter, profile, record in runs:
        columns.setdefault(tuple(versions(record).items()), []).append(f"{chapter.short_title} ({profile})")
    names = list(dict.fromkeys(name for column in columns for name, _ in column))
    everything = len(columns) == 1
    head = (
        "Package",
        *("all runs" if everything else escape(", ".join(titles)) for titles in columns.values()),
    )
    rows = ((escape(name), *(escape(dict(column).get(name, "")) for column in columns)) for name in names)
    return table(head, rows, label="Versions of the packages")
