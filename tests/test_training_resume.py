"""A run that was killed, by an exception or for real, ends bit for bit where an uninterrupted one ends."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlparadox.models import build_network, initialize
from dlparadox.seeding import generator
from dlparadox.training import Epoch, Schedule, fit

EPOCHS = 7


class Killed(BaseException):
    """Stands for a signal: nothing in the code under test catches it."""


def data(name: str) -> tuple[Tensor, Tensor]:
    return torch.randn(20, 2 * 4 * 4, generator=generator(0, "x")), torch.arange(20) % 3


def run(
    name: str, checkpoint: Path | None, *, kill_after: int | None = None, seconds: float = 0.0, **changes: Any
) -> tuple[nn.Module, list[Epoch]]:
    def report(epoch: Epoch) -> None:
        if epoch.epoch == kill_after:
            raise Killed

    model = initialize(build_network(name, (2, 4, 4), 3, width=8), generator(0, "init"))
    plan = Schedule(**{"epochs": EPOCHS, "lr": 0.05, "batch_size": 8, "decay": 0.9, "weight_decay": 0.01,
                       "stop_when_fitted": False, **changes})  # fmt: skip
    history = fit(
        model, *data(name), plan, generator=generator(0, "order"), test=data(name),
        checkpoint=checkpoint, checkpoint_seconds=seconds, report=report,
    )  # fmt: skip
    return model, history


def assert_same(one: tuple[nn.Module, list[Epoch]], other: tuple[nn.Module, list[Epoch]]) -> None:
    assert one[1] == other[1]
    state, twin = one[0].state_dict(), other[0].state_dict()
    assert state.keys() == twin.keys()
    assert all(torch.equal(state[name], twin[name]) for name in state)


CASES = [
    ("mlp-1", 1),
    ("mlp-1", 2),
    ("mlp-1", EPOCHS - 1),
    ("mlp-1", EPOCHS),
    ("inception", 3),
]  # the last one has running means, which must survive too


@pytest.mark.parametrize(("name", "kill_after"), CASES)
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path, name: str, kill_after: int) -> None:
    whole = run(name, None)
    path = tmp_path / "run.checkpoint"
    with pytest.raises(Killed):
        run(name, path, kill_after=kill_after)
    assert path.exists() == (kill_after > 1)
    assert_same(run(name, path), whole)


def test_a_run_killed_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    for epoch in range(2, EPOCHS + 1):
        with pytest.raises(Killed):
            run("mlp-1", path, kill_after=epoch)
    assert_same(run("mlp-1", path), run("mlp-1", None))


def test_a_resumed_run_does_not_repeat_what_was_done(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    run("mlp-1", path)
    assert_same(run("mlp-1", path, kill_after=1), run("mlp-1", None))  # the first epoch does not come again


def test_no_checkpoint_before_its_time(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    run("mlp-1", path, seconds=3600.0)
    assert not path.exists()


@pytest.mark.parametrize(
    "content", [[1, 2], torch.zeros(3), None, {"config": 1}], ids=["list", "tensor", "none", "dict"]
)
def test_a_file_of_another_kind_is_ignored(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "run.checkpoint"
    torch.save(content, path)
    assert_same(run("mlp-1", path), run("mlp-1", None))


@pytest.mark.parametrize("damage", ["empty", "half", "text", "flipped"])
def test_a_damaged_checkpoint_is_ignored(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "run.checkpoint"
    run("mlp-1", path)
    content = path.read_bytes()
    damaged = {
        "empty": b"",
        "half": content[: len(content) // 2],
        "text": b"not a checkpoint",
        "flipped": content[:100] + bytes(byte ^ 0xFF for byte in content[100:200]) + content[200:],
    }
    path.write_bytes(damaged[damage])
    assert_same(run("mlp-1", path), run("mlp-1", None))


@pytest.mark.parametrize(
    "changes", [{"lr": 0.06}, {"epochs": EPOCHS + 1}, {"momentum": 0.5}, {"batch_size": 4}], ids=str
)
def test_a_checkpoint_of_another_schedule_is_ignored(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "run.checkpoint"
    run("mlp-1", path)
    assert_same(run("mlp-1", path, **changes), run("mlp-1", None, **changes))


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.checkpoint"
    with pytest.raises(Killed):
        run("mlp-1", path, kill_after=4)
    kept = path.read_bytes()

    def full(state: object, file: Path) -> None:
        file.write_bytes(b"half of the sta")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(torch, "save", full)
        run("mlp-1", path)
    assert path.read_bytes() == kept
    assert list(tmp_path.iterdir()) == [path]
    assert_same(run("mlp-1", path), run("mlp-1", None))


def long_run(checkpoint: Path | None, seconds: float) -> tuple[nn.Module, list[Epoch]]:
    x, y = torch.randn(64, 10, generator=generator(0, "x")), torch.arange(64) % 4
    model = initialize(build_network("linear", (1, 2, 5), 4), generator(0, "init"))
    plan = Schedule(epochs=300, lr=0.05, batch_size=16, decay=0.999, stop_when_fitted=False)
    stream = generator(0, "order")
    return model, fit(model, x, y, plan, generator=stream, checkpoint=checkpoint, checkpoint_seconds=seconds)


def test_a_process_killed_by_the_system_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    code = "import sys, pathlib, test_training_resume as t; t.long_run(pathlib.Path(sys.argv[1]), 0.0)"
    killed = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=Path(__file__).parent)
    while not path.exists():
        assert killed.poll() is None
        time.sleep(0.002)
    time.sleep(random.uniform(0.0, 0.15))  # at any moment: before, during or after a write
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    epoch = len(torch.load(path)["history"]) - 1
    assert 1 <= epoch < 300
    assert_same(long_run(path, 3600.0), long_run(None, 3600.0))
