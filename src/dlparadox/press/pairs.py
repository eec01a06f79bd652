"""Pairs: a chapter's MyST text, the source, and its executed notebook, the reference, in step.

The reference holds the same cells with the text outputs of a quick run. Cell ids are left out of every
comparison; they carry no meaning.
"""

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

from dlparadox.files import write_text
from dlparadox.press.errors import PressError
from dlparadox.press.paths import Project

__all__ = ["difference", "pair_problems", "read_notebook", "source_notebook", "sync", "write_notebook"]

#: Cell metadata that tools write while they run a notebook, and that says nothing about its content.
_TRACES = {"execution", "papermill", "trusted"}


def source_notebook(project: Project, slug: str) -> NotebookNode:
    """A chapter's text as a notebook without outputs.

    Raises:
        PressError: for a file that is not MyST text with a kernel named in its header.
    """
    path = project.source(project.chapter(slug))
    try:
        notebook = jupytext.read(path, fmt="md:myst")
    except Exception as error:  # whatever the reader of a broken file runs into, the remedy is the same
        raise PressError(f"{path} cannot be read as MyST text: {error}; compare it with another chapter") from error
    kernel = notebook.metadata.get("kernelspec")
    if not kernel:
        raise PressError(f"{path} names no kernel; copy the header between the two `---` lines from another chapter")
    notebook.metadata = NotebookNode(kernelspec={**kernel, "language": "python"}, language_info={"name": "python"})
    for cell, identity in zip(notebook.cells, _identities(notebook), strict=True):
        cell.id = identity
    return notebook


def _identities(notebook: NotebookNode) -> list[str]:
    """Cell ids made from content, so that they change only with the cell."""
    seen: dict[str, int] = defaultdict(int)
    identities = []
    for cell in notebook.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] += 1
        identities.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
    return identities


def difference(text: NotebookNode, notebook: NotebookNode) -> str | None:
    """The first difference between a text and a notebook, in words; None when they are in step."""
    kernels = [side.metadata.get("kernelspec", {}).get("name") for side in (text, notebook)]
    if kernels[0] != kernels[1]:
        return f"the kernel is {kernels[0]!r} in the .md and {kernels[1]!r} in the .ipynb"
    for number, (ours, theirs) in enumerate(zip(text.cells, notebook.cells, strict=False), start=1):
        if ours.cell_type != theirs.cell_type:
            return f"cell {number} is {ours.cell_type} in the .md and {theirs.cell_type} in the .ipynb"
        if ours.source != theirs.source:
            return f"cell {number} ({ours.cell_type}) {_first_line(ours.source, theirs.source)}"
        if _meaning(ours) != _meaning(theirs):
            return f"cell {number} has the metadata\n  .md:    {_meaning(ours)}\n  .ipynb: {_meaning(theirs)}"
    if len(text.cells) != len(notebook.cells):
        return f"the .md has {len(text.cells)} cells and the .ipynb {len(notebook.cells)}"
    return None


def _meaning(cell: NotebookNode) -> dict[str, Any]:
    return {name: value for name, value in cell.metadata.items() if name not in _TRACES}


def _first_line(ours: str, theirs: str) -> str:
    left, right = ours.split("\n"), theirs.split("\n")
    length = max(len(left), len(right))
    left, right = ([*lines, *["(no line)"] * (length - len(lines))] for lines in (left, right))
    index = next(index for index in range(length) if left[index] != right[index])
    return f"differs in line {index + 1}:\n  .md:    {left[index]}\n  .ipynb: {right[index]}"


def pair_problems(project: Project) -> list[str]:
    """Every pair out of step, with its first difference; empty when all are in step."""
    problems = []
    for slug in project.chapters():
        path = project.reference(slug)
        if not path.is_file():
            problems.append(f"{slug}: {path.name} is missing; `make reference NAME={slug}` makes it")
        elif found := difference(source_notebook(project, slug), read_notebook(path)):
            problems.append(
                f"{slug}: {found}\n  The .md is the source; `make sync` brings the .ipynb into step with it."
            )
    orphans = {path.stem for path in project.experiments.glob("*.ipynb")} - set(project.chapters())
    problems.extend(
        f"{slug}: {slug}.ipynb has no {slug}.md; delete it, or restore the text" for slug in sorted(orphans)
    )
    return problems


def sync(project: Project, slug: str) -> bool:
    """Bring a reference into step with its text and tell whether it changed.

    A code cell whose source is still there keeps its outputs; a new or edited one has none.
    """
    text = source_notebook(project, slug)
    path = project.reference(slug)
    kept: dict[str, list[NotebookNode]] = defaultdict(list)
    if path.is_file():
        for cell in read_notebook(path).cells:
            if cell.cell_type == "code":
                kept[cell.source].append(cell)
    for cell in text.cells:
        if cell.cell_type == "code" and kept[cell.source]:
            old = kept[cell.source].pop(0)
            cell.outputs, cell.execution_count = old.outputs, old.execution_count
    return write_notebook(text, path)


def read_notebook(path: Path) -> NotebookNode:
    """A notebook from a file.

    Raises:
        PressError: if it is damaged.
    """
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # as above: any damage has one remedy
        raise PressError(f"{path} is not a whole notebook ({error}); delete it and make it again") from error


def write_notebook(notebook: NotebookNode, path: Path) -> bool:
    """Write a notebook if that changes the file, and tell whether it did."""
    content = nbformat.writes(notebook) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == content:
        return False
    write_text(path, content)
    return True
