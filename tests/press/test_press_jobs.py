"""A run at the paper's scale as one job per seed gives what one process gives, here and on a Slurm cluster.

The half with Slurm runs on a cluster that is there, or on one of one node that a script makes:
``experiments/slurm/one-node.sh .venv/bin/python -m pytest tests/press/test_press_jobs.py``. On a cluster of several
machines add ``--basetemp=`` with a folder that all of them see.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_project import press, small_project

from dlparadox.press import publish
from dlparadox.press.book import hold_lock
from dlparadox.press.errors import PressError
from dlparadox.press.parameters import of_one_seed, seeds_of
from dlparadox.press.paths import Project
from dlparadox.records import Record, load_record

TOLERANCE = 1e-6  # relative; another machine may sum in another order


def paper_project(root: Path) -> Project:
    """A small project whose chapter `tiny` has a run at the paper's scale, with seeds 3 and 4."""
    project = small_project(root)
    source = project.source("tiny")
    text = source.read_text()
    failing = 'import os\n\nassert str(seed) != os.environ.get("FAILING_SEED")'
    assert 'print("drawn")' in text
    source.write_text(text.replace('print("drawn")', failing))
    path = project.paper_parameters("tiny")
    path.parent.mkdir()
    path.write_text("profile: paper\nsamples: 4000\nseed: 3\nn_seeds: 2\n")
    return project


def no_slurm() -> str:
    """Why jobs cannot be sent to Slurm from here; empty where they can."""
    if not shutil.which("sbatch"):
        return "there is no `sbatch`; experiments/slurm/one-node.sh runs this on a cluster of one node"
    if not importlib.util.find_spec("snakemake_executor_plugin_slurm"):
        return "Snakemake's plugin for Slurm is missing; .venv/bin/python -m pip install -e '.[cluster]'"
    if subprocess.run(["sinfo"], capture_output=True, check=False).returncode:
        return "`sbatch` is there, but no cluster answers `sinfo`"
    return ""


def recorded(project: Project) -> Record:
    return load_record(project.recorded("tiny") / "record.json")


def ran(output: str) -> list[str]:
    """Runs that were started, as their lines of progress call them."""
    return sorted(re.findall(r"^(.*): started$", output, re.MULTILINE))


def assert_same(one: Record, other: Record) -> None:
    """Fail unless two records have the same parameters, seeds and verdicts, and values within the tolerance."""
    assert one.parameters == other.parameters
    assert one.provenance["seeds"] == other.provenance["seeds"]
    assert one.provenance["digest"] == other.provenance["digest"]
    assert [claim["name"] for claim in one.claims] == [claim["name"] for claim in other.claims]
    for claim, twin in zip(one.claims, other.claims, strict=True):
        for mine, theirs in zip([claim, *claim["controls"]], [twin, *twin["controls"]], strict=True):
            assert mine["verdict"] == theirs["verdict"]
            np.testing.assert_allclose(mine["measured"], theirs["measured"], rtol=TOLERANCE)
    assert one.tables.keys() == other.tables.keys()
    for name in one.tables:
        pd.testing.assert_frame_equal(one.table(name), other.table(name), rtol=TOLERANCE)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The record of a run in one process."""
    project = paper_project(tmp_path_factory.mktemp("plain") / "small project")
    status, output = press(project, "paper", "tiny")
    assert status == 0, output
    return recorded(project)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose run was split into jobs on this machine."""
    project = paper_project(tmp_path_factory.mktemp("local") / "small project")
    status, output = press(project, "paper", "--executor", "local", "tiny")
    assert status == 0, output
    assert ran(output) == ["tiny", "tiny, seed 3", "tiny, seed 4"]
    return project


def assert_only_gathered(project: Project) -> None:
    """Fail unless the jobs of single seeds had finished every cell before the last job began."""
    cells = list((project.build("paper") / "cells" / "tiny").glob("*.json"))
    filled = [project.seed_folder(seed) / "tiny.ipynb" for seed in (3, 4)]
    assert len(cells) == 4
    assert max(cell.stat().st_mtime_ns for cell in cells) < max(path.stat().st_mtime_ns for path in filled)


def test_jobs_on_this_machine_give_what_one_process_gives(plain: Record, local: Project) -> None:
    assert_same(recorded(local), plain)
    assert_only_gathered(local)


@pytest.mark.skipif(bool(no_slurm()), reason=no_slurm())
def test_jobs_on_a_slurm_cluster_give_what_one_process_gives(
    plain: Record, local: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = paper_project(tmp_path_factory.mktemp("slurm") / "small project")
    status, output = press(project, "paper", "--executor", "slurm", "tiny")
    assert status == 0, output
    assert len(re.findall("has been submitted with SLURM jobid", output)) == 3
    assert_same(recorded(project), plain)
    assert_same(recorded(project), recorded(local))
    assert_only_gathered(project)


def test_the_comparison_notices_a_difference(plain: Record) -> None:
    claim = plain.claims[0]
    for changed in (
        {"parameters": {**plain.parameters, "samples": 4001}},
        {"claims": [{**claim, "verdict": "inconclusive"}]},
        {"claims": [{**claim, "measured": [value * (1 + 1e-5) for value in claim["measured"]]}]},
        {"claims": []},
        {"tables": {}},
    ):
        content = {name: getattr(plain, name) for name in Record.__dataclass_fields__}
        with pytest.raises(AssertionError):
            assert_same(Record(**{**content, **changed}), plain)


def test_a_failed_job_stops_the_gathering_and_the_next_run_goes_on(
    local: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = local.paper_parameters("tiny")
    path.write_text(path.read_text().replace("n_seeds: 2", "n_seeds: 3"))
    before = recorded(local)
    monkeypatch.setenv("FAILING_SEED", "5")
    status, output = press(local, "paper", "--executor", "local", "tiny")
    assert (status, ran(output)) == (1, ["tiny, seed 5"])
    assert "tiny, seed 5 FAILED after" in output
    assert f"failed: {local.seed_folder(5) / 'tiny.failed.ipynb'}" in output
    assert "At least one job did not complete successfully" in output
    assert recorded(local) == before
    monkeypatch.delenv("FAILING_SEED")
    status, output = press(local, "paper", "--executor", "local", "tiny")
    assert (status, ran(output)) == (0, ["tiny", "tiny, seed 5"])
    assert recorded(local).provenance["seeds"] == [3, 4, 5]


def test_a_chapter_runs_once_at_a_time(tmp_path: Path) -> None:
    project = paper_project(tmp_path / "small project")
    descriptor = hold_lock(project, "tiny")
    try:
        for arguments in ([], ["--executor", "local"]):
            status, output = press(project, "paper", *arguments, "tiny")
            assert status == 1
            assert f"another make paper NAME=tiny is running (process {os.getpid()})" in output
    finally:
        os.close(descriptor)


def test_the_parameters_of_one_seed() -> None:
    values = {"profile": "paper", "seed": 3, "n_seeds": 2, "image_seeds": 4, "seeds_drawn": 7}
    assert seeds_of(values) == [3, 4, 5, 6]
    assert of_one_seed(values, 5) == {**values, "seed": 5, "n_seeds": 1, "image_seeds": 1}


def test_an_executor_that_is_not_there_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = paper_project(tmp_path / "small project")
    monkeypatch.setenv("PATH", str(tmp_path))
    for executor, message in (
        ("slrum", "unknown executor 'slrum'; did you mean 'slurm'? executors: local, slurm"),
        ("dryrun", "unknown executor 'dryrun'; executors: local, slurm"),
        ("slurm", "executor 'slurm': there is no `sbatch` on this machine; run this where you submit jobs"),
    ):
        status, output = press(project, "paper", "--executor", executor, "tiny")
        assert status == 1
        assert output.startswith("error: ") and message in output
        assert "Traceback" not in output
    assert not (project.root / "build").exists()


def test_a_plugin_that_is_not_installed_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(publish.pkgutil, "iter_modules", lambda: [])
    with pytest.raises(PressError, match=r"executor 'slurm' needs Snakemake's plugin; install it: .*\.\[cluster\]"):
        publish.check_executor("slurm")
    publish.check_executor("local")


def test_a_single_seed_is_for_the_papers_scale(tmp_path: Path) -> None:
    project = paper_project(tmp_path / "small project")
    status, output = press(project, "execute", "tiny", "--seed", "3")
    assert (status, "--seed=3 is for the profile paper, not 'quick'" in output) == (1, True)
