"""References: executed chapters with their text outputs only, which the regression check compares with.

Hosted services open them too. They hold no images, times or paths, so they change only with results.
"""

import re
from pathlib import Path

from nbformat import NotebookNode

from dlparadox.digests import normalized
from dlparadox.press.errors import PressError
from dlparadox.press.pairs import read_notebook, source_notebook, write_notebook
from dlparadox.press.paths import Project

__all__ = ["make_reference", "text_outputs"]

_GLUE = "application/papermill.record/"
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def make_reference(project: Project, slug: str) -> Path:
    """Write a chapter's reference from its executed quick run.

    Raises:
        PressError: if that run is missing or of another text, failed, or printed a path of this machine.
    """
    text = source_notebook(project, slug)
    executed = project.build("quick") / f"{slug}.ipynb"
    if not executed.is_file():
        raise PressError(f"{executed} is missing; run `make book` first")
    code = [cell for cell in text.cells if cell.cell_type == "code"]
    ran = [cell for cell in read_notebook(executed).cells if cell.cell_type == "code"]
    if [normalized(cell.source) for cell in code] != [normalized(cell.source) for cell in ran]:
        raise PressError(f"{executed} ran other code than {slug}.md has now; run `make book` first")
    machine = (str(project.root), str(Path.home()))
    for cell, result in zip(code, ran, strict=True):
        cell.outputs, cell.execution_count = text_outputs(result.outputs), result.execution_count
        for output in cell.outputs:
            for line in _text(output).splitlines():
                if any(path in line for path in machine if len(path) > 1):
                    raise PressError(f"{slug} prints a path of this machine, {line!r}; print something that lasts")
    path = project.reference(slug)
    write_notebook(text, path)
    return path


def text_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """What a reference keeps of a cell's outputs: printed text and text representations.

    Progress, images, HTML, numbers glued into the prose, and addresses in memory are dropped.

    Raises:
        PressError: for an error among the outputs.
    """
    kept: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "error":
            raise PressError(f"a cell failed with {output.ename}: {output.evalue}; a reference holds no errors")
        if output.output_type == "stream":
            if output.name == "stdout" and kept and kept[-1].output_type == "stream":
                kept[-1].text += output.text  # where a stream is split depends on timing
            elif output.name == "stdout":
                kept.append(output)
            continue
        data = output.get("data", {})
        plain = data.get("text/plain")
        if plain is None or any(kind.startswith(_GLUE) for kind in data) or _ADDRESS.search(plain):
            continue
        output.data, output.metadata = NotebookNode({"text/plain": plain}), NotebookNode()
        kept.append(output)
    return kept


def _text(output: NotebookNode) -> str:
    return output.text if output.output_type == "stream" else output.data["text/plain"]
