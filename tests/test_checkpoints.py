"""Where an experiment may keep its state: known inside a cell only, and gone once the cell is done."""

from pathlib import Path

import pytest

from dlparadox.checkpoints import checkpoint_path, checkpointing


def test_there_is_no_path_outside() -> None:
    assert checkpoint_path() is None
    with checkpointing(None):
        assert checkpoint_path() is None


def test_the_file_goes_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "a.checkpoint"
    with checkpointing(path):
        assert checkpoint_path() == path
        path.write_text("state")
    assert checkpoint_path() is None
    assert not path.exists()


def test_the_file_stays_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.checkpoint"
    with pytest.raises(KeyboardInterrupt), checkpointing(path):
        path.write_text("state")
        raise KeyboardInterrupt
    assert path.read_text() == "state"
    assert checkpoint_path() is None


def test_blocks_nest(tmp_path: Path) -> None:
    with checkpointing(tmp_path / "outer"):
        with checkpointing(tmp_path / "inner"):
            assert checkpoint_path() == tmp_path / "inner"
        assert checkpoint_path() == tmp_path / "outer"
