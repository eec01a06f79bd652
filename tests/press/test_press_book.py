"""The flow of the book: what runs again and what does not, and what is left after failures and kills."""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_project import executed_notebooks, press, start

from dlparadox.press.book import hold_lock, remove_leftovers
from dlparadox.press.paths import Project


@contextlib.contextmanager
def edited(path: Path, old: str, new: str) -> Iterator[None]:
    """A file with some text replaced, for the length of a block."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    try:
        yield
    finally:
        path.write_text(text)


def ran(output: str) -> set[str]:
    """Chapters that a run of the book started."""
    return {line.removesuffix(": started") for line in output.splitlines() if line.endswith(": started")}


def book(project: Project, *targets: str) -> tuple[int, set[str], str]:
    """Run the book, or only some targets: exit status, the chapters that ran, the output."""
    status, output = press(project, "book", *(targets or executed_notebooks(project)))
    return status, ran(output), output


def test_nothing_changed_runs_nothing(executed: Project) -> None:
    assert book(executed)[:2] == (0, set())


def test_an_edit_of_prose_makes_the_page_again_without_running_code(executed: Project) -> None:
    page = executed.pages / "tiny.ipynb"
    assert book(executed, "book/chapters/tiny.ipynb")[:2] == (0, set())
    assert "How often" in page.read_text()
    with edited(executed.source("tiny"), "How often", "How frequently"):
        assert book(executed, "book/chapters/tiny.ipynb")[:2] == (0, set())
        assert "How frequently" in page.read_text()


def test_an_edit_of_a_module_runs_the_chapters_that_use_it(executed: Project) -> None:
    labels = executed.root / "src" / "dlparadox" / "labels.py"
    with edited(labels, "redrawn = (chance", "redrawn = ( # a comment\n        chance"):
        assert book(executed)[:2] == (0, set())
    seeding = executed.root / "src" / "dlparadox" / "seeding.py"
    with edited(seeding, ">> 1", ">> 2"):
        assert book(executed)[:2] == (0, {"tiny"})
    assert book(executed)[:2] == (0, {"tiny"})  # and back


def test_an_edit_of_code_or_parameters_runs_the_chapter(executed: Project) -> None:
    with edited(executed.source("plain"), "n_seeds = 1", "n_seeds = 2"):
        assert book(executed)[:2] == (0, {"plain"})
    assert book(executed)[:2] == (0, {"plain"})


def test_a_failed_chapter_leaves_the_last_book_and_names_its_notebook(executed: Project) -> None:
    executed.html.parent.mkdir(parents=True)
    executed.html.write_text("the last good book")
    pages = [f"book/chapters/{slug}.ipynb" for slug in executed.chapters()]
    assert book(executed, *pages)[0] == 0
    before = (executed.pages / "tiny.ipynb").read_text()
    failed = executed.build("quick") / "tiny.failed.ipynb"
    with edited(executed.source("tiny"), 'print("drawn")', "1 / 0"):
        status, _, output = book(executed, *pages)
    assert status == 1
    assert f"failed: {failed}" in output
    assert "tiny FAILED after" in output
    assert "ZeroDivisionError: division by zero" in output
    assert "ZeroDivisionError" in failed.read_text()
    assert executed.html.read_text() == "the last good book"
    assert (executed.pages / "tiny.ipynb").read_text() == before
    assert book(executed, *pages)[:2] == (0, {"tiny"})
    assert not failed.exists()


@pytest.mark.parametrize("whole_group", [False, True], ids=["snakemake", "everything"])
def test_a_killed_run_resumes(executed: Project, whole_group: bool) -> None:
    partial = executed.build("quick") / ".tiny.part.ipynb"
    with edited(executed.source("tiny"), 'print("drawn")', f"import time; time.sleep({2 + whole_group})"):
        process = start(executed, "book", "build/quick/tiny.ipynb")
        deadline = time.monotonic() + 60
        while not partial.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert partial.exists()
        kill = os.killpg if whole_group else os.kill
        kill(process.pid, signal.SIGKILL)
        process.wait()
        assert book(executed, "build/quick/tiny.ipynb")[:2] == (0, {"tiny"})
        process.communicate()
        assert not partial.exists()
        assert book(executed, "build/quick/tiny.ipynb")[:2] == (0, set())
    assert book(executed)[:2] == (0, {"tiny"})


def test_two_books_at_once_are_refused(project: Project) -> None:
    descriptor = hold_lock(project)
    try:
        status, _, output = book(project)
    finally:
        os.close(descriptor)
    assert status == 1
    assert f"another make book is running (process {os.getpid()}); wait for it or stop it" in output
    os.close(hold_lock(project))


def test_what_deleted_chapters_left_disappears(project: Project) -> None:
    (project.root / ".snakemake" / "metadata").mkdir(parents=True)
    kept, gone = [], []
    for slug, paths in (("tiny", kept), ("other", gone)):
        for path in (
            f"book/chapters/{slug}.ipynb",
            f"build/quick/{slug}.ipynb",
            f"build/quick/{slug}/record.json",
        ):
            paths.append(project.root / path)
            paths[-1].parent.mkdir(parents=True, exist_ok=True)
            paths[-1].touch()
    remove_leftovers(project)
    assert all(path.exists() for path in kept)
    assert not any(path.exists() for path in gone)
    shutil.rmtree(project.root / ".snakemake")
    remove_leftovers(project)  # nothing tells any more what the notebook was made from
    assert not (project.root / "build" / "quick" / "tiny.ipynb").exists()


def test_a_chapter_runs_with_ones_own_parameters(executed: Project) -> None:
    results = os.environ["DLPARADOX_RESULTS"]
    status, output = press(executed, "chapter", "tiny", "samples=3000 corruption=[0, 1] name='my classes'")
    assert status == 0, output
    assert "reproduced  fresh: A label drawn again" in output
    notebook = Path(results, "tiny.ipynb").read_text()
    assert "samples = 3000" in notebook
    assert "How often" in notebook


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["execute", "tinny"], "unknown chapter 'tinny'; did you mean 'tiny'? chapters: plain, tiny"),
        (["execute", "tiny", "--profile", "papper"], "unknown profile 'papper'; did you mean 'paper'?"),
        (["chapter", "", ""], "no chapter given; chapters: plain, tiny"),
        (["chapter", "tiny", "sample=3"], "unknown parameter 'sample'; did you mean 'samples'?"),
        (
            ["chapter", "tiny", "samples=few"],
            "samples must be a whole number, like its default 2000; got 'few'",
        ),
        (["paper", "tiny"], "tiny has no run at the paper's scale"),
        (["check-pairs"], "tiny.ipynb is missing"),
    ],
)
def test_wrong_arguments_are_one_clear_error(project: Project, arguments: list[str], message: str) -> None:
    status, output = press(project, *arguments)
    assert status == 1
    assert output.startswith("error: ")
    assert message in output
    assert "Traceback" not in output


def test_a_run_outside_a_project_says_so(tmp_path: Path, project: Project) -> None:
    shutil.rmtree(project.experiments)
    status, output = press(project, "sync")
    assert (status, "is not inside the project" in output) == (1, True)


def test_the_table_of_contents_lists_every_chapter(project: Project) -> None:
    contents = project.root / "book" / "_toc.yml"
    contents.write_text("root: intro\nchapters:\n  - file: chapters/tiny\n")
    status, output = press(project, "book")
    assert (status, "experiments/plain.md is not in book/_toc.yml; add `chapters/plain`" in output) == (
        1,
        True,
    )
    contents.write_text(contents.read_text() + "  - file: chapters/plain\n  - file: chapters/gone\n")
    status, output = press(project, "book")
    assert (status, "_toc.yml lists the chapter gone, but there is no experiments/gone.md" in output) == (
        1,
        True,
    )
