"""The card that opens a chapter's page and the run record that ends it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dlparadox.press.evidence import Chapter
from dlparadox.press.links import chapter_links, repository
from dlparadox.press.markup import escape, raw, table, tally
from dlparadox.records import Record

__all__ = ["duration", "memory", "opening_card", "plain_summary", "run_record", "run_seconds", "seeds_text", "versions"]

#: Rows of the run record.
FACTS = (
    *("Commit", "Code digest", "Wall time", "Peak memory", "Device", "Threads", "Number type", "Seeds"),
    *("Platform", "Versions", "Data", "Parameters", "Tables"),
)


def duration(seconds: float) -> str:
    """A time as a reader plans with it: ``48 s``, ``1 min 5 s``, ``3 h 20 min``."""
    whole = round(seconds)
    if whole < 1:
        return "under 1 s"
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{round(seconds / 60)} min"
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def memory(mebibytes: float) -> str:
    """Peak memory: ``512 MiB``, ``1.4 GiB``."""
    return f"{mebibytes:.0f} MiB" if mebibytes < 1000 else f"{mebibytes / 1024:.1f} GiB"


def seeds_text(seeds: Sequence[int]) -> str:
    """Seeds as a range where they are one: ``5 (0 to 4)``."""
    if not seeds:
        return "none"
    values = sorted(seeds)
    if len(values) > 1 and values == list(range(values[0], values[0] + len(values))):
        return f"{len(values)} ({values[0]} to {values[-1]})"
    return f"{len(values)} ({', '.join(map(str, values))})"


def versions(record: Record) -> dict[str, str]:
    """Versions of Python and of the packages that a run used."""
    return {"Python": str(record.provenance.get("python", "?")), **record.provenance.get("packages", {})}


def opening_card(chapter: Chapter, summary: str) -> str:
    """The card under a chapter's title: what it shows, what it costs, how to run it, where to get it."""
    record, slug = chapter.quick, chapter.slug
    facts = [("Verdicts", tally(record.claims)), *_costs(record), ("Profile", record.profile)]
    if chapter.paper:
        stale = " (older than the code)" if chapter.stale else ""
        facts.append(("Paper scale", f"{tally(chapter.paper.claims)}{stale}"))
    items = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    links = [f'<a class="dlp-button" href="../notebooks/{slug}.ipynb" download>Download the notebook</a>']
    if where := repository():
        elsewhere = chapter_links(where, slug, record.profile, versions(record))
        links += [f'<a class="dlp-button" href="{escape(href)}">{label}</a>' for label, href in elsewhere]
    return raw(
        '<section class="dlp-opening" aria-label="About this chapter">\n'
        f'<p class="dlp-summary">{escape(summary)}</p>\n'
        f'<dl class="dlp-facts">{items}</dl>\n'
        f'<p class="dlp-command"><span>Run it again</span> <code>make chapter NAME={slug}</code></p>\n'
        f'<p class="dlp-actions">{" ".join(links)}</p>\n</section>'
    )


def _costs(record: Record) -> list[tuple[str, str]]:
    ran = record.provenance
    return [
        ("Time", duration(run_seconds(record))),
        ("Memory", memory(float(ran.get("peak_memory_mib") or 0))),
        ("Seeds", seeds_text(ran.get("seeds", []))),
    ]


def unnamed_data(record: Record) -> str:
    """What a run that named no data worked on, as HTML: its own, or a set that it did not put into its record."""
    given = record.parameters.get("data", [])
    names = [given] if isinstance(given, str) else given
    return f"{escape(', '.join(names))}; the run noted no checksum" if names else "made by the program"


def run_seconds(record: Record) -> float:
    """Seconds that a run took; what an interrupted one had done before is part of the cost."""
    ran = record.provenance
    return float(ran.get("seconds") or 0) + float(ran.get("resumed_seconds") or 0)


def run_record(chapter: Chapter) -> str:
    """The section that ends a page: what the numbers above were computed with."""
    records = dict(chapter.records())
    rows = [(name, *(_fact(record, name) for record in records.values())) for name in FACTS]
    text = table(["", *(f"{profile} profile" for profile in records)], rows, label="Run record", css="dlp-record")
    note = ""
    if chapter.stale:
        changed = _names(chapter.stale)
        note = f'<p class="dlp-stale">The paper-scale run is older than the code. Changed since: {changed}.</p>'
    return "## Run record\n\nWhat the numbers on this page were computed with.\n\n" + raw(note + text)


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"<code>{escape(name)}</code>" if "." in name else escape(name) for name in names)


def _fact(record: Record, name: str) -> str:
    """One cell of the run record, as HTML."""
    ran = record.provenance
    digest = ran.get("digest") or {}
    simple = {
        "Commit": _commit(ran),
        "Code digest": f"<code>{escape(digest['total'][:12])}</code>" if digest else "not recorded",
        "Wall time": duration(run_seconds(record)),
        "Peak memory": memory(float(ran.get("peak_memory_mib") or 0)),
        "Device": escape(ran.get("device", "?")),
        "Threads": escape(ran.get("threads", "?")),
        "Number type": escape(ran.get("dtype", "?")),
        "Seeds": seeds_text(ran.get("seeds", [])),
        "Platform": escape(ran.get("platform", "?")),
    }
    if name in simple:
        return simple[name]
    if name == "Versions":
        return _list(f"{escape(package)} {escape(version)}" for package, version in versions(record).items())
    if name == "Data":
        return _list(_data(data, about) for data, about in ran.get("data", {}).items()) or unnamed_data(record)
    if name == "Parameters":
        return _list(f"<code>{escape(key)} = {escape(value)}</code>" for key, value in record.parameters.items())
    files = (f"../data/{record.chapter}/{record.profile}/{table}.csv" for table in record.tables)
    sizes = zip(record.tables.items(), files, strict=True)
    return _list(
        f'<a href="{href}" download>{escape(key)}.csv</a> ({about["rows"]} rows)' for (key, about), href in sizes
    )


def _commit(ran: Mapping[str, Any]) -> str:
    if not ran.get("commit"):
        return "not under version control"
    changed = ", with uncommitted changes" if ran.get("dirty") else ""
    return f"<code>{escape(str(ran['commit'])[:12])}</code>{changed}"


def _data(name: str, about: Mapping[str, Any]) -> str:
    published = "" if about.get("published", True) else ", <strong>not the published content</strong>"
    note = f", {escape(about['note'])}" if about.get("note") else ""
    return f"{escape(name)}{published}{note}, SHA-256 <code>{escape(str(about.get('sha256', ''))[:16])}…</code>"


def _list(items: Any) -> str:
    lines = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{lines}</ul>" if lines else ""


def plain_summary(text: str, limit: int = 300) -> str:
    """A paragraph of MyST as one line of plain text: roles give their text, emphasis and math signs go."""
    text = re.sub(r"\{[\w:-]+\}`([^`<]*?)(?:\s*<[^>]*>)?`", r"\1", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"[*_`$]", "", text)
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    end = text.rfind(". ", 0, limit)
    return text[: end + 1] if end > 0 else text[: text.rindex(" ", 0, limit)] + " …"
