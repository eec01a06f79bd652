"""What the book stands on: the records of every chapter, and which of them are older than today's code."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dlparadox.digests import chapter_digest
from dlparadox.press.errors import PageError
from dlparadox.records import Record, RecordError, load_record

__all__ = ["Chapter", "book_chapters", "chapter_evidence", "evidence", "toc_entries"]

CHAPTERS = "chapters/"


@dataclass(frozen=True)
class Chapter:
    """A chapter with its records: the quick one, and the paper-scale one if there is one."""

    slug: str
    part: str
    quick: Record
    paper: Record | None
    stale: tuple[str, ...]  # what changed since the paper-scale run; empty when it is up to date

    @property
    def title(self) -> str:
        """Title of the chapter, as its record has it."""
        return self.quick.title

    @property
    def short_title(self) -> str:
        """What stands before the colon in the title."""
        return self.title.split(":")[0]

    def records(self) -> Iterator[tuple[str, Record]]:
        """Profile and record, the quick one first."""
        yield "quick", self.quick
        if self.paper:
            yield "paper", self.paper


def toc_entries(root: Path) -> list[tuple[str, str]]:
    """Part and file (without suffix) of every page in ``book/_toc.yml``, in order; the front page first."""
    path = root / "book" / "_toc.yml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    entries = [("", content["root"])]
    for part in content.get("parts", []):
        entries += _files(part, part.get("caption", ""))
    return entries


def _files(node: Mapping[str, Any], part: str) -> list[tuple[str, str]]:
    found = []
    for child in [*node.get("chapters", []), *node.get("sections", [])]:
        found.append((part, child["file"].removesuffix(".md").removesuffix(".ipynb")))
        found += _files(child, part)
    return found


def book_chapters(root: Path) -> list[tuple[str, str]]:
    """Part and slug of every chapter in the table of contents."""
    return [(part, file.removeprefix(CHAPTERS)) for part, file in toc_entries(root) if file.startswith(CHAPTERS)]


def evidence(root: Path) -> list[Chapter]:
    """Every chapter of the book with its records.

    Raises:
        PageError: naming the chapter whose record is missing, damaged or not its own.
    """
    return [chapter_evidence(slug, root, part) for part, slug in book_chapters(root)]


def chapter_evidence(slug: str, root: Path, part: str = "") -> Chapter:
    """One chapter with its records.

    Raises:
        PageError: if a record is missing, damaged or belongs to another chapter or profile.
    """
    quick = _load(root / "build" / "quick" / slug / "record.json", slug, "quick")
    path = root / "experiments" / "records" / slug / "record.json"
    paper = _load(path, slug, "paper") if path.exists() else None
    stale = _changed(paper, root / "experiments" / f"{slug}.md") if paper else ()
    return Chapter(slug, part, quick, paper, stale)


def _load(path: Path, slug: str, profile: str) -> Record:
    try:
        record = load_record(path)
    except RecordError as error:
        raise PageError(f"chapter {slug}: {error}") from error
    if (record.chapter, record.profile) != (slug, profile):
        raise PageError(
            f"chapter {slug}: {path} is the {record.profile} record of {record.chapter!r}; "
            f"put the {profile} record of {slug!r} there"
        )
    return record


def _changed(record: Record, source: Path) -> tuple[str, ...]:
    """What differs between the code of a recorded run and today's: the chapter's own, or names of modules."""
    then = record.provenance.get("digest")
    if not then:
        return ("no digest was recorded",)
    now = chapter_digest(source, record.parameters, for_record=True)
    changed = ["the chapter's code"] if then.get("code") != now["code"] else []
    modules = sorted(then.get("modules", {}).keys() | now["modules"].keys())
    return (*changed, *(name for name in modules if then["modules"].get(name) != now["modules"].get(name)))
