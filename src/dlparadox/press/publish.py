"""Runs at the scale of the papers: the parameters in ``experiments/paper``, the records kept.

A run is one process, or one Snakemake job per seed and one that gathers. Both are the same notebook and fill the same
cache of finished cells, so either goes on where the other stopped.
"""

import contextlib
import os
import pkgutil
import shutil
import sys
from pathlib import Path
from typing import NoReturn

from dlparadox.files import atomic_path
from dlparadox.press.book import OPTIONS, hold_lock, memory, run_snakemake
from dlparadox.press.errors import PressError, unknown
from dlparadox.press.execute import execute
from dlparadox.press.parameters import effective, of_one_seed, paper_parameters
from dlparadox.press.paths import Project

__all__ = ["check_executor", "publish_record", "run_jobs", "run_paper", "run_seed"]

_PLUGIN = "snakemake_executor_plugin_"


def run_paper(project: Project, slug: str) -> Path:
    """Run a chapter at the paper's scale and keep its record under ``experiments/records/``; return its path.

    Finished cells of the sweep lie in ``build/paper/cells``, so a run that was killed goes on where it was.
    """
    parameters = paper_parameters(project, project.chapter(slug))
    lock = hold_lock(project, slug)
    try:
        execute(project, slug, parameters, project.build("paper"))
        return publish_record(project, slug)
    finally:
        os.close(lock)


def run_jobs(project: Project, slug: str, executor: str, cores: str = "all") -> NoReturn:
    """The same as :func:`run_paper`, but turn this process into Snakemake: a job per seed, one that gathers.

    Args:
        project: the project; on a cluster its folder lies where all machines see it.
        slug: the chapter.
        executor: ``local``, ``slurm``, or another executor of Snakemake whose plugin is installed.
        cores: how many jobs run side by side under ``local``; elsewhere the cluster decides.

    Raises:
        PressError: for a chapter, its parameters or an executor that is not there.
    """
    paper_parameters(project, project.chapter(slug))
    check_executor(executor)
    lock = hold_lock(project, slug)
    # Gathering always runs: what is finished costs it little, and a plain run may have left an older record.
    options = ["--executor", executor, "--forcerun", "execute"]
    if executor == "local":
        options += ["--cores", cores, "--resources", f"mem_mb={memory()}", *OPTIONS, "rules"]
    else:
        options += ["--jobs", "unlimited", *OPTIONS]  # not quiet about rules: a failed job is shown with its log
    run_snakemake(project, lock, [*options, "--", f"build/paper/{slug}.recorded"])


def check_executor(name: str) -> None:
    """Check that Snakemake can send jobs to the executor ``name`` from here.

    Raises:
        PressError: if there is no such executor, its plugin is not installed, or Slurm's commands are not there.
    """
    plugins = [module.name for module in pkgutil.iter_modules() if module.name.startswith(_PLUGIN)]
    ready = {"local", *(plugin.removeprefix(_PLUGIN).replace("_", "-") for plugin in plugins)} - {"slurm-jobstep"}
    if name not in ready | {"slurm"}:
        raise PressError(f"{unknown('executor', name, ready | {'slurm'})}; others need their plugin of Snakemake")
    if name == "slurm" and not shutil.which("sbatch"):
        raise PressError(
            "executor 'slurm': there is no `sbatch` on this machine; run this where you submit jobs, "
            "or try it on a cluster of one node: experiments/slurm/one-node.sh"
        )
    if name not in ready:
        raise PressError(
            f"executor {name!r} needs Snakemake's plugin; install it: "
            f"{sys.executable} -m pip install -c requirements.lock -e '.[cluster]'"
        )


def run_seed(project: Project, slug: str, profile: str, seed: int) -> Path:
    """Run a chapter at the paper's scale with one seed only, for the cells that it leaves in the shared cache.

    Its notebook and record are a by-product, in a folder of the seed's own: jobs side by side share nothing else.

    Raises:
        PressError: under another profile than ``paper``, which is not split.
    """
    if profile != "paper":
        raise PressError(
            f"--seed={seed} is for the profile paper, not {profile!r}; leave it out or add --profile paper"
        )
    folder, cells = project.seed_folder(seed), project.build("paper") / "cells"
    for path in (folder, cells):
        path.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (folder / "cells").symlink_to(os.path.relpath(cells, folder))
    parameters = of_one_seed(effective(project, slug, "paper"), seed)
    return execute(project, slug, parameters, folder, label=f"{slug}, seed {seed}")


def publish_record(project: Project, slug: str) -> Path:
    """Copy the record of a finished paper-scale run, with its tables, to where it is committed.

    Tables are named for their content and the record comes last: a reader meets the old one or the new one.

    Raises:
        PressError: if the record is of another chapter or profile.
        RecordError: if it is missing or damaged.
    """
    from dlparadox.records import load_record

    source = project.build("paper") / slug
    record = load_record(source / "record.json")
    if (record.chapter, record.profile) != (slug, "paper"):
        raise PressError(
            f"{record.path} is the {record.profile} record of {record.chapter}, not the paper one of {slug}; "
            f"run `make paper NAME={slug}`"
        )
    target = project.recorded(slug)
    tables = [str(table["file"]) for table in record.tables.values()]
    for name in [*tables, "record.json"]:
        with atomic_path(target / name) as temporary:
            temporary.write_bytes((source / name).read_bytes())
    for left in {path.name for path in target.glob("*.csv")} - set(tables):
        (target / left).unlink()
    return target / "record.json"
