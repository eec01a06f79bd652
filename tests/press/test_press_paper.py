"""A run at the paper's scale resumes by cell, and its record is kept whole or not at all."""

import json
from pathlib import Path

import pytest
from small_project import press

from dlparadox.press.errors import PressError
from dlparadox.press.paths import Project
from dlparadox.press.publish import publish_record
from dlparadox.records import RecordError, load_record


@pytest.fixture(scope="module")
def recorded(executed: Project) -> Project:
    """A project with one run at the paper's scale."""
    path = executed.paper_parameters("tiny")
    path.parent.mkdir()
    path.write_text("profile: paper\nsamples: 4000\nn_seeds: 2\n")
    status, output = press(executed, "paper", "tiny")
    assert status == 0, output
    assert f"recorded: {executed.recorded('tiny') / 'record.json'}" in output
    return executed


def csv_files(folder: Path) -> set[str]:
    """Names of the tables in a folder."""
    return {path.name for path in folder.glob("*.csv")}


def test_the_record_and_its_tables_are_kept(recorded: Project) -> None:
    record = load_record(recorded.recorded("tiny") / "record.json")
    assert (record.chapter, record.profile) == ("tiny", "paper")
    assert record.parameters["samples"] == 4000
    assert record.provenance["seeds"] == [0, 1]
    assert csv_files(recorded.recorded("tiny")) == {table["file"] for table in record.tables.values()}


def test_a_second_run_takes_finished_cells_and_replaces_the_record(recorded: Project) -> None:
    path = recorded.paper_parameters("tiny")
    before = csv_files(recorded.recorded("tiny"))
    cells = recorded.build("paper") / "cells" / "tiny"
    finished = {cell: cell.stat().st_mtime_ns for cell in cells.iterdir()}
    assert len(finished) == 4
    path.write_text(path.read_text().replace("n_seeds: 2", "n_seeds: 3"))
    assert press(recorded, "paper", "tiny")[0] == 0
    assert {cell: cell.stat().st_mtime_ns for cell in finished} == finished
    assert len(list(cells.iterdir())) == 6
    record = load_record(recorded.recorded("tiny") / "record.json")
    assert record.provenance["seeds"] == [0, 1, 2]
    after = csv_files(recorded.recorded("tiny"))
    assert after == {table["file"] for table in record.tables.values()}
    assert after != before


def test_a_record_of_something_else_is_not_published(recorded: Project) -> None:
    path = recorded.build("paper") / "tiny" / "record.json"
    kept = (recorded.recorded("tiny") / "record.json").read_text()
    text = path.read_text()
    try:
        path.write_text(json.dumps({**json.loads(text), "profile": "quick"}))
        with pytest.raises(PressError, match="is the quick record of tiny, not the paper one of tiny"):
            publish_record(recorded, "tiny")
        path.write_text(text[: len(text) // 2])
        with pytest.raises(RecordError, match="damaged"):
            publish_record(recorded, "tiny")
    finally:
        path.write_text(text)
    assert (recorded.recorded("tiny") / "record.json").read_text() == kept
