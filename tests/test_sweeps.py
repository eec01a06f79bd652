"""Sweeps: one table whether fresh or resumed, and cells that know exactly what they were computed with."""

import errno
import importlib.util
import itertools
import json
import multiprocessing
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from dlparadox import digests, sweeps
from dlparadox.checkpoints import checkpoint_path
from dlparadox.sweeps import function_digest, sweep

_count = itertools.count()
Define = Callable[..., Any]


@pytest.fixture
def define(tmp_path: Path) -> Define:
    """Write a small module and return one of its names, as a notebook does with a cell."""

    def definition(source: str, name: str = "run") -> Any:
        path = tmp_path / "modules" / f"cell_{next(_count)}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(source))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
        return getattr(module, name)

    return definition


def trajectory(setting: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    return [{"epoch": epoch, "loss": 1 / (epoch + 1 + seed + setting["x"])} for epoch in range(3)]


SETTINGS = [{"x": 1.0, "name": "a"}, {"x": 2.0, "name": "b"}]


def test_the_table(tmp_path: Path) -> None:
    table = sweep(trajectory, SETTINGS, [3, 4])
    assert list(table.columns) == ["x", "name", "seed", "epoch", "loss"]
    assert len(table) == 2 * 2 * 3
    expected = [(s["x"], seed, epoch) for s in SETTINGS for seed in (3, 4) for epoch in range(3)]
    assert list(table[["x", "seed", "epoch"]].itertuples(index=False, name=None)) == expected
    assert table.loss.tolist() == [1 / (epoch + 1 + seed + x) for x, seed, epoch in expected]
    assert table.attrs["seconds"] > 0 and table.attrs["resumed_seconds"] == 0
    assert not list(tmp_path.iterdir())


@pytest.fixture
def counted(define: Define) -> Any:
    """An experiment that notes in a file each time it runs."""
    return define("""
        import os

        def run(setting, seed):
            with open(os.environ["DLPARADOX_TEST_LOG"], "a") as log:
                log.write(f"{setting['x']} {seed}\\n")
            value = setting["x"] * 0.1 + seed
            return {"value": value, "text": "ä", "flag": True, "none": None, "nan": float("nan")}
    """)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """What ran since the last time it was asked."""
    path = tmp_path / "log"
    monkeypatch.setenv("DLPARADOX_TEST_LOG", str(path))

    def read() -> list[str]:
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    return read


def test_a_finished_cell_is_not_run_again(tmp_path: Path, counted: Any, log: Callable[[], list[str]]) -> None:
    fresh = sweep(counted, SETTINGS, [0, 1], cache=tmp_path / "cells")
    assert log() == ["1.0 0", "1.0 1", "2.0 0", "2.0 1"]
    resumed = sweep(counted, SETTINGS, [0, 1], cache=tmp_path / "cells")
    assert log() == []
    uncached = sweep(counted, SETTINGS, [0, 1])
    for table in (resumed, uncached):
        pd.testing.assert_frame_equal(table, fresh, check_exact=True)
    assert resumed.attrs["seconds"] == 0
    assert resumed.attrs["resumed_seconds"] == pytest.approx(fresh.attrs["seconds"])


def test_only_what_is_missing_is_run(tmp_path: Path, counted: Any, log: Callable[[], list[str]]) -> None:
    sweep(counted, SETTINGS[:1], [0], cache=tmp_path)
    log()
    sweep(counted, SETTINGS, [1, 0], cache=tmp_path)
    assert log() == ["1.0 1", "2.0 1", "2.0 0"]
    sweep(counted, [{"name": "a", "x": 1.0}], [0], cache=tmp_path)  # the order of keys does not matter
    sweep(counted, [{"x": 1.0, "name": "c"}, {"x": 1, "name": "a"}], [0], cache=tmp_path)
    assert log() == ["1.0 0", "1 0"]


def test_jobs_with_one_seed_fill_the_cache_that_another_gathers(
    tmp_path: Path, counted: Any, log: Callable[[], list[str]]
) -> None:
    for seed in (2, 0, 1):
        sweep(counted, SETTINGS, [seed], cache=tmp_path / "cells")
    log()
    gathered = sweep(counted, SETTINGS, [0, 1, 2], cache=tmp_path / "cells")
    assert log() == []
    pd.testing.assert_frame_equal(gathered, sweep(counted, SETTINGS, [0, 1, 2]), check_exact=True)


def test_a_sweep_that_fails_keeps_what_it_finished(tmp_path: Path, define: Define) -> None:
    source = """
        def run(setting, seed):
            if seed == 2:
                raise RuntimeError("seed two")
            return {"value": seed}
    """
    with pytest.raises(RuntimeError, match="seed two"):
        sweep(define(source), [{"x": 1}], [0, 1, 2, 3], cache=tmp_path / "cells")
    assert sorted(json.loads(path.read_text())["seed"] for path in (tmp_path / "cells").glob("*.json")) == [
        0,
        1,
    ]


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"key": "other", "rows": [], "seconds": 0}', "\xff"])
def test_a_damaged_cell_is_computed_again(
    tmp_path: Path, counted: Any, log: Callable[[], list[str]], content: str
) -> None:
    fresh = sweep(counted, SETTINGS, [0], cache=tmp_path / "cells")
    path = min((tmp_path / "cells").iterdir())
    whole = json.loads(path.read_text())
    path.write_bytes(content.encode("latin-1"))
    log()
    pd.testing.assert_frame_equal(sweep(counted, SETTINGS, [0], cache=tmp_path / "cells"), fresh)
    assert log() == [f"{whole['setting']['x']} 0"]
    assert json.loads(path.read_text())["setting"] == whole["setting"]


def test_half_a_cell_is_computed_again(tmp_path: Path, counted: Any, log: Callable[[], list[str]]) -> None:
    sweep(counted, SETTINGS[:1], [0], cache=tmp_path / "cells")
    (path,) = (tmp_path / "cells").iterdir()
    content = path.read_text()
    log()
    for length in range(0, len(content), 20):
        path.write_text(content[:length])
        sweep(counted, SETTINGS[:1], [0], cache=tmp_path / "cells")
        assert log() == ["1.0 0"]


def test_a_full_disk_leaves_no_half_cell(
    tmp_path: Path, counted: Any, log: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match=r"cannot write .*No space left"):
        patch.setattr(os, "fsync", full)
        sweep(counted, SETTINGS, [0], cache=tmp_path / "cells")
    assert list((tmp_path / "cells").iterdir()) == []
    assert len(sweep(counted, SETTINGS, [0], cache=tmp_path / "cells")) == 2
    assert log() == ["1.0 0", "1.0 0", "2.0 0"]


def test_an_experiment_can_keep_its_state_until_it_is_done(tmp_path: Path, define: Define) -> None:
    run = define("""
        from dlparadox.checkpoints import checkpoint_path

        def run(setting, seed):
            path = checkpoint_path()
            begun = path.exists()
            path.write_text("state")
            if not begun:
                raise KeyboardInterrupt
            return {"begun": begun}
    """)
    with pytest.raises(KeyboardInterrupt):
        sweep(run, [{"x": 1}], [0], cache=tmp_path / "cells")
    assert [path.suffix for path in (tmp_path / "cells").iterdir()] == [".checkpoint"]
    assert checkpoint_path() is None
    assert sweep(run, [{"x": 1}], [0], cache=tmp_path / "cells").begun.tolist() == [True]
    assert [path.suffix for path in (tmp_path / "cells").iterdir()] == [".json"]


BASE = """
    import math
    from dlparadox.labels import corrupt_labels
    SCALE = 2.0
    TABLE = {"a": [1, 2], "b": (None, True)}

    def helper(x):
        return deeper(x) * SCALE

    def deeper(x):
        return math.sqrt(x)

    def unused(x):
        return x

    def run(setting, seed):
        inner = lambda x: helper(x) + TABLE["a"][0]
        return {"value": inner(seed), "changed": corrupt_labels}
"""
CHANGES = {
    "its own code": ("+ TABLE", "- TABLE"),
    "a helper": ("* SCALE", "+ SCALE"),
    "a helper's helper": ("math.sqrt(x)", "math.sqrt(x + 1)"),
    "a constant": ("SCALE = 2.0", "SCALE = 2.5"),
    "the type of a constant": ("SCALE = 2.0", "SCALE = 2"),
    "a nested constant": ("(None, True)", "(None, False)"),
    "what a name means": ("import math", "import cmath as math"),
    "a module of the package": (
        "dlparadox.labels import corrupt_labels",
        "dlparadox.models import mlp as corrupt_labels",
    ),
}
COSMETICS = {
    "a comment": ("SCALE = 2.0", "SCALE = 2.0  # two"),
    "a comment in the body": ("inner =", "# to come\n        inner ="),
    "a docstring": ("inner =", '"""Runs."""\n        inner ='),
    "a docstring of a helper": ("return deeper", '"""Helps."""\n        return deeper'),
    "layout": ("deeper(x) * SCALE", "(\n            deeper( x )\n            * SCALE )"),
    "what it does not use": ("return x\n", "return -x\n"),
}


@pytest.mark.parametrize(("old", "new"), CHANGES.values(), ids=CHANGES)
def test_the_key_changes_with(define: Define, old: str, new: str) -> None:
    assert BASE.count(old) == 1
    assert function_digest(define(BASE)) != function_digest(define(BASE.replace(old, new)))


@pytest.mark.parametrize(("old", "new"), COSMETICS.values(), ids=COSMETICS)
def test_the_key_does_not_change_with(define: Define, old: str, new: str) -> None:
    assert BASE.count(old) == 1
    assert function_digest(define(BASE)) == function_digest(define(BASE.replace(old, new)))


PAIRS = {
    "a default value": ("K = 1\ndef run(s, seed, k=K): return k", "K = 1", "K = 2"),
    "a default of a keyword": ("K = 1\ndef run(s, seed, *, k=K): return k", "K = 1", "K = 2"),
    "a default of a helper": ("K = 1\ndef f(k=K): return k\ndef run(s, seed): return f()", "K = 1", "K = 2"),
    "a decorator": (
        "def deco(f):\n    def g(s, seed): return 1 + f(s, seed)\n    return g\n@deco\ndef run(s, seed): return 0",
        "1 + f",
        "2 + f",
    ),
    "one of two lambdas": (
        "f = lambda x: x + 1\ng = lambda x: x + 2\ndef run(s, seed): return f(g(seed))",
        "x + 1",
        "x + 3",
    ),
    "one of two closures": (
        "def make(k):\n    def inner(x): return k * x\n    return inner\n"
        "f = make(1)\ng = make(2)\ndef run(s, seed): return f(g(seed))",
        "f = make(1)",
        "f = make(3)",
    ),
    "a constant in a nested function": (
        "K = 1\ndef run(s, seed):\n    def inner():\n        return K\n    return inner()",
        "K = 1",
        "K = 2",
    ),
    "a constant in a comprehension": (
        "K = 1\ndef run(s, seed): return [K for _ in range(3)]",
        "K = 1",
        "K = 2",
    ),
    "an import in the body": (
        "def run(s, seed):\n    from dlparadox.labels import corrupt_labels as f\n    return f",
        "labels import corrupt_labels",
        "models import mlp",
    ),
}


@pytest.mark.parametrize(("source", "old", "new"), PAIRS.values(), ids=PAIRS)
def test_the_key_also_changes_with(define: Define, source: str, old: str, new: str) -> None:
    assert source.count(old) == 1
    assert function_digest(define(source)) == function_digest(define(source))
    assert function_digest(define(source)) != function_digest(define(source.replace(old, new)))


def test_functions_that_call_each_other(define: Define) -> None:
    source = """
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return n != 0 and even(n - 1)
        def run(s, seed): return even(seed)
        def make():
            def up(n): return n and down(n - 1)
            def down(n): return n and up(n - 1)
            def inner(s, seed): return up(seed)
            return inner
        inner = make()
    """
    for name in ("run", "inner"):
        changed = source.replace("n != 0", "n > 0").replace("down(n - 1)", "down(n - 2)")
        assert function_digest(define(source, name)) != function_digest(define(changed, name))


def test_the_key_changes_with_a_module_of_the_package(
    define: Define, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = define(BASE)
    copy = tmp_path / "package"
    shutil.copytree(digests.SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sweeps, "used_code", partial(digests.used_code, source=copy))
    before = function_digest(run)
    labels = copy / "labels.py"
    source = labels.read_text()
    for harmless in ("# a comment\n" + source, source + "\ndef added(): return 1\n"):
        labels.write_text(harmless)
        assert function_digest(run) == before
    labels.write_text(source.replace("return ", "return None or "))
    assert function_digest(run) != before
    labels.write_text(source)
    seeding = copy / "seeding.py"  # labels imports it, but not for what is used here
    seeding.write_text(seeding.read_text().replace("return ", "return None or "))
    assert function_digest(run) == before
    seeding.write_text(seeding.read_text() + "\nprint(end='')\n")
    assert function_digest(run) != before
    shutil.copy(digests.SOURCE / "seeding.py", seeding)
    (copy / "plotting.py").write_text("NEW = 1")
    assert function_digest(run) == before


def test_the_key_changes_with_the_version_of_a_library(define: Define, monkeypatch: pytest.MonkeyPatch) -> None:
    run = define("import torch\ndef run(s, seed): return torch.ones(1)")
    before = function_digest(run)
    monkeypatch.setattr(torch, "__version__", "0.0")
    assert function_digest(run) != before


@pytest.mark.parametrize(
    ("value", "kind"),
    [("torch.ones(2)", "Tensor"), ("object()", "object"), ("[torch.ones(1)]", "list"), ("{1: {2}}", "dict"),
     ("type('Local', (), {'__module__': __name__})", "type")],
)  # fmt: skip
def test_a_global_that_cannot_be_followed_is_an_error(define: Define, value: str, kind: str) -> None:
    run = define(f"import torch\nDATA = {value}\ndef helper(x): return DATA\ndef run(s, seed): return helper(seed)")
    message = f"helper reads the global 'DATA' of type {kind}, which a digest cannot follow; hand what it needs in"
    with pytest.raises(TypeError, match=message):
        sweep(run, [{"x": 1}], [0])


def test_cells_cannot_repeat() -> None:
    with pytest.raises(ValueError, match="two cells of the sweep have the same setting and seed"):
        sweep(trajectory, [SETTINGS[0], dict(reversed(SETTINGS[0].items()))], [0])
    with pytest.raises(ValueError, match="two cells"):
        sweep(trajectory, SETTINGS, [0, 0])


@pytest.mark.parametrize(("settings", "seeds"), [([], [0]), (SETTINGS, []), ([], [])])
def test_an_empty_sweep_is_an_error(settings: list[dict[str, Any]], seeds: list[int]) -> None:
    message = f"nothing to run: {len(settings)} settings and {len(seeds)} seeds; give at least one of each"
    with pytest.raises(ValueError, match=message):
        sweep(trajectory, settings, seeds)


@pytest.mark.parametrize("column", ["x", "seed"])
def test_a_row_cannot_repeat_a_column_of_its_setting(define: Define, column: str) -> None:
    run = define(f"def run(s, seed): return {{'{column}': 1}}")
    with pytest.raises(ValueError, match=rf"columns that its setting already has: \['{column}'\]"):
        sweep(run, [{"x": 1}], [0])


def test_scalars_of_arrays_become_numbers_and_other_objects_are_errors(define: Define) -> None:
    run = define("""
        import numpy, torch
        def run(s, seed):
            flag = torch.tensor(True)
            return {"a": torch.tensor(1.5), "b": numpy.float64(2.5), "c": numpy.int64(3), "d": flag}
        def wrong(s, seed):
            return {"a": {1, 2}}
    """)
    row = sweep(run, [{"x": 1}], [0]).iloc[0]
    assert (row.a, row.b, row.c, row.d) == (1.5, 2.5, 3, True)
    wrong = getattr(sys.modules[run.__module__], "wrong")  # noqa: B009
    with pytest.raises(TypeError, match="rows of numbers, strings, booleans and None; got set"):
        sweep(wrong, [{"x": 1}], [0])


def test_an_experiment_cannot_change_its_setting(define: Define, tmp_path: Path) -> None:
    run = define("def run(s, seed):\n    s['x'] = 99\n    return {'y': seed}")
    settings = [{"x": 1}]
    table = sweep(run, settings, [0, 1], cache=tmp_path / "cells")
    assert settings == [{"x": 1}] and table.x.tolist() == [1, 1]


def test_progress_goes_to_the_error_stream(capsys: pytest.CaptureFixture[str]) -> None:
    sweep(trajectory, SETTINGS, [0])
    captured = capsys.readouterr()
    assert captured.out == "" and "trajectory" in captured.err and "2/2" in captured.err


def test_a_resumed_sweep_shows_at_once_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(trajectory, SETTINGS, [0], cache=tmp_path)
    capsys.readouterr()
    sweep(trajectory, SETTINGS, [0, 1, 2], cache=tmp_path)
    first = capsys.readouterr().err.strip("\r").split("\r")[0]
    assert "2/6" in first


def many_cells(run: Any, cache: Path, out: Path | None = None) -> None:
    table = sweep(run, [{"x": float(x)} for x in range(25)], [0, 1], cache=cache)
    if out:
        table.to_json(out)


def test_two_processes_at_once(tmp_path: Path, counted: Any, log: Callable[[], list[str]]) -> None:
    outs = [tmp_path / "one.json", tmp_path / "other.json"]
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=many_cells, args=(counted, tmp_path / "cells", out)) for out in outs]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert outs[0].read_text() == outs[1].read_text()
    assert set(log()) == {f"{float(x)} {seed}" for x in range(25) for seed in (0, 1)}
    assert len(list((tmp_path / "cells").iterdir())) == 50  # no half files


def test_a_killed_sweep_goes_on(tmp_path: Path, counted: Any, log: Callable[[], list[str]]) -> None:
    cells = tmp_path / "cells"
    process = multiprocessing.get_context("fork").Process(target=many_cells, args=(counted, cells))
    process.start()
    while len(list(cells.glob("*.json"))) < 5:
        assert process.is_alive()
        time.sleep(0.001)
    process.kill()
    process.join()
    done = len(list(cells.glob("*.json")))
    log()
    many_cells(counted, cells, tmp_path / "resumed.json")
    assert len(log()) == 50 - done
    many_cells(counted, tmp_path / "fresh", tmp_path / "fresh.json")
    assert (tmp_path / "resumed.json").read_text() == (tmp_path / "fresh.json").read_text()
