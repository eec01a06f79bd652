"""Records: what a chapter claimed, measured and ran with, as one JSON file with its tables beside it as CSV.

A record is read back only if it is whole: a truncated, foreign or newer file, or a table that was altered, is one
clear error. Writing is atomic: tables first, the JSON last, so a record never speaks of tables that are not there.
"""

import hashlib
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from dlparadox.files import write_text

__all__ = ["SCHEMA", "VERSION", "Record", "RecordError", "load_record", "write_record"]

SCHEMA = "dlparadox-record"
VERSION = 1
FILE = "record.json"
#: Names of tables; other files in the folder are not ours to remove.
_OURS = re.compile(r".+\.[0-9a-f]{8}\.csv")
_FIELDS = {"chapter": str, "title": str, "profile": str, "parameters": dict, "claims": list, "tables": dict,
           "provenance": dict}  # fmt: skip
_CLAIM = {
    "name",
    "statement",
    "source",
    "published",
    "region",
    "measured",
    "mean",
    "interval",
    "controls",
    "verdict",
}


class RecordError(ValueError):
    """A record that is missing, damaged, foreign or newer than this program."""


@dataclass(frozen=True)
class Record:
    """One run of one chapter under one profile."""

    chapter: str
    title: str
    profile: str
    parameters: Mapping[str, Any]
    claims: list[dict[str, Any]]
    tables: Mapping[str, Mapping[str, Any]]
    provenance: Mapping[str, Any]
    path: Path = field(default=Path(FILE), compare=False)

    def table(self, name: str) -> pd.DataFrame:
        """One of the record's tables.

        Raises:
            RecordError: for an unknown table, or a file that is missing or not the one that was recorded.
        """
        if name not in self.tables:
            raise RecordError(f"{self.path} has no table {name!r}; it has {', '.join(self.tables) or 'none'}")
        # Texts are named in the record, since a column of "true" would otherwise come back as booleans.
        texts = {column: str for column in self.tables[name].get("texts", ())}
        return pd.read_csv(io.BytesIO(self._verified(name)), dtype=texts)

    def verify(self) -> None:
        """Check that every table is there and unaltered."""
        for name in self.tables:
            self._verified(name)

    def _verified(self, name: str) -> bytes:
        path = self.path.parent / self.tables[name]["file"]
        try:
            content = path.read_bytes()
        except OSError:
            raise RecordError(f"{path} is missing, though {self.path} lists it; restore it or run again") from None
        if hashlib.sha256(content).hexdigest() != self.tables[name]["sha256"]:
            raise RecordError(
                f"{path} is not the table that {self.path} recorded (checksum differs); restore it or run again"
            )
        return content


def write_record(record: Record, folder: Path, tables: Mapping[str, pd.DataFrame]) -> Path:
    """Write a record and its tables into ``folder``, atomically, and return the path of the JSON file.

    Raises:
        OSError: if a file cannot be written (disk full, no permission); an earlier record stays as it was.
    """
    listed: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        text = table.to_csv(index=False, lineterminator="\n")
        checksum = hashlib.sha256(text.encode()).hexdigest()
        # A new content gets a new name, so that the tables of an earlier record stay whole until it is replaced.
        file = f"{name}.{checksum[:8]}.csv"
        write_text(folder / file, text)
        texts = [column for column in table.columns if pd.api.types.is_string_dtype(table[column])]
        listed[name] = {
            "file": file,
            "rows": len(table),
            "columns": list(table.columns),
            "texts": texts,
            "sha256": checksum,
        }
    content = {
        "schema": SCHEMA,
        "version": VERSION,
        **{name: getattr(record, name) for name in _FIELDS if name != "tables"},
        "tables": listed,
    }
    path = folder / FILE
    write_text(path, json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
    current = {entry["file"] for entry in listed.values()}
    for left in folder.glob("*.csv"):
        if left.name not in current and _OURS.fullmatch(left.name):
            left.unlink(missing_ok=True)
    return path


def load_record(path: Path) -> Record:
    """Read a record and verify it, its tables included.

    Raises:
        RecordError: one line that names the file, what is wrong with it, and the remedy.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError(f"no record at {path}; run the chapter first") from None
    except (ValueError, OSError) as error:
        raise RecordError(f"{path} is damaged ({error}); delete it and run the chapter again") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise RecordError(f"{path} is not a record of this book (schema {SCHEMA!r} expected); remove the file")
    if content.get("version") != VERSION:
        found = content.get("version")
        raise RecordError(f"{path} has schema version {found!r}, this program reads {VERSION}; update it or run again")
    for name, kind in _FIELDS.items():
        if not isinstance(content.get(name), kind):
            raise RecordError(f"{path} is damaged: {name!r} should be a {kind.__name__}; run the chapter again")
    for claim in content["claims"]:
        if not isinstance(claim, dict) or not claim.keys() >= _CLAIM:
            raise RecordError(f"{path} is damaged: a claim lacks some of {sorted(_CLAIM)}; run the chapter again")
    for name, entry in content["tables"].items():
        described = isinstance(entry, dict) and entry.keys() >= {"file", "rows", "columns", "sha256"}
        if not described or not isinstance(entry["file"], str):
            raise RecordError(f"{path} is damaged: table {name!r} is not described; run the chapter again")
    record = Record(**{name: content[name] for name in _FIELDS}, path=path)
    record.verify()
    return record
