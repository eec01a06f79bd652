# The book as a workflow: chapter texts -> executed notebooks and records -> pages, ledger, scoreboard -> HTML.
# `make book` runs it here. On a cluster the same file runs under an executor plugin: `make paper NAME=… EXECUTOR=slurm`
# for one chapter at the paper's scale. All paths are relative to the project's folder.

import json
import os
import sys
from functools import cache
from glob import glob
from pathlib import Path

from dlparadox.digests import chapter_digest, text_digest, used_code
from dlparadox.press.benchmarks import scripts, timed_code
from dlparadox.press.parameters import effective, of_one_seed, seeds_of
from dlparadox.press.paths import PROFILES, Project

PROJECT = Project(Path("."))
CHAPTERS = sorted(Path(path).stem for path in glob("experiments/*.md"))
PRESS = f"exec {sys.executable!r} -m dlparadox.press"  # exec: a job ends when Snakemake stops it, not a shell around it
LIMITS = {  # MiB, minutes; what all seeds share is computed where their runs are gathered
    "quick": {"mem_mb": 2048, "runtime": 15},
    "seed": {"mem_mb": 8192, "runtime": 24 * 60},
    "paper": {"mem_mb": 18432, "runtime": 24 * 60},
}
LOCK = text_digest(Path("requirements.lock").read_text())  # other versions can give other numbers


@cache
def digest(slug, profile, seed=None):
    """What a chapter's run depends on: its code, its parameters, and what they use of every module.

    That of one seed's run does not count their number, so that another number of seeds runs none of them again.
    """
    values = effective(PROJECT, slug, profile)
    return chapter_digest(PROJECT.source(slug), values if seed is None else of_one_seed(values, seed))["total"]


def runs_of_seeds(wildcards):
    """Runs of one seed each that fill the cache before the run at the paper's scale gathers it; quick ones need none."""
    if wildcards.profile == "quick":
        return []
    values = effective(PROJECT, wildcards.slug, wildcards.profile)
    return [f"build/paper/seeds/{seed}/{wildcards.slug}.ipynb" for seed in seeds_of(values)]


@cache
def modules(*names):
    """Digest of modules of the press, so that a change of what makes a page makes it again."""
    return text_digest(json.dumps(used_code((f"dlparadox.press.{name}", "*") for name in names)))


def committed(slug):
    """The record of a chapter at the paper's scale, where there is one: its page shows it."""
    return glob(f"experiments/records/{slug}/record.json")


def timed():
    """Digests of what the benchmarks time: their page says which of them measured older code."""
    return {script.stem: timed_code(script) for script in scripts(PROJECT.root)}


def texts_of_the_book():
    """What people wrote in book/, without what is generated there."""
    made = ("book/chapters/", "book/generated/")
    found = [path for path in glob("book/**", recursive=True) if os.path.isfile(path) and not path.startswith(made)]
    return ["_config.yml", *found]


wildcard_constraints:
    slug="[a-z0-9-]+",
    profile="|".join(PROFILES),
    seed="[0-9]+",


localrules: all, page, generated, html, publish


rule all:
    input:
        "build/html.done",


rule execute:
    input:
        md=ancient("experiments/{slug}.md"),  # an edit of prose changes its time, not its digest
        recorded=lambda wildcards: committed(wildcards.slug) if wildcards.profile == "quick" else [],
        seeds=runs_of_seeds,
    output:
        notebook="build/{profile}/{slug}.ipynb",
        record="build/{profile}/{slug}/record.json",
    params:
        digest=lambda wildcards: digest(wildcards.slug, wildcards.profile),
        lock=LOCK,
    threads: 1
    resources:
        mem_mb=lambda wildcards: LIMITS[wildcards.profile]["mem_mb"],
        runtime=lambda wildcards: LIMITS[wildcards.profile]["runtime"],
    shell:
        "{PRESS} execute {wildcards.slug} --profile {wildcards.profile} --with-parent"


rule seed:
    input:
        md=ancient("experiments/{slug}.md"),
    output:
        notebook="build/paper/seeds/{seed}/{slug}.ipynb",
    params:
        digest=lambda wildcards: digest(wildcards.slug, "paper", int(wildcards.seed)),
        lock=LOCK,
    threads: 1
    resources:
        **LIMITS["seed"],
    shell:
        "{PRESS} execute {wildcards.slug} --profile paper --seed {wildcards.seed} --with-parent"


rule publish:
    input:
        "build/paper/{slug}/record.json",
    output:
        touch("build/paper/{slug}.recorded"),
    shell:
        "{PRESS} publish {wildcards.slug}"


rule page:
    input:
        md="experiments/{slug}.md",
        notebook="build/quick/{slug}.ipynb",
        record="build/quick/{slug}/record.json",
        recorded=lambda wildcards: committed(wildcards.slug),
        references=glob("book/references.bib"),
    output:
        "book/chapters/{slug}.ipynb",
    params:
        code=modules("merge"),
        repository=os.environ.get("REPOSITORY_URL", ""),
    shell:
        "{PRESS} page {wildcards.slug}"


rule generated:
    input:
        [f"build/quick/{slug}/record.json" for slug in CHAPTERS],
        [path for slug in CHAPTERS for path in committed(slug)],
        glob("book/_toc.yml") + glob("book/references.bib"),
        sorted(glob("benchmarks/*.py") + glob("benchmarks/results/*.json")),
    output:
        "book/generated/ledger.md",
        "book/generated/status.md",
        "book/generated/benchmarks.md",
    params:
        code=modules("site"),
        timed=timed(),
    shell:
        "{PRESS} generated"


rule html:
    input:
        expand("book/chapters/{slug}.ipynb", slug=CHAPTERS),
        rules.generated.output,
        texts_of_the_book(),
    output:
        touch("build/html.done"),  # not the HTML itself: Snakemake would delete the last good book first
    params:
        code=modules("site", "theme"),
        repository=os.environ.get("REPOSITORY_URL", ""),
    shell:
        "{PRESS} site"


onerror:
    failed = sorted(glob("build/*/*.failed.ipynb") + glob("build/paper/seeds/*/*.failed.ipynb"))
    for path in failed:
        print(f"failed: {os.path.abspath(path)}", file=sys.stderr)
    kept = os.path.abspath("_build/html/index.html")
    print("Not everything was made." + f" The last good one stays: {kept}" * os.path.exists(kept), file=sys.stderr)
