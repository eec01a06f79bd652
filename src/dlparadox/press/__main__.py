"""The command line of the press: ``python -m dlparadox.press``, which the Makefile and the Snakefile call."""

import argparse
import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from dlparadox.press.errors import PressError
from dlparadox.press.paths import PROFILES, Project

COMMANDS = {
    "book": "make the whole book, running only what changed",
    "execute": "run one chapter under a profile, for the book",
    "page": "make a chapter's page from its text and its executed notebook",
    "generated": "make the ledger, the status page, the scoreboard and the page of benchmarks",
    "site": "build the HTML",
    "chapter": "run one chapter with your own parameters",
    "paper": "run one chapter at the paper's scale and keep the record",
    "publish": "keep the record of a run at the paper's scale that is finished",
    "sync": "bring the notebooks in experiments/ into step with their texts",
    "check-pairs": "fail if a notebook in experiments/ is out of step with its text",
    "reference": "make a chapter's reference from its executed quick run",
    "digest": "print what decides whether a chapter runs again",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; an error that this package foresaw has no traceback."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options, Project.find())
    except Exception as error:
        if not type(error).__module__.startswith("dlparadox."):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dlparadox.press", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name in {"execute", "page", "chapter", "paper", "publish", "reference", "digest"}:
            command.add_argument("slug", help="the chapter")
        if name in {"execute", "digest"}:
            command.add_argument("--profile", default="quick", help=f"one of {', '.join(PROFILES)}")
        if name == "execute":
            command.add_argument("--with-parent", action="store_true", help="stop when the starting process does")
            command.add_argument("--seed", type=int, help="run only this seed, which fills the cache of finished cells")
        if name == "paper":
            command.add_argument("--executor", default="", help="one Snakemake job per seed under this executor")
        if name == "chapter":
            command.add_argument("parameters", nargs="*", help="name=value")
        if name == "book":
            command.add_argument("targets", nargs="*", help="files to make instead of the whole book")
        if name in {"book", "paper"}:
            command.add_argument("--cores", default="all", help="how many chapters or seeds run side by side here")
    return parser


def _run(options: argparse.Namespace, project: Project) -> int:
    slug = project.chapter(options.slug) if "slug" in options else ""
    match options.command:
        case "book":
            from dlparadox.press.book import make_book

            make_book(project, options.targets, options.cores)
        case "execute":
            if options.with_parent:
                _stop_with_parent()
            _execute(project, slug, options.profile, options.seed)
        case "page":
            from dlparadox.press.merge import write_page

            write_page(slug, project.root)
        case "generated":
            from dlparadox.press.site import write_generated

            write_generated(project.root)
        case "site":
            from dlparadox.press.site import build_html

            print("building the HTML ...", flush=True)
            print(f"the HTML is built: {build_html(project.root)}")
        case "chapter":
            _chapter(project, slug, " ".join(options.parameters))
        case "paper":
            from dlparadox.press.publish import run_jobs, run_paper

            if options.executor:
                run_jobs(project, slug, options.executor, options.cores)
            print(f"recorded: {run_paper(project, slug)}")
        case "publish":
            from dlparadox.press.publish import publish_record

            print(f"recorded: {publish_record(project, slug)}")
        case "digest":
            _digest(project, slug, options.profile)
        case _:
            return _pairs(project, options.command, slug)
    return 0


def _execute(project: Project, slug: str, profile: str, seed: int | None) -> None:
    from dlparadox.press.execute import execute
    from dlparadox.press.parameters import profile_parameters
    from dlparadox.press.publish import run_seed

    if seed is not None:
        run_seed(project, slug, profile, seed)
        return
    execute(project, slug, profile_parameters(project, slug, profile), project.build(profile))


def _chapter(project: Project, slug: str, text: str) -> None:
    from dlparadox.press.execute import execute
    from dlparadox.press.parameters import parsed
    from dlparadox.records import load_record

    folder = Path(os.environ.get("DLPARADOX_RESULTS") or project.root / "results").resolve()
    notebook = execute(project, slug, parsed(text), folder, prose=True)
    record = load_record(folder / slug / "record.json")
    for claim in record.claims:
        print(f"{claim['verdict']:>16}  {claim['name']}: {claim['statement']}")
    print(f"notebook: {notebook}\nrecord:   {record.path}")


def _digest(project: Project, slug: str, profile: str) -> None:
    from dlparadox.digests import chapter_digest
    from dlparadox.press.parameters import effective

    parameters = effective(project, slug, profile)
    print(json.dumps(chapter_digest(project.source(slug), parameters), indent=1))


def _pairs(project: Project, command: str, slug: str) -> int:
    from dlparadox.press import pairs, reference

    if command == "reference":
        print(f"reference: {reference.make_reference(project, slug)}")
        return 0
    if command == "sync":
        changed = [slug for slug in project.chapters() if pairs.sync(project, slug)]
        print(f"brought into step: {', '.join(changed)}" if changed else "all pairs were in step")
        return 0
    if problems := pairs.pair_problems(project):
        raise PressError("\n".join(problems))
    print(f"{len(project.chapters())} pairs in step")
    return 0


def _stop_with_parent() -> None:
    """End this process, and with it the kernel, soon after the one that started it, however that ends."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
