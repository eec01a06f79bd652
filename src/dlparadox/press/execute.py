"""Running a chapter: parameters checked first, progress shown, nothing lost on failure."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dlparadox.press.errors import PressError
from dlparadox.press.pairs import source_notebook
from dlparadox.press.parameters import checked
from dlparadox.press.paths import Project

__all__ = ["THREADS", "ChapterFailed", "execute"]

#: One thread for every library that computes: a run takes one core, and sums come in one order.
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
HEARTBEAT = 10.0  # seconds between two lines of progress


class ChapterFailed(PressError):
    """A cell of a chapter raised an error, or its kernel died."""


def execute(
    project: Project, slug: str, parameters: Mapping[str, Any], folder: Path, *, prose: bool = False, label: str = ""
) -> Path:
    """Run a chapter and return the path of the executed notebook, ``<folder>/<slug>.ipynb``.

    The notebook takes that name only when it is whole. A failed one is ``<folder>/<slug>.failed.ipynb``.

    Args:
        project: the project the chapter belongs to; its root is the working directory of the run.
        slug: the chapter.
        parameters: values that replace the defaults of its first cell.
        folder: where the notebook goes; the record goes to ``<folder>/<slug>/``.
        prose: keep the text between the code cells, for a notebook that a person will open.
        label: what the lines of progress call this run; the chapter's name by default.

    Raises:
        PressError: for an unknown chapter or parameter, or an ill-typed value; nothing has run then.
        ChapterFailed: with the error's last line and the path of the failed notebook.
    """
    import papermill

    notebook = source_notebook(project, slug)
    values = checked(project.source(slug), parameters)
    if not prose:
        notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    folder.mkdir(parents=True, exist_ok=True)
    partial, failed = folder / f".{slug}.part.ipynb", folder / f"{slug}.failed.ipynb"
    partial.unlink(missing_ok=True)  # of a run that was killed
    label = label or slug
    start = time.monotonic()
    with _environment(folder, values), _Progress(label, start) as progress:
        try:
            papermill.execute_notebook(
                notebook,
                partial,
                parameters=values,
                cwd=project.root,
                progress_bar=progress.bar,
                stderr_file=progress.detail,
                extra_arguments=["--log-level=40"],  # no warnings of the kernel itself
            )
        except Exception as error:
            where = "nothing had run yet"
            if partial.is_file():
                partial.replace(failed)
                where = f"the notebook as far as it came: {failed}"
            took = f"{time.monotonic() - start:.0f} s"
            raise ChapterFailed(f"{label} FAILED after {took}: {_last_line(error)}\n  {where}") from error
    failed.unlink(missing_ok=True)
    path = folder / f"{slug}.ipynb"
    partial.replace(path)
    _say(f"{label}: done in {time.monotonic() - start:.0f} s")
    return path


@contextlib.contextmanager
def _environment(folder: Path, values: Mapping[str, Any]) -> Iterator[None]:
    """What a kernel inherits: where results go, one thread, the kernels of this environment first."""
    before = dict(os.environ)
    threads = THREADS
    if values.get("profile") == "paper":  # long runs may be given more cores by whoever starts them
        threads = {name: before.get(name, one) for name, one in THREADS.items()}
    os.environ.update(threads, DLPARADOX_RESULTS=str(folder.resolve()), JUPYTER_PREFER_ENV_PATH="1")
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class _LastLine:
    """A text stream that keeps the last line written to it, as a progress bar writes many."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        lines = [line.strip() for line in text.replace("\r", "\n").split("\n") if line.strip()]
        self.text = lines[-1][:100] if lines else self.text

    def flush(self) -> None:
        pass


class _Progress:
    """Prints where a chapter is: a line at its start, then one every few seconds for as long as it runs.

    Chapters run side by side, so these are whole lines and not a bar.
    """

    def __init__(self, label: str, start: float) -> None:
        self.label, self.start = label, start
        self.cells, self.detail = _LastLine(), _LastLine()
        self.bar = {"file": self.cells, "bar_format": "{n_fmt} of {total_fmt} cells", "mininterval": 0}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._report, daemon=True)

    def __enter__(self) -> "_Progress":
        _say(f"{self.label}: started")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _report(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            parts = [f"{time.monotonic() - self.start:.0f} s", self.cells.text, self.detail.text]
            _say(f"{self.label}: {', '.join(part for part in parts if part)}")


def _say(line: str) -> None:
    """Print a line in one write, so that lines of runs side by side stay apart."""
    print(f"{line}\n", end="", flush=True)


def _last_line(error: Exception) -> str:
    """What went wrong, in one line."""
    if name := getattr(error, "ename", None):
        return f"{name}: {getattr(error, 'evalue', '')}".strip().splitlines()[0]
    if type(error).__name__ == "DeadKernelError":
        return "its process died; most often that means out of memory"
    return f"{type(error).__name__}: {error}".strip().splitlines()[-1]
