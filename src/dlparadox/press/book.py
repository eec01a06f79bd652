"""The whole book: one run at a time, what is gone removed, then Snakemake, which runs only what changed."""

import fcntl
import os
import re
import shutil
import sys
from collections.abc import Sequence
from typing import NoReturn

from dlparadox.press.errors import PressError
from dlparadox.press.paths import Project

__all__ = ["OPTIONS", "check_contents", "hold_lock", "make_book", "memory", "remove_leftovers", "run_snakemake"]

#: Of every run of Snakemake: after a kill it goes on without unlocking, and what can run runs. More may be quiet.
OPTIONS = ("--nolock", "--rerun-incomplete", "--keep-going", "--quiet", "progress", "host", "reason")


def make_book(project: Project, targets: Sequence[str] = (), cores: str = "all") -> NoReturn:
    """Turn this process into the Snakemake run that makes the book, or only the files in ``targets``.

    The lock goes with it: the system gives it back when that process ends, however it ends. So a killed run
    needs no unlocking, and Snakemake's own lock, which does, stays off.
    """
    descriptor = hold_lock(project)
    remove_leftovers(project)
    if not targets:
        check_contents(project)
    options = ["--cores", cores, "--resources", f"mem_mb={memory()}", *OPTIONS, "rules", "--", *targets]
    run_snakemake(project, descriptor, options)


def run_snakemake(project: Project, descriptor: int, options: Sequence[str]) -> NoReturn:
    """Turn this process, with the lock that it holds, into a run of Snakemake."""
    os.set_inheritable(descriptor, True)
    os.chdir(project.root)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "snakemake", *options])


def check_contents(project: Project) -> None:
    """Check that the table of contents lists exactly the chapters that there are.

    Raises:
        PressError: naming a chapter that is missing on one side.
    """
    contents = (project.root / "book" / "_toc.yml").read_text(encoding="utf-8")
    chapters, listed = set(project.chapters()), set(re.findall(r"file: chapters/([\w-]+)", contents))
    for slug in sorted(chapters - listed):
        raise PressError(f"the chapter experiments/{slug}.md is not in book/_toc.yml; add `chapters/{slug}` to it")
    for slug in sorted(listed - chapters):
        raise PressError(f"book/_toc.yml lists the chapter {slug}, but there is no experiments/{slug}.md")


def memory() -> int:
    """Memory of this machine in MiB, less one GiB: it limits how many chapters run side by side."""
    return max(2048, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 - 1024)


def hold_lock(project: Project, paper: str = "") -> int:
    """Take the lock of the book, or of the chapter ``paper`` at the paper's scale, and return its file descriptor.

    Raises:
        PressError: while another run holds it, naming that run's process.
    """
    command = f"make paper NAME={paper}" if paper else "make book"
    path = project.build("paper") / f"{paper}.lock" if paper else project.root / "build" / "book.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(descriptor, 20).decode().strip() or "unknown"
        os.close(descriptor)
        raise PressError(f"another {command} is running (process {holder}); wait for it or stop it") from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def remove_leftovers(project: Project) -> None:
    """Remove what earlier runs made of chapters that are gone, and the mark of a book that is not there."""
    chapters = set(project.chapters())
    for page in project.pages.glob("*.ipynb"):
        if page.stem not in chapters:
            page.unlink()
    for record in project.root.glob("build/*/*/record.json"):
        if record.parent.name not in chapters:
            shutil.rmtree(record.parent)
    remembered = (project.root / ".snakemake" / "metadata").is_dir()  # what each notebook was made from
    for notebook in project.root.glob("build/*/*.ipynb"):
        if not remembered or notebook.name.split(".")[0] not in chapters:
            notebook.unlink()
    if not project.html.is_file():
        (project.root / "build" / "html.done").unlink(missing_ok=True)
