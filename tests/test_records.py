"""Records: read back as written, refused when anything is wrong, whole whatever happens to the writer."""

import errno
import json
import multiprocessing
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlparadox.claims import check, equals
from dlparadox.records import VERSION, Record, RecordError, load_record, write_record

CLAIM = check(
    "it", statement="Ü is so.", source="someone2017", measured=[1.0, 1.0], expect=equals(1.0, because="why"),
    control={"no": 0.0},
).as_json()  # fmt: skip


def record(**changes: Any) -> Record:
    given = {
        "chapter": "slug",
        "title": "A title",
        "profile": "quick",
        "parameters": {"seed": 0},
        "claims": [CLAIM],
        "tables": {},
        "provenance": {"commit": None},
    }
    return Record(**{**given, **changes})


def tables(seed: int = 0, rows: int = 5) -> dict[str, pd.DataFrame]:
    draw = np.random.default_rng(seed)
    return {
        "runs": pd.DataFrame({"seed": range(rows), "value": draw.normal(size=rows), "text": ["ä, b"] * rows}),
        "other": pd.DataFrame({"x": [1.5, None], "y": [True, False]}),
    }


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write_record(record(), tmp_path, tables())
    assert path == tmp_path / "record.json"
    found = load_record(path)
    assert found.path == path
    for name in ("chapter", "title", "profile", "parameters", "claims", "provenance"):
        assert getattr(found, name) == getattr(record(), name)
    for name, table in tables().items():
        pd.testing.assert_frame_equal(found.table(name), table)
        assert found.tables[name]["rows"] == len(table)
        assert found.tables[name]["columns"] == list(table.columns)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_numbers_come_back_to_the_last_bit(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    folder = tmp_path_factory.mktemp("record")
    written = record(parameters={"values": values})
    write_record(written, folder, {"runs": pd.DataFrame({"value": values})})
    found = load_record(folder / "record.json")
    assert found.parameters == written.parameters
    text = (folder / found.tables["runs"]["file"]).read_text()
    assert [float(line) for line in text.splitlines()[1:]] == values


def test_equal_records_are_equal_files(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "other"):
        write_record(record(), tmp_path / name, tables())
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
    assert "Ü" in contents[0]["record.json"].decode()


def test_a_new_record_replaces_the_old_one_with_its_tables(tmp_path: Path) -> None:
    write_record(record(title="old"), tmp_path, tables(0))
    (tmp_path / "mine.csv").write_text("of the user")
    write_record(record(title="new"), tmp_path, {"runs": tables(1)["runs"]})
    found = load_record(tmp_path / "record.json")
    assert found.title == "new" and list(found.tables) == ["runs"]
    assert {path.name for path in tmp_path.iterdir()} == {
        "record.json",
        "mine.csv",
        found.tables["runs"]["file"],
    }


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write_record(record(), tmp_path, tables())


def altered(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_a_missing_record(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"no record at .*record\.json; run the chapter first"):
        load_record(tmp_path / "record.json")


def test_a_truncated_record_at_any_length(written: Path) -> None:
    content = written.read_bytes().rstrip()
    for length in range(0, len(content), 97):
        written.write_bytes(content[:length])
        with pytest.raises(RecordError, match=r"record\.json is damaged \(.*\); delete it and run the chapter again"):
            load_record(written)


def test_bytes_that_are_no_text(written: Path) -> None:
    written.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecordError, match="is damaged"):
        load_record(written)


@pytest.mark.parametrize("content", ["[]", "null", "3", "{}", '{"schema": "other", "version": 1}'])
def test_a_foreign_file(written: Path, content: str) -> None:
    written.write_text(content)
    with pytest.raises(RecordError, match="is not a record of this book"):
        load_record(written)


@pytest.mark.parametrize("version", [VERSION + 1, 0, None, str(VERSION)])
def test_another_version(written: Path, version: object) -> None:
    altered(written, lambda content: content.update(version=version))
    with pytest.raises(RecordError, match=f"has schema version {version!r}, this program reads {VERSION}"):
        load_record(written)


@pytest.mark.parametrize("name", ["chapter", "title", "profile", "parameters", "claims", "tables", "provenance"])
@pytest.mark.parametrize("how", ["missing", "of another type"])
def test_a_damaged_field_is_named(written: Path, name: str, how: str) -> None:
    def damage(content: dict[str, Any]) -> None:
        if how == "missing":
            del content[name]
        else:
            content[name] = 3

    with pytest.raises(RecordError, match=f"is damaged: '{name}' should be a"):
        load_record(altered(written, damage))


@pytest.mark.parametrize(
    "key", ["name", "statement", "source", "region", "measured", "interval", "controls", "verdict"]
)
def test_a_claim_that_lacks_something(written: Path, key: str) -> None:
    with pytest.raises(RecordError, match="a claim lacks some of"):
        load_record(altered(written, lambda content: content["claims"][0].pop(key)))


@pytest.mark.parametrize("entry", [None, {}, {"file": 3, "rows": 1, "columns": [], "sha256": ""}])
def test_a_table_that_is_not_described(written: Path, entry: object) -> None:
    with pytest.raises(RecordError, match="table 'runs' is not described"):
        load_record(altered(written, lambda content: content["tables"].update(runs=entry)))


def test_an_altered_or_missing_table(written: Path) -> None:
    found = load_record(written)
    path = written.parent / found.tables["runs"]["file"]
    content = path.read_bytes()
    for wrong in (content.replace(b"0", b"1"), content + b"\n", b""):
        path.write_bytes(wrong)
        with pytest.raises(RecordError, match=r"is not the table that .* recorded \(checksum differs\)"):
            load_record(written)
        with pytest.raises(RecordError, match="checksum differs"):
            found.table("runs")
    path.unlink()
    with pytest.raises(RecordError, match=r"runs\..*\.csv is missing, though .* lists it"):
        load_record(written)
    altered(written, lambda content: content["tables"]["runs"].update(file=""))
    with pytest.raises(RecordError, match="is missing, though"):
        load_record(written)


def test_an_unknown_table_is_named(written: Path) -> None:
    with pytest.raises(RecordError, match=r"has no table 'loss'; it has runs, other"):
        load_record(written).table("loss")


def test_errors_are_one_line(written: Path) -> None:
    written.write_text("{")
    with pytest.raises(RecordError) as caught:
        load_record(written)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_json_does_not_have_are_refused_and_the_old_record_stays(written: Path, value: float) -> None:
    before = written.read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        write_record(record(provenance={"seconds": value}), written.parent, tables(1))
    assert written.read_bytes() == before
    load_record(written)


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_full_disk_at_any_file_leaves_the_old_record_whole(
    written: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    calls = 0
    real = os.fsync

    def full(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with (
        monkeypatch.context() as patch,
        pytest.raises(OSError, match=r"cannot write .*No space left.*; free space"),
    ):
        patch.setattr(os, "fsync", full)
        write_record(record(title="new"), written.parent, {name: table[:1] for name, table in tables(1).items()})
    found = load_record(written)
    assert found.title == "A title"
    pd.testing.assert_frame_equal(found.table("runs"), tables()["runs"])
    assert not list(written.parent.glob("*.part")) and not list(written.parent.glob(".*"))


_FULL = """
import resource, signal, sys
from pathlib import Path
from test_records import record, tables, write_record
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
write_record(record(title="new"), Path(sys.argv[1]), tables(1, rows=5000))
"""


def test_a_limit_of_the_operating_system_leaves_the_old_record_whole(written: Path) -> None:
    pytest.importorskip("resource")
    command = [sys.executable, "-c", _FULL, str(written.parent)]
    run = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    assert run.returncode == 1 and "cannot write" in run.stderr.splitlines()[-1]
    assert load_record(written).title == "A title"


def write_forever(folder: Path) -> None:
    while True:
        for seed in (1, 2):
            write_record(record(title=f"record {seed}"), folder, tables(seed, rows=300))


def test_a_killed_writer_leaves_one_record_or_the_other(tmp_path: Path) -> None:
    path = write_record(record(title="record 1"), tmp_path, tables(1, rows=300))
    for _ in range(12):
        before = path.stat().st_ino
        writer = multiprocessing.get_context("fork").Process(target=write_forever, args=(tmp_path,))
        writer.start()
        while path.stat().st_ino == before:
            time.sleep(0.002)
        time.sleep(random.uniform(0.0, 0.03))
        writer.kill()
        writer.join()
        found = load_record(path)
        pd.testing.assert_frame_equal(found.table("runs"), tables(int(found.title.split()[-1]), rows=300)["runs"])


def test_texts_stay_texts(tmp_path: Path) -> None:
    table = pd.DataFrame({"inputs": ["true", "true"], "code": ["007", "1e3"], "redraw": [True, False], "x": [0.5, 1.0]})
    loaded = load_record(write_record(record(), tmp_path, {"runs": table})).table("runs")
    assert loaded["inputs"].tolist() == ["true", "true"] and loaded["code"].tolist() == ["007", "1e3"]
    assert loaded["redraw"].dtype == bool and loaded["x"].tolist() == [0.5, 1.0]
